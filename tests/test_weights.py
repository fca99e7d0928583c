"""The weights that come with the library: they load, they are small, and they listen to the reference."""

import pytest

import diffmst_lib as dm

RECORDS = ("its_simple", "lets_go_fishin", "hungarian_dance")  # never trained on, as the song


@pytest.fixture(scope="module")
def small():
    return dm.DiffMST.from_pretrained("small")


def test_size(small, data):
    assert small.config.name == "small" and small.parameter_counts()["all"] <= 4_000_000
    assert sum(p.stat().st_size for p in (data / "weights" / "small").iterdir()) < 20e6


def test_a_song_never_heard_is_mixed_after_the_record_that_was_shown(small, data):
    song = dm.load_multitrack(data / "multitracks" / "caesium").excerpt(2, 10)
    records = {
        name: dm.normalize_loudness(dm.load_audio(data / "references" / f"{name}.ogg")[:, : 10 * 44100])
        for name in RECORDS
    }
    results = {name: small.mix(song, record) for name, record in records.items()}
    start = dm.unity(song).audio

    def loss(mix, name):
        return dm.audio_feature_loss(mix, records[name])["total"].item()

    right = sum(loss(results[name].audio, name) for name in RECORDS) / 3
    wrong = (
        sum(loss(results[a].audio, b) for a, b in zip(RECORDS, (*RECORDS[1:], RECORDS[0]), strict=True)) / 3
    )
    untouched = sum(loss(start, name) for name in RECORDS) / 3
    assert right < 0.5 * untouched and right < 0.5 * wrong, (right, wrong, untouched)
    for result in results.values():  # of channels converted to stems: no stem leans, nothing is driven
        assert result.params.preset == "default" and result.params.names == song.names
        report = result.report()
        assert report.stems["lean_change_db"].abs().max() < 3.0
        assert report.mix.loc["master_reduction_mean_db", "mix"] < 8.0
