"""A mix as a file: turned down where its format has no headroom, never clipped, written whole or not at all."""

import json
import math
import os
import warnings

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from audio_helpers import one_line, sine
from torch.nn.functional import avg_pool1d

from diffmst_lib import InputError, InputNote, data_dir, load_audio, loudness
from diffmst_lib.audio import delivery
from diffmst_lib.audio.delivery import MIX_FILES, TOLD_DB, TOP_DBTP, mix_name, save_mix, stem_files
from diffmst_lib.audio.encoding import FORMATS
from diffmst_lib.disk import write_together

RATE = 44100
TIGHT = [word for word, kind in FORMATS.items() if not kind.has_headroom]
LOSSLESS = [word for word in TIGHT if word != "mp3"]


def eightfold_peak_db(x):
    """The true peak by another oversampling than the library's."""
    between = scipy.signal.resample_poly(x.double().numpy(), 8, 1, axis=-1)
    return 20 * math.log10(max(np.abs(between).max(), x.abs().max().item()))


@pytest.fixture(scope="module")
def loud():
    """3 s of a record 8 dB over full scale."""
    return 2.5 * load_audio(data_dir() / "references" / "vibe_ace.ogg")[:, 5 * RATE : 8 * RATE]


def noted(*expected):
    """A context in which exactly these parts of notes are told, in order."""
    return _Notes(expected)


class _Notes(warnings.catch_warnings):
    def __init__(self, expected):
        super().__init__(record=True)
        self.expected = expected

    def __enter__(self):
        self.found = super().__enter__()
        warnings.simplefilter("always")
        return self.found

    def __exit__(self, kind, *rest):
        super().__exit__(kind, *rest)
        if kind is None:
            messages = [str(one.message) for one in self.found]
            assert len(messages) == len(self.expected), messages
            for message, parts in zip(messages, self.expected, strict=True):
                assert all(part in message for part in parts) and "\n" not in message, message


def mix_path(tmp_path, word):
    return tmp_path / mix_name(word)


# Formats


@pytest.mark.parametrize("word", TIGHT)
def test_a_loud_mix_is_turned_down_as_a_whole_and_told(tmp_path, loud, word):
    with noted(
        [f"{mix_name(word)}: turned down by ", " dB to -1 dBTP", FORMATS[word].about, "; now "]
    ) as notes:
        made = save_mix(mix_path(tmp_path, word), loud, format=word)
    read = load_audio(made.path)
    assert made.path == mix_path(tmp_path, word) and read.shape == loud.shape
    assert eightfold_peak_db(read) <= TOP_DBTP + 0.1
    assert made.true_peak_dbtp == pytest.approx(eightfold_peak_db(read), abs=0.1)
    assert made.true_peak_dbtp <= TOP_DBTP + 1e-3
    assert made.gain_db == pytest.approx(
        TOP_DBTP - eightfold_peak_db(loud), abs=0.15 if word != "mp3" else 1.0
    )
    assert f"by {-made.gain_db:.1f} dB" in str(notes[0].message)
    assert made.lufs == pytest.approx(loudness(read), abs=0.05)
    whole = loud * 10 ** (made.gain_db / 20)  # one gain for all of it: nothing is bent
    error_db = 10 * math.log10((read - whole).square().mean() / whole.square().mean())
    assert error_db < (-25 if word == "mp3" else -70)


@pytest.mark.parametrize("word", LOSSLESS)
def test_a_mix_that_fits_is_written_as_it_is_and_nothing_is_told(tmp_path, loud, word):
    quiet = 0.1 * loud
    with noted():
        made = save_mix(mix_path(tmp_path, word), quiet, format=word)
    assert made.gain_db == 0.0 and made.limiting is None
    assert (load_audio(made.path) - quiet).abs().max() <= 1.5 / 2**15


def test_a_float_file_keeps_what_lies_above_full_scale(tmp_path, loud):
    with noted():
        made = save_mix(tmp_path / "mix.wav", loud)
    assert torch.equal(load_audio(made.path), loud)
    assert made.gain_db == 0.0 and made.true_peak_dbtp == pytest.approx(eightfold_peak_db(loud), abs=0.1)


