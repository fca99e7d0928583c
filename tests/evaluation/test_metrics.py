"""What is measured of a mix: closed forms, one source for every number, and odd sounds."""

import math
import warnings

import numpy as np
import pytest
import torch
from audio_helpers import RATE, one_line
from odd_sounds import EDGES, noise

import diffmst_lib as dm
from diffmst_lib.audio.octaves import stereo_spectrum
from diffmst_lib.evaluation.metrics import METRICS, band_levels_db, measure, wrong_ratio
from diffmst_lib.evaluation.task import Task
from diffmst_lib.inputs import InputError
from diffmst_lib.mixing.costs import balance_cost
from diffmst_lib.mixing.result import MixResult

CONSOLE = [name for name, metric in METRICS.items() if metric.console]
DISTANCES = [name for name, metric in METRICS.items() if metric.better == "low" and not metric.console]


def task_of(record, song=None):
    return Task(song or dm.Multitrack(["stem"], noise(1, 2, RATE)), record)


@pytest.fixture(scope="module")
def song():
    return dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)


@pytest.fixture(scope="module")
def record():
    return dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg")[:, : 3 * RATE]


@pytest.fixture(scope="module")
def mixed(song):
    return dm.unity(song)


def test_every_column_is_described():
    for name, metric in METRICS.items():
        assert metric.better in ("low", "high", "record", "none"), name
        assert math.isnan(metric.floor) == (metric.better in ("record", "none"))
        assert metric.label and metric.about and "\n" not in metric.about
    for unit in ("db", "lu", "dbtp", "lufs"):
        assert all(m.unit.lower() == unit for name, m in METRICS.items() if name.endswith(f"_{unit}"))


def test_a_copy_of_the_record_scores_the_floor(record):
    row = measure(record, task_of(record))
    assert list(row) == list(METRICS)
    assert {name: row[name] for name in DISTANCES} == {name: 0.0 for name in DISTANCES}
    assert all(math.isnan(row[name]) for name in CONSOLE)


def test_another_level_is_not_another_style(record):
    row, quiet = (measure(gain * record, task_of(record)) for gain in (1.0, 0.1))
    assert [quiet[name] for name in DISTANCES] == pytest.approx([row[name] for name in DISTANCES], abs=1e-5)
    assert quiet["true_peak_dbtp"] == pytest.approx(row["true_peak_dbtp"] - 20, abs=1e-4)
    assert quiet["loudness_lufs"] == pytest.approx(row["loudness_lufs"] - 20, abs=1e-4)


def test_floor_of_the_papers_second_table(record):
    """At -22 and -16 LUFS a copy scores 0.1 (ln 10^(6/20))^2 in the Bark spectrum."""
    row = measure(record, task_of(record), mix_lufs=-22.0, record_lufs=-16.0)
    assert row["bark_spectrum"] == pytest.approx(0.1 * math.log(10 ** (6 / 20)) ** 2, rel=0.02)
    assert row["crest_factor"] == pytest.approx(0.0, abs=1e-9)
    assert row["af_sum"] == pytest.approx(row["rms"] + row["bark_spectrum"], rel=1e-4)
    assert row["octave_db"] == row["spectral_db"] == 0.0


def test_features_are_those_of_the_loss(mixed, record):
    row = measure(mixed, task_of(record, mixed.song))
    levelled = (dm.normalize_loudness(audio) for audio in (mixed.audio, record))
    loss = dm.audio_feature_loss(*levelled)
    for name in ("rms", "crest_factor", "stereo_width", "stereo_imbalance", "bark_spectrum"):
        assert row[name] == pytest.approx(loss[name].item(), rel=1e-6)
    assert row["af_sum"] == pytest.approx(loss["total"].item(), rel=1e-6)
    assert row["af_mean"] == row["af_sum"] / 5


def test_mono_with_the_papers_epsilon(mixed, record):
    mono = mixed.audio.mean(dim=0, keepdim=True).repeat(2, 1)
    paper = measure(mono, task_of(record), preset="reference")
    assert paper["bark_spectrum"] > 20 > 5 > measure(mono, task_of(record))["bark_spectrum"]


