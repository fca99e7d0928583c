"""A song as stems, and the checks of a song and a reference."""

import warnings

import numpy as np
import pytest
import torch
from audio_helpers import RATE, one_line, sine

from diffmst_lib import InputError, InputNote, Multitrack, loudness
from diffmst_lib.audio.multitrack import check_song, check_stereo


def tiny_song():
    """Two mono stems and a stereo one."""
    audio = torch.arange(60.0).reshape(3, 2, 10)
    audio[:2, 1] = audio[:2, 0]
    return Multitrack(["gtr", "gtr_2", "keys"], audio, sample_rate=10, title="tiny")


def test_a_song_is_named_stems_of_two_channels():
    song = tiny_song()
    assert list(song.stems) == song.names == ["gtr", "gtr_2", "keys"]
    assert all(torch.equal(stem, row) for stem, row in zip(song.stems.values(), song.audio, strict=True))
    assert song.duration_s == 1.0 and song.is_mono() == [True, True, False]


def test_names_and_audio_may_be_assigned():
    song = tiny_song()
    song.names, song.audio = ["a"], torch.ones(1, 2, 30)
    assert list(song.stems) == ["a"] and song.duration_s == 3.0


def test_as_channels_lists_what_the_paper_takes():
    names, audio = tiny_song().as_channels()
    assert names == ["gtr", "gtr_2", "keys.L", "keys.R"]
    assert torch.equal(audio, tiny_song().audio.flatten(0, 1)[[0, 2, 4, 5]])


def test_opposite_polarity_and_one_silent_channel_are_stereo():
    x = torch.ones(10)
    song = Multitrack(["a", "b", "c"], torch.stack([x, -x, x, 0 * x, 0 * x, 0 * x]).view(3, 2, 10))
    assert song.is_mono() == [False, False, True]
    assert song.as_channels()[0] == ["a.L", "a.R", "b.L", "b.R", "c"]


def test_select():
    song = tiny_song()
    chosen = song.select("keys", "gtr")
    assert chosen.names == ["gtr", "keys"]  # gtr_2 starts like gtr, and is not it
    assert (chosen.sample_rate, chosen.title) == (10, "tiny")
    assert torch.equal(song.select("gtr_2").audio, song.audio[1:2])
    with pytest.raises(KeyError, match="no stem drums, bass: there are gtr, gtr_2, keys"):
        song.select("gtr", "drums", "bass")


def test_excerpt():
    part = tiny_song().excerpt(0.2, 0.5)
    assert torch.equal(part.audio, tiny_song().audio[..., 2:7]) and part.duration_s == 0.5
    assert (part.names, part.title) == (["gtr", "gtr_2", "keys"], "tiny")
    assert tiny_song().excerpt(0.8, 5).audio.shape == (3, 2, 2)
    for start_s, duration_s in [(1.0, 1.0), (-0.5, 1.0), (0.0, 0.0), (0.0, -0.5)]:
        with pytest.raises(ValueError, match="nothing at"):
            tiny_song().excerpt(start_s, duration_s)


def test_levels():
    quarter = 0.25 * sine(1000)
    wide = torch.stack([quarter, -quarter])
    audio = torch.stack([torch.stack([quarter, quarter]), wide, 0 * wide])
    levels = Multitrack(["tone", "wide", "off"], audio).levels()
    assert levels.columns.tolist() == ["channels", "loudness_lufs", "peak_dbfs", "crest_factor_db"]
    assert levels.loc["tone", "peak_dbfs"] == pytest.approx(-12.04, abs=0.01)
    assert levels.loc["tone", "crest_factor_db"] == pytest.approx(3.01, abs=0.01)
    assert levels.loc["tone", "loudness_lufs"] == loudness(audio[0])
    assert levels["channels"].tolist() == [1, 2, 1] and levels.index.name == "stem"
    assert np.isneginf(levels.loc["off", ["loudness_lufs", "peak_dbfs"]].astype(float)).all()


