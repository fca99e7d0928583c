"""The sheet of a mix and its reference: numbers, picture, bad input."""

import pickle
import re

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from diffmst_lib import (
    Comparison,
    InputError,
    MixResult,
    Multitrack,
    audio_feature_loss,
    audio_features,
    compare,
    data_dir,
    equal_loudness,
    load_audio,
    load_multitrack,
    loudness,
    normalize_loudness,
)
from diffmst_lib.style.features import bark_edges_hz


@pytest.fixture(scope="module")
def mix():
    song = load_multitrack(data_dir() / "multitracks" / "rubidium").excerpt(0, 4)
    return equal_loudness(song, panned=True)


@pytest.fixture(scope="module")
def reference():
    return load_audio(data_dir() / "references" / "vibe_ace.ogg")[:, : 44100 * 5]


def test_numbers_are_those_of_the_library(mix, reference):
    sheet = compare(mix, reference)
    pair = [normalize_loudness(mix.audio), normalize_loudness(reference)]
    terms = audio_feature_loss(*pair)
    assert isinstance(sheet, Comparison) and sheet.total == pytest.approx(terms["total"].item(), rel=1e-5)
    assert sheet.terms["loss"].to_dict() == pytest.approx(
        {k: v.item() for k, v in terms.items() if k != "total"}, rel=1e-5
    )
    assert sheet.terms["share"].sum() == pytest.approx(1.0)
    for label, sound, came in zip(("mix", "reference"), pair, (mix.audio, reference), strict=True):
        numbers, features = sheet.features[label], audio_features(sound)
        assert numbers["loudness as it came (LUFS)"] == pytest.approx(loudness(came), abs=1e-3)
        assert numbers["peak as it came (dBFS)"] == pytest.approx(
            20 * came.abs().max().log10().item(), abs=1e-3
        )
        assert numbers["RMS right (dBFS)"] == pytest.approx(20 * features["rms"][1].log10().item(), abs=1e-4)
        assert numbers["crest factor left (dB)"] == pytest.approx(
            features["crest_factor"][0].item(), abs=1e-4
        )
        assert numbers["stereo width"] == pytest.approx(features["stereo_width"].item())
        assert numbers["correlation"] == pytest.approx(np.corrcoef(sound.numpy())[0, 1], abs=1e-3)
        assert sheet.bark[label, "side"].iloc[3] == pytest.approx(
            features["bark_spectrum"][3, 1].item() * 8.685890, rel=1e-5
        )
    assert sheet.bark.shape == (24, 4) and sheet.bark.index.tolist() == bark_edges_hz()[1:-1].tolist()


def test_the_sample_rate_reaches_everything(reference):
    x, rate = 0.5 * reference[:, :60_000].flip(-1) + reference[:, 60_000:120_000], 22_050
    sheet = compare(x, reference, sample_rate=rate)
    pair = [normalize_loudness(s, sample_rate=rate) for s in (x, reference)]
    assert sheet.total == pytest.approx(audio_feature_loss(*pair, sample_rate=rate)["total"].item(), rel=1e-5)
    assert sheet.total != pytest.approx(compare(x, reference).total, rel=1e-2)
    assert sheet.features.loc["loudness as it came (LUFS)", "mix"] == pytest.approx(
        loudness(x, sample_rate=rate), abs=1e-4
    )
    bands = audio_features(pair[0], sample_rate=rate)["bark_spectrum"][:, 0] * 8.685890
    assert sheet.bark["mix", "mid"].tolist() == pytest.approx(bands.tolist(), rel=1e-4)


def test_the_level_is_matched_unless_told_otherwise(reference):
    soft = 0.25 * reference
    assert compare(soft, reference).total < 1e-6
    sheet = compare(soft, reference, match_lufs=None)
    assert sheet.total == pytest.approx(audio_feature_loss(soft, reference)["total"].item(), rel=1e-5)
    assert sheet.total > 0.1 and "as they came" in repr(sheet)