def test_an_mp3_is_turned_down_again_until_it_decodes_below_the_top(tmp_path, noise):
    """Square waves lose their highest partials, and so their peaks rise."""
    x = 0.891 * torch.sign(sine(997))[None].repeat(2, 1)
    with noted(["turned down by"]):
        made = save_mix(tmp_path / "mix.mp3", x, format="mp3")
    read = load_audio(made.path)
    assert eightfold_peak_db(read) <= TOP_DBTP + 0.1 and made.true_peak_dbtp <= TOP_DBTP
    assert eightfold_peak_db(read) > TOP_DBTP - 1.5  # and not by much more than need be


def test_an_mp3_of_another_rate_is_resampled_and_told(tmp_path, noise):
    with noted(["mix.mp3: MP3 has no 96000 Hz, resampled to 48000 Hz"]):
        made = save_mix(tmp_path / "mix.mp3", 0.3 * noise(2, 96_000), sample_rate=96_000, format="mp3")
    info = soundfile.info(made.path)
    assert (info.samplerate, info.frames) == (48_000, 48_000)


@pytest.mark.parametrize("word", list(FORMATS))
@pytest.mark.parametrize("x", [torch.zeros(2, 1000), torch.ones(1, 1), torch.full((2, 3), 1e-9)], ids=str)
def test_silence_and_short_sounds(tmp_path, word, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        made = save_mix(mix_path(tmp_path, word), x, format=word)
    assert soundfile.info(made.path).frames == x.shape[1] and made.gain_db <= 0.0


def test_names_of_mixes():
    assert MIX_FILES == ("mix.wav", "mix.flac", "mix.mp3")
    assert {mix_name(word) for word in FORMATS} == set(MIX_FILES)
    with pytest.raises(InputError, match="format must be one of"):
        mix_name("ogg")


# The limiter


@pytest.mark.parametrize(("word", "ceiling"), [("wav", -1.0), ("flac", 0.0), ("wav16", -3.0), ("mp3", -2.0)])
def test_a_ceiling_limits_the_mix_and_is_told(tmp_path, loud, word, ceiling):
    parts = [f"{mix_name(word)}: the limiter is on, at {ceiling:g} dBTP: it takes off at most ", "sessions"]
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        made = save_mix(mix_path(tmp_path, word), loud, format=word, ceiling_dbtp=ceiling)
    told, *more = [str(one.message) for one in notes]
    assert all(part in told for part in parts)
    assert len(more) == (made.gain_db < -TOLD_DB) <= (word == "mp3")  # whose peaks move
    read = load_audio(made.path)
    assert eightfold_peak_db(read) <= ceiling + 0.1
    assert made.limiting.most_db > 5.0 and made.gain_db > (-1.0 if word == "mp3" else -0.01)
    assert loudness(read) > loudness(loud) + ceiling - 5  # the peaks are lower by 8 dB more than the whole


def test_a_ceiling_that_is_not_reached_changes_nothing(tmp_path, loud):
    with noted(["the limiter is on, at -1 dBTP: it takes off at most 0.0 dB, in 0.0 % of the time"]):
        made = save_mix(tmp_path / "mix.wav", 0.1 * loud, ceiling_dbtp=-1.0)
    assert torch.equal(load_audio(made.path), 0.1 * loud)


# Stems


def saved_stems(folder, names, sounds, word):
    files = stem_files(names, iter(sounds), sample_rate=RATE, format=word)
    write_together(folder, {f"stems/{file}": write for file, write in files.items()})
    return [load_audio(folder / "stems" / file) for file in files]


@pytest.fixture
def three(noise, tmp_path):
    (tmp_path / "stems").mkdir()
    dull = [avg_pool1d(noise(2, 20_008, seed=seed), 9, 1) for seed in range(3)]  # as an MP3 can keep it
    return [gain * sound for sound, gain in zip(dull, (3.0, 18.0, 0.03), strict=True)]


@pytest.mark.parametrize("word", TIGHT)
def test_stems_are_turned_down_alike_so_that_their_sum_stays_the_mix(tmp_path, three, word):
    with noted(
        ["stems: all stems turned down by ", "the loudest to -1 dBTP", "what reached the master bus"]
    ) as notes:
        read = saved_stems(tmp_path, ["a", "b", "c"], three, word)
    said_db = float(str(notes[0].message).split("turned down by ")[1].split()[0])
    total, wanted = sum(read), sum(three)
    found_db = 20 * math.log10((total * wanted).sum() / wanted.square().sum())
    assert found_db == pytest.approx(-said_db, abs=0.15 if word == "mp3" else 0.06)
    rest = total - wanted * 10 ** (found_db / 20)
    assert 10 * math.log10(rest.square().mean() / total.square().mean()) < (-20 if word == "mp3" else -60)
    assert max(map(eightfold_peak_db, read)) <= TOP_DBTP + 0.1
    assert sorted(os.listdir(tmp_path / "stems")) == sorted(f"{name}{FORMATS[word].suffix}" for name in "abc")


def test_stems_in_float_are_written_as_they_are(tmp_path, three):
    with noted():
        read = saved_stems(tmp_path, ["a", "b", "c"], three, "wav")
    assert all(torch.equal(x, y) for x, y in zip(read, three, strict=True))


def test_stems_that_fit_stay_as_they_are(tmp_path, three):
    with noted():
        read = saved_stems(tmp_path, ["a", "b"], [three[0], three[2]], "flac")
    assert (read[0] - three[0]).abs().max() < 2**-23


# Bad input


@pytest.mark.parametrize("word", ["wav", "mp3"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_and_the_old_file_stays(tmp_path, loud, word, value):
    path = mix_path(tmp_path, word)
    path.write_bytes(b"old")
    with pytest.raises(InputError) as caught:
        save_mix(path, torch.full((2, 100), value), format=word)
    assert one_line(caught, path.name, "NaN or infinite")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "ogg"}, "format must be one of"),
        ({"ceiling_dbtp": 0.5}, "ceiling must be"),
        ({"ceiling_dbtp": math.nan}, "ceiling must be"),
    ],
)
def test_bad_options_cost_one_line_and_no_file(tmp_path, noise, options, message):
    with pytest.raises(InputError, match=message):
        save_mix(tmp_path / "mix.wav", noise(2, 100), **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("name", "shape"), [("mix.flac", (2, 9)), ("mix.wav", (9,)), ("mix.wav", (6, 9))])