@pytest.mark.parametrize(
    ("names", "shape", "message"),
    [
        (["a"], (2, 2, 10), r"1 names need audio \(1, 2, num_samples\), got \(2, 2, 10\)"),
        (["a", "b"], (2, 10), r"2 names need audio \(2, 2, num_samples\), got \(2, 10\)"),
        (["a", "b"], (2, 1, 10), "2 names need audio"),
        (["a", "b"], (2, 10, 2), "2 names need audio"),
        (["a", "b", "a"], (3, 2, 10), "several stems are named a"),
    ],
)
def test_names_and_audio_must_fit(names, shape, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Multitrack(names, torch.zeros(shape))


@pytest.mark.parametrize("audio", [np.zeros((1, 2, 10)), torch.zeros(1, 2, 10, dtype=torch.int16), None])
def test_audio_must_be_a_float_tensor(audio):
    with pytest.raises(ValueError, match="audio must be a float32 tensor"):
        Multitrack(["a"], audio)
    assert Multitrack(["a"], torch.zeros(1, 2, 10).double()).audio.dtype == torch.float64


def test_a_song_that_can_be_mixed_has_one_stem_that_sounds(noise):
    levels = check_song(Multitrack(["a", "b"], torch.stack([torch.zeros(2, RATE), noise(2, RATE)])))
    assert levels == [-np.inf, loudness(noise(2, RATE))]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.0, "demo: all 2 stems are silent"),
        (1e-5, "demo: all 2 stems are silent"),
        (np.nan, "stem b holds NaN"),
        (-np.inf, "stem b holds NaN"),
    ],
)
def test_a_song_that_cannot(value, message):
    audio = torch.zeros(2, 2, RATE)
    audio[1, 1, 7] = value
    with pytest.raises(InputError) as caught:
        check_song(Multitrack(["a", "b"], audio, title="demo"))
    assert one_line(caught, message) and caught.value.about == "song"


def test_stems_that_cancel_are_named_but_an_inverted_channel_is_a_stereo_stem(noise):
    x = noise(2, RATE)
    with pytest.raises(InputError) as caught:
        check_song(Multitrack(["a", "b"], torch.stack([x, -x])))
    assert (
        one_line(caught, "the song: the stems cancel", "opposite polarity") and caught.value.about == "song"
    )
    check_song(Multitrack(["a"], torch.stack([x[0], -x[0]])[None]))


@pytest.mark.parametrize("shape", [(2, 9000), (1, 2, 9000)])
def test_a_stereo_mix_comes_back_with_its_loudness(noise, shape):
    sound = noise(*shape)
    audio, lufs = check_stereo(sound)
    assert torch.equal(audio, sound.view(2, 9000)) and lufs == loudness(audio)
    assert audio.data_ptr() == sound.data_ptr()  # not a copy


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        ([0.0, 0.1], "the record is a list; a tensor"),
        (torch.ones(2, 100, dtype=torch.int16), "the record is int16; floating point"),
        (torch.ones(3, 2, 100), "the record is a batch of 3 sounds"),
        (torch.ones(1, 1, 2, 100), "the record has the shape (1, 1, 2, 100)"),
        (torch.ones(()), "the record has the shape ()"),
        (torch.ones(100), "the record has 1 channel; a stereo mix is needed"),
        (torch.ones(1, 100), "the record has 1 channel; a stereo mix is needed"),
        (torch.ones(100, 2), "the record has 100 channels; a stereo mix is needed, so transpose it"),
        (torch.full((2, 100), torch.nan), "the record holds NaN"),
        (torch.zeros(2, 0), "the record is silent"),
        (torch.zeros(2, 9000), "the record is silent"),
    ],
)
def test_what_is_no_stereo_mix(sound, message):
    with pytest.raises(InputError) as caught:
        check_stereo(sound, "the record")
    assert one_line(caught, message) and caught.value.about == "reference"


def test_an_offset_in_a_reference_is_told_and_others_pass_in_silence():
    sound = 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))
    with pytest.warns(InputNote, match="the record has a DC offset of 0.2, which nobody hears but"):
        check_stereo(sound + torch.tensor([[0.0], [-0.2]]), "the record")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_stereo(sound)[0] is sound


def test_stems_with_an_offset_and_stems_of_integers_are_told(noise):
    audio = torch.stack([noise(2, RATE), noise(2, RATE) + 0.2, 1e4 * noise(2, RATE), 0 * noise(2, RATE)])
    with pytest.warns(InputNote) as notes:
        check_song(Multitrack(["a", "b", "c", "d"], audio))
    offset, integers = (str(one.message) for one in notes)
    assert "DC offset" in offset and offset.endswith(": b (0.2)")
    assert "integers in a float file" in integers and ": c (" in integers
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_song(Multitrack(["a", "b"], 20 * audio[[0, 3]]))


def test_names_are_compared_as_they_look():
    with pytest.raises(ValueError, match="several stems are named \u00e9"):
        Multitrack(["\u00e9", "e\u0301"], torch.zeros(2, 2, 10))
    assert Multitrack(["\u00e9", "b"], torch.zeros(2, 2, 10)).select("e\u0301").names == ["\u00e9"]