def test_the_sheet_is_one_picture_with_all_of_it(mix, reference):
    sheet = compare(mix, reference, labels=("our mix", "the record"))
    figure = sheet.figure
    text = " ".join(t.get_text() for axis in figure.axes for t in (*axis.texts, axis.title))
    assert len(figure.axes) == 6 and "audio-feature loss" in text and "our mix\ncorrelation" in text
    assert figure.axes[2].get_ylim() == figure.axes[3].get_ylim()
    cells = [cell.get_text().get_text() for cell in figure.axes[0].tables[0].get_celld().values()]
    assert "the record" in cells and "imbalance" in cells
    page = sheet._repr_html_()
    assert (
        re.search(r'alt="our mix compared with the record: audio-feature loss 0\.\d+', page)
        and len(page) < 400_000
    )
    rows = BeautifulSoup(page, "html.parser").find("table").find_all("tr")[1:]
    numbers = {row.th.text: [float(cell.text) for cell in row.find_all("td")] for row in rows}
    assert list(numbers) == sheet.features.index.tolist()
    assert np.array(list(numbers.values())) == pytest.approx(sheet.features.to_numpy(), abs=1e-3)
    assert "our mix" in repr(sheet) and "both at -16 LUFS" in repr(sheet)


@pytest.mark.filterwarnings("ignore:.*DC offset")
@pytest.mark.parametrize(
    "sound",
    [
        torch.full((2, 1), 0.5),
        torch.tensor([[0.3], [-0.3]]) * torch.sin(torch.arange(9000) / 20),
        torch.tensor([[0.3], [0.0]]) * torch.sin(torch.arange(9000) / 20),
    ],
)
def test_odd_sounds_make_a_sheet(sound, reference):
    for pair in ((sound, reference), (reference, sound)):
        sheet = compare(*pair)
        assert np.isfinite(sheet.features.to_numpy()).all() and np.isfinite(sheet.total)
        sheet.figure.canvas.draw()


def test_a_constant_is_refused(reference):
    with pytest.raises(ValueError, match=r"nothing but a DC offset$"):
        compare(torch.full((2, 9000), 0.1), reference)


def test_a_batch_of_one_in_half_precision(reference):
    assert compare(reference[None].half(), reference).total < 1e-3


def test_sheets_are_things_of_their_own(reference):
    one, two = compare(reference, reference), compare(reference, reference)
    assert one == one and one != two and len({one, two}) == 2
    assert pickle.loads(pickle.dumps(one)).total == one.total


@pytest.mark.parametrize(
    "bad, line",
    [
        (torch.zeros(2, 9000), "mix is silent"),
        (torch.ones(9000, 2), "mix has 9000 channels; a stereo mix is needed, so transpose it"),
        (torch.ones(1, 9000), "mix has 1 channel; a stereo mix"),
        (None, "mix is a NoneType"),
        (torch.full((2, 9000), float("nan")), "mix holds NaN"),
        (torch.ones(2, 9000, dtype=torch.int16), "mix is int16"),
        (torch.ones(2, 2, 9000), "mix is a batch of 2 sounds"),
        (torch.ones(1, 1, 2, 90), r"mix has the shape \(1, 1, 2, 90\)"),
    ],
)
def test_bad_input_is_named_in_one_line(bad, line, reference):
    with pytest.raises(InputError, match=line):
        compare(bad, reference)
    with pytest.raises(InputError, match=line.replace("mix ", "the record ", 1)):
        compare(reference, bad, labels=("mix", "the record"))


def test_a_mix_brings_its_rate(mix, reference):
    half = MixResult(mix.audio, mix.params, Multitrack(["a"], torch.zeros(1, 2, 9), sample_rate=22_050))
    assert (
        compare(half, mix.audio.flip(0)).total
        == compare(mix.audio, mix.audio.flip(0), sample_rate=22_050).total
    )


def test_labels_and_rates_must_fit(mix, reference):
    for labels in (("same", "same"), "ab", ("a", "b", "c"), None):
        with pytest.raises(ValueError, match="two different words"):
            compare(mix, reference, labels=labels)
    for options in (
        {"match_lufs": float("nan")},
        {"match_lufs": "-23"},
        {"match_lufs": -500},
        {"sample_rate": True},
        {"sample_rate": 0},
        {"sample_rate": "44100"},
        {"sample_rate": 22050},
    ):
        with pytest.raises(ValueError, match=next(iter(options)).split("_")[0]):
            compare(mix, reference, **options)
    other = equal_loudness(
        load_multitrack(data_dir() / "multitracks" / "rubidium", sample_rate=22050).excerpt(0, 2)
    )
    with pytest.raises(ValueError, match="22050 Hz and 44100 Hz"):
        compare(mix, other)
