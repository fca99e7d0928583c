"""A strip in the words of a workstation: gains, the trim, and the sound of the session in another's hands."""

import math

import numpy as np
import pedalboard
import pytest
import scipy.signal
import torch
from dawproject_sessions import mixed, value, written

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, MixingConsole
from diffmst_lib.audio.loudness import loudness
from diffmst_lib.audio.meters import true_peak_db
from diffmst_lib.audio.octaves import stereo_spectrum
from diffmst_lib.console.effects import parametric_eq
from diffmst_lib.export.workstation import channel_values, is_compressed
from diffmst_lib.mixing.bus import hold_bus

RATE = 44100


@pytest.fixture(scope="module")
def real():
    """3 s of a real song in eight stems."""
    return dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(5.0, 3.0)


def plain(params):
    """The same without what no DAWproject can hold: hard knees, widths of 1."""
    params = params.clone()
    for strip in (*(params.track(name) for name in params.names), params.master_bus):
        strip["knee_db"], strip["width"] = 0.0, 1.0
    return params


def test_a_gain_beyond_the_fader_is_in_the_compressor():
    knobs = dict(ConsoleParams.neutral(["kick"]).track("kick")) | {"fader_db": 12.0, "input_gain_db": -3.0}
    values = channel_values(knobs, compressed=is_compressed([knobs]))
    assert values["volume"] == pytest.approx(2.0)
    assert values["output"] + 20 * math.log10(values["volume"]) == pytest.approx(9.0)
    assert "output" not in channel_values(knobs | {"fader_db": 5.0}, compressed=False)
    assert channel_values(knobs | {"fader_db": -60.0}, compressed=False)["volume"] == 0.0


def test_the_trim_in_threshold_and_gain_is_the_trim(stems):
    knobs = dict(mixed(["kick"]).track("kick")) | {"knee_db": 6.0}
    console = MixingConsole(RATE)
    for trim_db, threshold_db in ((7.0, -30.0), (-20.0, -10.0), (20.0, -50.0)):
        params, other = ConsoleParams.neutral(["kick"]), ConsoleParams.neutral(["kick"])
        for name, number in (knobs | {"input_gain_db": trim_db, "threshold_db": threshold_db}).items():
            params.track("kick")[name] = other.track("kick")[name] = number
        values = channel_values(dict(params.track("kick")), compressed=True)
        strip = other.track("kick")
        strip["input_gain_db"], strip["threshold_db"] = values["input"], values["threshold"]
        assert (values["input"] == 0.0) == (-60.0 <= threshold_db - trim_db <= 0.0)
        strip["makeup_gain_db"] = strip["fader_db"] = 0.0
        ours = console.render(stems[:1], params)
        gain = values["volume"] * 10 ** (values["output"] / 20)
        assert (gain * console.render(stems[:1], other) - ours).abs().max() < 1e-4 * ours.abs().max()


def play(root, song, *, one=False):
    """Render a session from its numbers: textbook biquads, textbook compressors without look-ahead."""
    sums = np.zeros((2, song.audio.shape[-1]))
    for track, stem in zip(root.iter("Track"), song.audio.double().numpy(), strict=False):
        channel = track.find("Channel")
        sums += volume_and_pan(channel, devices(channel, stem, one))
    master = next(channel for channel in root.iter("Channel") if channel.get("role") == "master")
    return torch.from_numpy(volume_and_pan(master, devices(master, sums, one))).float()


def devices(channel, x, one):
    """Run a channel's devices; `one`: a single compressor instead of two."""
    for band in channel.iterfind("Devices/Equalizer/Band"):
        b, a = cookbook(band.get("type"), *(value(band, tag) for tag in ("Freq", "Gain", "Q")))
        x = scipy.signal.lfilter(b, a, x)
    settings = [
        {child.tag: float(child.get("value")) for child in compressor if child.get("unit")}
        for compressor in channel.iterfind("Devices/Compressor")
    ]
    if one:
        ratio = math.prod(p["Ratio"] for p in settings)
        settings = [settings[-1] | {"Ratio": ratio, "InputGain": settings[0].get("InputGain", 0.0)}]
    for p in settings:
        x = compress(x, p)
    return x


def volume_and_pan(channel, x):
    angle = value(channel, "Pan") * math.pi / 2 if channel.find("Pan") is not None else math.pi / 4
    return value(channel, "Volume") * math.sqrt(2) * np.array([[math.cos(angle)], [math.sin(angle)]]) * x