def test_other_shapes_and_endings_are_errors(tmp_path, name, shape):
    with pytest.raises(ValueError, match="a mix is"):
        save_mix(tmp_path / name, torch.zeros(shape))


@pytest.mark.skipif(os.name != "posix", reason="elsewhere no limit can be set")
@pytest.mark.parametrize("word", list(FORMATS))
def test_a_disk_that_is_full_costs_one_line_and_keeps_the_old_file(tmp_path, noise, word):
    import resource

    path = mix_path(tmp_path, word)
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(InputError) as caught:
            save_mix(path, noise(2, 2 * RATE), format=word)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert one_line(caught, f"{path.name}: not written (File too large)")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]


def test_an_interrupt_leaves_the_old_file(tmp_path, noise, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    path = tmp_path / "mix.mp3"
    path.write_bytes(b"old")
    monkeypatch.setattr(delivery, "_read", interrupted)  # while the MP3 is decoded
    with pytest.raises(KeyboardInterrupt):
        save_mix(path, noise(2, 1000), format="mp3")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["mix.mp3"]


def test_a_delivery_says_what_can_be_kept_as_json(tmp_path, noise):
    made = save_mix(tmp_path / "mix.flac", noise(2, RATE), format="flac")
    assert json.loads(json.dumps([made.gain_db, made.true_peak_dbtp, made.lufs])) == [
        made.gain_db,
        made.true_peak_dbtp,
        made.lufs,
    ]