def test_sounds_are_measured_as_in_the_report(mixed, record):
    row, report = measure(mixed, task_of(record, mixed.song)), mixed.report(record).mix
    for name, in_report in (
        ("true_peak_dbtp", "true_peak_dbtp"),
        ("loudness_lufs", "loudness_lufs"),
        ("plr_db", "plr_db"),
        ("width_db", "width_db"),
        ("correlation", "correlation"),
        ("side_low_db", "side_below_120_hz_db"),
    ):
        assert row[name] == pytest.approx(report.loc[in_report, "mix"], abs=1e-6)
    for name, error in (("plr_db", "plr_error_db"), ("width_db", "width_error_db")):
        difference = report.loc[name, "mix"] - report.loc[name, "reference"]
        assert row[error] == pytest.approx(abs(difference), abs=1e-6)
    both = report.loc["correlation"]
    assert row["correlation_error"] == pytest.approx(abs(both["mix"] - both["reference"]), abs=1e-6)


def test_what_the_console_tells(song, record):
    mixed = dm.unity(song)
    assert [measure(mixed, task_of(record, song))[name] for name in CONSOLE] == pytest.approx(
        [0.0] * 5, abs=1e-6
    )
    mixed.params.track("vox_lead")["fader_db"] -= 6.0
    edited = mixed.remix()
    row = measure(edited, task_of(record, song))
    assert row["voice_change_lu"] == pytest.approx(6.0, abs=1e-3)
    assert row["worst_moved_db"] == pytest.approx(6.0, abs=1e-3)
    assert {name: row[name] for name in CONSOLE[:-1]} == balance_cost(edited)
    alone = measure(edited.audio, task_of(record, song))
    assert {name for name in METRICS if math.isnan(alone[name])} == set(CONSOLE)
    assert {name: alone[name] for name in DISTANCES} == {name: row[name] for name in DISTANCES}


def test_a_result_without_measures_is_measured(song, record):
    mixed = dm.unity(song)
    bare = MixResult(mixed.audio, mixed.params, song)
    assert bare.measures is None
    assert measure(bare, task_of(record, song)) == pytest.approx(
        measure(mixed, task_of(record, song)), abs=1e-6
    )


def test_a_song_without_any_voice(song, record):
    row = measure(dm.unity(song.select("build", "drums_main")), task_of(record))
    assert math.isnan(row["voice_change_lu"]) and row["moved_db"] == pytest.approx(0.0, abs=1e-6)


def bands(*gains):
    """Noise of 2 s, mid alone, each octave from 250 Hz to 4 kHz at a gain; nothing else."""
    spectrum = torch.fft.rfft(noise(2 * RATE))
    frequency = torch.fft.rfftfreq(2 * RATE, 1 / RATE)
    shape = torch.zeros_like(frequency)
    for center, gain in zip((250, 500, 1000, 2000, 4000), gains, strict=True):
        shape[(frequency > center / 2**0.5) & (frequency <= center * 2**0.5)] = gain
    sound = torch.fft.irfft(spectrum * shape)
    return sound.repeat(2, 1)


def test_octaves_in_closed_form():
    """One octave of five at twice the gain, both sounds at one loudness: the others are lower by what that takes."""
    flat, bent = bands(1, 1, 1, 1, 1), bands(1, 2, 1, 1, 1)
    row = measure(bent, task_of(flat))
    down = dm.loudness(flat) - dm.loudness(bent)  # what leveling takes from every octave
    expected = math.sqrt(
        (4 * down**2 + (20 * math.log10(2) + down) ** 2) / 10
    )  # five more are silent in both
    assert row["octave_db"] == pytest.approx(expected, abs=0.02)


