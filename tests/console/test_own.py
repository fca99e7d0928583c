"""A console with effects of one's own: its knobs, its sound, and what is refused when it is registered."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from own_console import DRIVE, SATURATOR, saturate

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, Effect, InputError, MixingConsole, ParamSpec
from diffmst_lib.console.specs import base_console, takes_stems
from diffmst_lib.console.table import SECTIONS, knob_index, param_table

RATE = 44100
NAMES = ["kick", "vox"]


def tilt(x, sample_rate, tilt_db):
    """Opposite gains of left and right: it says where stereo is."""
    gain = 10 ** (tilt_db / 20)[:, None, None]
    return torch.cat([x[:, :1] * gain, x[:, 1:] / gain], dim=1)


TILT = Effect(
    "tilt", (ParamSpec("tilt_db", "tilt", "dB", -6.0, 6.0, "linear", 0.0, 3.0, "image"),), tilt, "fader"
)


@pytest.fixture(scope="module", autouse=True)
def registered():
    dm.register_console("both", strip=[SATURATOR, TILT], master=[replace(SATURATOR, after="width")])


def neutral(preset="warm"):
    return ConsoleParams.neutral(NAMES, preset=preset)


def stems(noise, *, mono=False):
    x = noise(2, 2, 4410)
    return x[:, :1].expand(-1, 2, -1) if mono else x


def test_our_columns_keep_their_places():
    for section in SECTIONS:
        ours, warm = param_table(section), param_table(section, "warm")
        assert warm[: len(ours)] == ours
        assert warm[len(ours) :] == ((DRIVE,) if section == "track" else ())
    assert knob_index("pan", "track", "warm") == knob_index("pan")
    assert knob_index("drive_db", "track", "warm") == 29
    assert [spec.name for spec in param_table("track", "both")[29:]] == ["drive_db", "tilt_db"]
    assert param_table("master_bus", "both")[-1] == DRIVE
    assert (DRIVE.moves, DRIVE.aspect) == (8.0, "tone")


def test_presets_know_what_they_are_based_on():
    assert [base_console(name) for name in ("default", "warm", "paper-warm")] == ["default"] * 2 + [
        "reference"
    ]
    assert takes_stems("warm") and not takes_stems("paper-warm")


@pytest.mark.parametrize("mono", [False, True])
def test_neutral_it_is_the_console_that_it_is_based_on(noise, mono):
    x, ours = stems(noise, mono=mono), ConsoleParams.neutral(NAMES)
    torch.testing.assert_close(
        MixingConsole(RATE, "both")(x, neutral("both")).mix, MixingConsole(RATE)(x, ours).mix
    )


@pytest.mark.parametrize("mono", [False, True])
def test_the_effect_is_heard_where_it_stands(noise, mono):
    """Between a trim and an equalizer that does nothing, and a fader."""
    x, params = stems(noise, mono=mono), neutral()
    params.track("vox")["drive_db"], params.track("vox")["fader_db"] = 12.0, -6.0
    out = MixingConsole(RATE, "warm")(x, params)
    driven = saturate(x[1:], RATE, drive_db=torch.tensor([12.0]))[0] * 10 ** (-6 / 20)
    torch.testing.assert_close(out.tracks[0], x[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.tracks[1], driven, atol=1e-5, rtol=0)


def test_after_the_fader_a_mono_stem_is_stereo(noise):
    x, params = stems(noise, mono=True), neutral("both")
    params.track("kick")["tilt_db"] = 6.0
    left, right = MixingConsole(RATE, "both")(x, params).tracks[0]
    torch.testing.assert_close(left, right * 10 ** (12 / 20), atol=1e-5, rtol=1e-4)


def test_before_the_threshold_it_drives_the_compressor(noise):
    """The order of the signal: what the equalizer's neighbor adds, the compressor meets."""
    x, params = stems(noise), neutral()
    params.tracks[:, knob_index("threshold_db")], params.tracks[:, knob_index("ratio")] = -40.0, 20.0
    seen = []
    MixingConsole(RATE, "warm", meter=lambda before, after, makeup_db: seen.append(before))(x, params)
    params.tracks[:, -1] = 24.0
    MixingConsole(RATE, "warm", meter=lambda before, after, makeup_db: seen.append(before))(x, params)
    soft, loud = seen[0], seen[2]  # of the strips; the master is heard after them
    torch.testing.assert_close(loud, saturate(soft, RATE, torch.full((2,), 24.0)), atol=1e-5, rtol=0)


def test_on_the_master(noise):
    x, params = stems(noise), neutral("both")
    params.master_bus["drive_db"], params.master_bus["output_gain_db"] = 24.0, -3.0
    driven = saturate(x.sum(dim=0)[None], RATE, drive_db=torch.tensor([24.0]))[0] * 10 ** (-3 / 20)
    for mix in (MixingConsole(RATE, "both")(x, params).mix, MixingConsole(RATE, "both").render(x, params)):
        torch.testing.assert_close(mix, driven, atol=1e-5, rtol=0)


def test_on_mono_channels(noise):
    x, params = noise(2, 4410), neutral("paper-warm")
    before = MixingConsole(RATE, "paper-warm")(x, params).mix
    torch.testing.assert_close(before, MixingConsole(RATE, "reference")(x, neutral("reference")).mix)
    params.track("kick")["drive_db"] = 12.0
    assert (MixingConsole(RATE, "paper-warm")(x, params).mix - before).abs().max() > 1e-3