def cookbook(kind, hz, gain_db, q):
    """R. Bristow-Johnson's digital filters, from his formulas."""
    a, w = 10 ** (gain_db / 40), 2 * math.pi * hz / RATE
    cos, alpha = math.cos(w), math.sin(w) / (2 * q)
    if kind == "bell":
        return [1 + alpha * a, -2 * cos, 1 - alpha * a], [1 + alpha / a, -2 * cos, 1 - alpha / a]
    sign, root = (1 if kind == "lowShelf" else -1), 2 * math.sqrt(a) * alpha
    b = [a * (a + 1 - sign * (a - 1) * cos + root), sign * 2 * a * (a - 1 - sign * (a + 1) * cos)]
    b.append(a * (a + 1 - sign * (a - 1) * cos - root))
    c = [a + 1 + sign * (a - 1) * cos + root, -sign * 2 * (a - 1 + sign * (a + 1) * cos)]
    return b, [*c, a + 1 + sign * (a - 1) * cos - root]


def compress(x, p):
    """A feed-forward compressor with a hard knee: peaks of both channels, the gain smoothed in dB."""
    level = 20 * np.log10(np.maximum(np.abs(x).max(axis=0), 1e-8)) + p.get("InputGain", 0.0)
    wanted = (1 / p["Ratio"] - 1) * np.maximum(level - p["Threshold"], 0.0)
    down, up = (math.exp(-1 / (RATE * time)) for time in (p["Attack"], p["Release"]))
    gain, gains = 0.0, []
    for target in wanted.tolist():
        pole = down if target < gain else up
        gain = target + pole * (gain - target)
        gains.append(gain)
    return x * 10 ** ((np.array(gains) + p.get("InputGain", 0.0) + p.get("OutputGain", 0.0)) / 20)


def measures(audio):
    lufs = loudness(audio, sample_rate=RATE)
    octaves = stereo_spectrum(audio, sample_rate=RATE).octaves_db()
    return lufs, true_peak_db(audio) - lufs, octaves


def differences(ours, theirs):
    """LU, dB of peak to loudness, and the most of any octave in dB."""
    (lufs, plr, octaves), (other_lufs, other_plr, other_octaves) = measures(ours), measures(theirs)
    heard = octaves > -60.0  # an octave without music has no color
    return other_lufs - lufs, other_plr - plr, np.abs(other_octaves - octaves)[heard].max()


def at_level(song, params):
    """The mix with the song at -20 LUFS before the master, as all of ours are."""
    return hold_bus(MixingConsole(RATE), song, params)


@pytest.mark.parametrize("seed", [0, 1])
def test_another_program_makes_nearly_the_same_sound(tmp_path, real, seed):
    params = at_level(real, plain(mixed(real.names, seed)))
    ours = MixingConsole(RATE).render(real.audio, params)
    lu, plr, octave = differences(ours, play(written(tmp_path, real, params), real))
    print(f"{lu:+.2f} LU, PLR {plr:+.2f} dB, an octave {octave:.2f} dB")
    assert abs(lu) < 1 and abs(plr) < 1 and octave < 1


def test_one_compressor_without_look_ahead_would_let_peaks_through(tmp_path, real):
    params = plain(mixed(real.names, ratio=4.0))
    for name in params.names:
        params.track(name)["threshold_db"], params.track(name)["attack_ms"] = -30.0, 4.0
    params = at_level(real, params)
    root = written(tmp_path, real, params)
    ours = MixingConsole(RATE).render(real.audio, params)
    single, double = (differences(ours, play(root, real, one=one)) for one in (True, False))
    print(f"PLR {single[1]:+.2f} dB, an octave {single[2]:.2f} dB; two {double[1]:+.2f}, {double[2]:.2f}")
    assert abs(double[1]) < 1.0 < single[1] and double[2] < single[2]


@pytest.mark.parametrize(("kind", "band"), [("LowShelfFilter", 0), ("PeakFilter", 1), ("HighShelfFilter", 5)])
def test_equalizers_of_others_read_the_same_numbers(kind, band, noise):
    hz, gain_db, q = (120.0, 900.0, 6000.0)[min(band, 2)], 5.0, 0.9
    x = noise(1, 2, RATE)
    theirs = getattr(pedalboard, kind)(cutoff_frequency_hz=hz, gain_db=gain_db, q=q)(x[0].numpy(), RATE)
    gains = torch.zeros(1, 6)
    gains[0, band] = gain_db
    frequency = torch.tensor([[100.0, 150.0, 700.0, 2500.0, 6000.0, 8000.0]])
    frequency[0, band] = hz
    ours = parametric_eq(x, sample_rate=RATE, gain_db=gains, frequency_hz=frequency, q=torch.full((1, 6), q))
    assert np.abs(ours[0].numpy() - theirs).max() < 1e-3 * np.abs(theirs).max()