def test_third_octaves_hear_the_side():
    mid, side = (
        bands(1, 1, 1, 1, 1),
        bands(1, 1, 1, 1, 1).roll(RATE // 3, dims=-1) * torch.tensor([[1.0], [-1.0]]),
    )
    wide, narrow = mid + 0.5 * side, mid + 0.25 * side
    row = measure(narrow, task_of(wide))
    up = dm.loudness(wide) - dm.loudness(narrow)  # 15 of 29 third octaves sound, in mid and in side
    expected = math.sqrt(15 * (up**2 + (20 * math.log10(2) - up) ** 2) / 58)
    assert row["spectral_db"] == pytest.approx(expected, abs=0.3)
    assert row["octave_db"] == pytest.approx(up * math.sqrt(5 / 10), abs=0.2)
    assert row["width_error_db"] == pytest.approx(6.02, abs=0.1)


def test_levels_of_bands():
    levels = band_levels_db(stereo_spectrum(bands(0, 0, 1, 0, 0), sample_rate=RATE), 1)
    assert levels.shape == (2, 10) and levels[0].argmax() == 5
    assert levels[0, 5] == pytest.approx(0.0, abs=0.05) and (levels[1] == -60).all()
    thirds = band_levels_db(stereo_spectrum(noise(2, RATE), sample_rate=RATE), 3)
    assert thirds.shape == (2, 29)
    assert np.diff(thirds[0, 12:]) == pytest.approx(10 * math.log10(2) / 3, abs=1.0)  # white: 3 dB an octave
    total = 10 ** (band_levels_db(stereo_spectrum(noise(2, RATE), sample_rate=RATE), 1) / 10)
    assert total.sum() == pytest.approx(1.0, abs=0.01)
    low = band_levels_db(stereo_spectrum(noise(2, 8000), sample_rate=8000), 1)
    assert np.isnan(low[:, 7:]).all() and np.isfinite(low[:, :7]).all()
    assert band_levels_db(stereo_spectrum(noise(2, RATE), sample_rate=RATE), 1, -70.0).max() == -60.0
    assert np.isnan(band_levels_db(stereo_spectrum(torch.zeros(2, 99), sample_rate=RATE), 3)).all()


@pytest.mark.parametrize("name", EDGES)
def test_odd_mixes_and_odd_records(name, record):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in (measure(EDGES[name], task_of(record)), measure(record, task_of(EDGES[name]))):
            assert list(row) == list(METRICS)
            assert not any(math.isinf(value) for value in row.values())
            assert all(math.isfinite(row[term]) for term in (*DISTANCES[:7],))


def test_silence_has_no_level_and_no_image(record):
    row = measure(torch.zeros(2, RATE), task_of(record))
    there = {name for name, value in row.items() if math.isfinite(value)}
    assert there == {
        "rms",
        "crest_factor",
        "stereo_width",
        "stereo_imbalance",
        "bark_spectrum",
        "af_sum",
        "af_mean",
    }


@pytest.mark.parametrize(
    "mix",
    [
        torch.full((2, RATE), torch.nan),
        torch.full((2, RATE), torch.inf),
        torch.zeros(2, 0),
        torch.zeros(1, RATE),
        torch.zeros(RATE),
        torch.zeros(1, 2, RATE),
        torch.zeros(2, RATE, dtype=torch.int16),
        np.zeros((2, RATE)),
        None,
    ],
)
def test_what_is_no_mix(mix, record):
    with pytest.raises(InputError) as caught:
        measure(mix, task_of(record))
    assert one_line(caught, "the mix")
    with pytest.raises(InputError) as caught:
        measure(record, task_of(mix))
    assert one_line(caught, "the record")


def test_nothing_is_changed(mixed, record):
    before = mixed.audio.clone(), record.clone()
    measure(mixed, task_of(record, mixed.song))
    assert torch.equal(mixed.audio, before[0]) and torch.equal(record, before[1])


def test_how_many_times_worse_with_a_wrong_record():
    assert wrong_ratio({"af_sum": 0.1}, {"af_sum": 0.4}) == pytest.approx(4.0)
    assert wrong_ratio({"octave_db": 2.0}, {"octave_db": 3.0}, "octave_db") == 1.5
    assert math.isnan(wrong_ratio({"af_sum": 0.0}, {"af_sum": 0.4}))
    assert math.isnan(wrong_ratio({"af_sum": math.nan}, {"af_sum": 0.4}))
    with pytest.raises(InputError) as caught:
        wrong_ratio({"af_sum": 0.1}, {"total": 0.4})
    assert one_line(caught, "without af_sum")