def test_gradients_reach_the_knob(noise):
    params = neutral()
    params.tracks[:, -1] = 6.0
    params.tracks.requires_grad_()
    MixingConsole(RATE, "warm")(stems(noise), params).mix.square().mean().backward()
    assert bool((params.tracks.grad[:, -1].abs() > 1e-6).all())


def test_strips_files_and_logits_have_the_knob():
    params = neutral()
    params.track("vox")["drive_db"] = 6.0
    with pytest.raises(ValueError, match=r"vox: drive_db = 30 dB is outside 0 to 24"):
        params.track("vox")["drive_db"] = 30
    again = ConsoleParams.from_json(params.to_json())
    assert again.preset == "warm"
    torch.testing.assert_close(again.tracks, params.tracks)
    assert params.to_frame().loc["vox", "drive_db"] == 6.0
    for way, back in (("to_unit", "from_unit"), ("to_logits", "from_logits")):
        parts = getattr(params, way)()
        there = getattr(ConsoleParams, back)(*parts, names=NAMES, preset="warm")
        assert there.track("vox")["drive_db"] == pytest.approx(6.0, abs=1e-3)


def test_a_file_of_a_console_that_nobody_registered():
    data = json.loads(neutral().to_json()) | {"preset": "unheard"}
    with pytest.raises(InputError) as error:
        ConsoleParams.from_json(json.dumps(data))
    message = str(error.value)
    assert message.startswith("no console is registered as 'unheard' (known: default, ")
    assert "import the module that registers it" in message and "\n" not in message


def test_a_file_imports_nothing():
    """In a process that has not registered it, the name alone brings no code."""
    code = (
        "import sys, diffmst_lib as dm\n"
        "try:\n    dm.ConsoleParams.from_json(sys.stdin.read())\n"
        "except ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=neutral().to_json(), capture_output=True, text=True, check=True
    )
    assert "no console is registered as 'warm' (known: default, reference)" in done.stdout


def test_registering_again_is_fine_and_something_else_is_not():
    dm.register_console("warm", strip=[SATURATOR])
    with pytest.raises(InputError, match="another console is registered as 'warm'"):
        dm.register_console("warm", strip=[replace(SATURATOR, after="gain")])
    for name in ("default", "reference", "channels"):
        with pytest.raises(InputError, match=f"'{name}' is one of ours"):
            dm.register_console(name, strip=[SATURATOR])
    with pytest.raises(InputError, match="base must be one of default, reference, not 'warm'"):
        dm.register_console("warmer", base="warm")


def effect(run=saturate, knobs=(DRIVE,), **changes):
    return replace(SATURATOR, run=run, knobs=knobs, **changes)


def louder(x, sample_rate, drive_db):
    return 1.1 * saturate(x, sample_rate, drive_db)


def infinite(x, sample_rate, drive_db):
    return x / (1 - drive_db / 24)[:, None, None]


def rounded(x, sample_rate, drive_db):
    return saturate(x, sample_rate, drive_db.detach())


def blown(x, sample_rate, drive_db):
    return x * (1 + 0 * torch.sqrt(drive_db)[:, None, None])


def short(x, sample_rate, drive_db):
    return saturate(x, sample_rate, drive_db)[..., :-1]


def swapped(x, sample_rate, drive_db):
    share = (drive_db / 24)[:, None, None]
    return x + share * 0.5 * torch.cat([x[:, :1], -x[:, 1:]], dim=1)


REFUSED = {
    "takes effects, Effect": "saturate",
    "run must be a function": effect(run="tanh"),
    "after must be one of gain, equalizer, compressor, fader, not 'width'": effect(after="width"),
    "knobs must be a tuple of ParamSpec": effect(knobs=()),
    "there is a knob 'pan' already": effect(knobs=(replace(DRIVE, name="pan"),)),
    "there is a knob 'drive_db' already": effect(knobs=(DRIVE, DRIVE)),
    "its knob drive_db says that it belongs to 'fuzz'": effect(knobs=(replace(DRIVE, effect="fuzz"),)),
    "with neutral knobs it changes its input, by up to 0.0": effect(louder),
    "knobs at high: the sound is not finite": effect(infinite),
    "run has no gradient in drive_db": effect(rounded),
    "the gradient in drive_db is not finite": effect(blown),
    "like its input (2, 2, 4096), got (2, 2, 4095)": effect(short),
    'place the effect after="fader"': effect(swapped),
    "TypeError: saturate() got an unexpected keyword argument 'mix'": effect(
        knobs=(DRIVE, replace(DRIVE, name="mix"))
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(message):
    with pytest.raises(InputError) as error:
        dm.register_console("refused", strip=[REFUSED[message]])
    assert message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no console is registered as 'refused'"):
        param_table("track", "refused")


def test_one_effect_is_no_list():
    with pytest.raises(InputError, match=r"strip and master take lists of effects, not Effect\("):
        dm.register_console("refused", master=effect())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "drive db"}, "must be a word"),
        ({"aspect": "color"}, "aspect must be one of balance, tone, dynamics, image, not 'color'"),
        ({"aspect": ""}, "aspect must be one of balance, tone, dynamics, image, not None"),
        ({"scale": "cubic"}, "scale must be linear or log"),
        ({"low": 24.0}, "the range 24.0 to 24.0 is none"),
        ({"scale": "log", "step": 2.0}, "a log scale starts above 0"),
        ({"neutral": 25.0}, "the neutral value 25.0 is outside"),
        ({"step": 0.0}, "step cannot be 0.0"),
    ],
)
def test_knobs_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(DRIVE, **changes)
