"""The `reference` preset against numbers computed with the authors' code (torch 2.13, CPU, float32).

| what | keys of golden/reference_console.npz | ours | allowed |
| --- | --- | --- | --- |
| physical parameters, track, fx bus, master | denorm/* | ConsoleParams.from_unit | 1e-5 of the range |
| mixes, master bus on and off, second draw | mix_master_*, ref_mix | MixingConsole | float32 |
| panned tracks | mixed_tracks_b0 | ConsoleOutput.tracks | float32 |
| gain, equalizer mono and stereo | fx_gain_*, fx_parametric_eq_* | released.gain, parametric_eq | float32 |
| biquads | biquad/* | effects.eq_response | 1e-4 |
| compressor mono, stereo with look-ahead | fx_compressor_* | released.compressor | float32 |
| panner, pan law, send bus | fx_stereo_panner, pan_law_*, fx_stereo_bus | released.panner, pan_gains | float32 |
| features of two mixes | feat/* | audio_features | 1e-3 relative |
| loss terms and total | af_loss/* | audio_feature_loss | 1e-3 relative |
| gradients of the total towards the unit parameters | grad_af_* | autograd | 1e-3 relative to the largest |
| multi-resolution STFT, released and paper's | mrstft_* | mrstft_loss | 1e-3 relative |
| Bark filterbank, 32,768 and 2,048 points | bark_fb_* | bark_filterbank | 1e-5 |

"float32" is the error of that key. The golden numbers are float32, and so is what another machine makes of
them: the released equalizer, a shelf at 60 Hz with Q 5, is 6.6e-4 away from itself in float64, and an FFT
that rounds otherwise moves it by as much. FLOAT32_ERROR holds how far each golden key is from our function in
float64. Two things are asked of a key, and neither depends on how a machine rounds:

- our function in float64 is as far from the golden numbers as written down, within 5 %: a wrong one is
  further away, a Q that is off by 0.1 % already;
- our function in float32 is at most FACTOR times as far from float64 as the golden numbers are.

The last four kinds of rows leave 20 times what was measured on machines with and without AVX2 and AVX-512
(5e-5).
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from diffmst_lib import ConsoleParams, MixingConsole, audio_feature_loss, audio_features, mrstft_loss
from diffmst_lib.console import effects, released
from diffmst_lib.style.features import bark_filterbank

GOLDEN = np.load(Path(__file__).parent / "golden" / "reference_console.npz")
FLOAT32_ERROR = {
    "mix_master_on_fx_off": 1.05e-5,
    "mix_master_off_fx_off": 2.81e-6,
    "mixed_tracks_b0": 2.29e-6,
    "ref_mix": 6.77e-6,
    "fx_gain_-6.5dB_3dB": 8.99e-9,
    "fx_parametric_eq_mono": 6.76e-5,
    "fx_parametric_eq_stereo": 6.64e-4,
    "fx_compressor_mono_la0": 2.19e-6,
    "fx_compressor_stereo_la512": 1.05e-6,
    "fx_stereo_panner": 6.05e-9,
    "fx_stereo_bus": 5.45e-9,
    "pan_law_gains": 5.72e-8,
}
FACTOR = 4
SECTION = {"track": "track", "fx": "fx_bus", "master": "master_bus"}
NAME = {"cutoff_freq": "frequency_hz", "q_factor": "q"}


def golden(key, dtype=torch.float32):
    return torch.from_numpy(GOLDEN[key]).to(dtype)


def close(ours, key, tolerance):
    torch.testing.assert_close(ours, golden(key), rtol=0, atol=tolerance)


def same_as_golden(compute, key):
    """`compute(dtype)` is the golden array but for rounding; the rule is in the head of this file."""
    exact = compute(torch.float64)
    assert exact.dtype == torch.float64
    ours, theirs = ((x.double() - exact).abs().max().item() for x in (compute(torch.float32), golden(key)))
    assert theirs == pytest.approx(FLOAT32_ERROR[key], rel=0.05)
    assert ours <= FACTOR * FLOAT32_ERROR[key]


def draw(dtype, which=""):
    """One of the two draws of parameters."""
    keys = (f"{which}track_params", "fx_bus_params", f"{which}master_bus_params")
    return ConsoleParams.from_unit(*(golden(key, dtype) for key in keys), preset="reference")


@pytest.fixture(scope="module")
def params():
    return draw(torch.float32)


@pytest.fixture(scope="module")
def console():
    return MixingConsole(44100, preset="reference")


@pytest.mark.parametrize(
    "key", [k for k in GOLDEN.files if k.startswith("denorm/") and k != "denorm/fx/reverberation/mix"]
)
def test_physical_parameters(params, key):
    _, section, effect, name = key.split("/")
    for theirs, ours in NAME.items():
        name = name.replace(theirs, ours)
    name = re.sub(r"^band([0-3])_(?=gain_db|frequency_hz|q$)", lambda band: f"peak_{int(band[1]) + 1}_", name)
    name = {"input_fader": "input_gain_db", "output_fader": "output_gain_db"}.get(effect, name)
    spec = next(s for s in params.specs(SECTION[section]) if s.name == name)
    close(params.values(SECTION[section])[name], key, 1e-5 * (spec.high - spec.low))


def test_mixes_and_panned_tracks(console):
    def mixed(dtype, **options):
        return console(golden("tracks", dtype), draw(dtype), **options)

    same_as_golden(lambda dtype: mixed(dtype).mix, "mix_master_on_fx_off")
    same_as_golden(lambda dtype: mixed(dtype).tracks[0].transpose(0, 1)[..., :22050], "mixed_tracks_b0")
    same_as_golden(lambda dtype: mixed(dtype, master_bus=False).mix, "mix_master_off_fx_off")


def test_second_draw(console):
    same_as_golden(lambda dtype: console(golden("tracks", dtype), draw(dtype, "ref_")).mix, "ref_mix")


def test_gain():
    def faded(dtype):
        return released.gain(golden("fx_input_mono", dtype), gain_db=torch.tensor([-6.5, 3.0], dtype=dtype))

    same_as_golden(faded, "fx_gain_-6.5dB_3dB")


@pytest.mark.parametrize("channels", ["mono", "stereo"])
def test_equalizer(channels):
    def equalized(dtype):
        keys = {"gain_db": "eq_gain_db", "frequency_hz": "eq_freq", "q": "eq_q"}
        settings = {name: golden(key, dtype) for name, key in keys.items()}
        return released.parametric_eq(golden(f"fx_input_{channels}", dtype), sample_rate=44100, **settings)

    same_as_golden(equalized, f"fx_parametric_eq_{channels}")


@pytest.mark.parametrize("kind", ["low_shelf", "peaking", "high_shelf"])
def test_default_equalizer_is_the_same_filter(kind):
    b, a = np.split(GOLDEN[f"biquad/{kind}"][0].astype(float), 2)
    band = {"low_shelf": 0, "peaking": 2, "high_shelf": 5}[kind]
    gain_db = torch.zeros(1, 6)
    gain_db[0, band] = 6.0
    ours = effects.eq_response(
        512,
        sample_rate=44100,
        gain_db=gain_db,
        frequency_hz=torch.full((1, 6), 1000.0),
        q=torch.full((1, 6), 0.9),
    )
    theirs = np.fft.rfft(b, 512) / np.fft.rfft(a, 512)
    np.testing.assert_allclose(ours[0].numpy(), theirs, atol=1e-4)  # the golden coefficients are float32


@pytest.mark.parametrize(("channels", "lookahead"), [("mono", 0), ("stereo", 512)])
def test_compressor(channels, lookahead):
    settings = {
        "threshold_db": [-30.0, -45.0],
        "ratio": [4.0, 10.0],
        "attack_ms": [5.0, 50.0],
        "release_ms": [50.0, 100.0],
        "knee_db": [6.0, 3.0],
        "makeup_gain_db": [0.0, 6.0],
    }

    def compressed(dtype):
        knobs = {name: torch.tensor(values, dtype=dtype) for name, values in settings.items()}
        x = golden(f"fx_input_{channels}", dtype)
        return released.compressor(x, sample_rate=44100, lookahead_samples=lookahead, **knobs)

    same_as_golden(compressed, f"fx_compressor_{channels}_la{lookahead}")


def test_panner():
    def panned(dtype):
        y = released.panner(golden("fx_input_mono", dtype)[:, 0], pan=torch.tensor([0.25, 0.8], dtype=dtype))
        return y.transpose(0, 1)[None]  # (1, 2, tracks, T)

    same_as_golden(panned, "fx_stereo_panner")


def test_pan_law():
    same_as_golden(lambda dtype: released.pan_gains(golden("pan_law_pan", dtype)).T, "pan_law_gains")


def test_send_bus():
    def sent(dtype):
        panned = golden("fx_stereo_panner", dtype).transpose(1, 2)  # (1, tracks, 2, T)
        sends = effects.db_to_gain(torch.tensor([[-6.0, -20.0]], dtype=dtype))[..., None, None]
        return (panned * sends).sum(dim=1)

    same_as_golden(sent, "fx_stereo_bus")


@pytest.mark.parametrize(("which", "key"), [("mix", "mix_master_on_fx_off"), ("ref", "ref_mix")])
def test_features(which, key):
    names = {"bark_spectrum": "barkspectrum"}
    for name, value in audio_features(golden(key), preset="reference").items():
        torch.testing.assert_close(
            value, golden(f"feat/{which}/{names.get(name, name)}"), rtol=1e-3, atol=1e-6
        )


def test_loss_terms_and_gradients(console):
    unit = [
        golden("track_params").requires_grad_(),
        golden("fx_bus_params"),
        golden("master_bus_params").requires_grad_(),
    ]
    mix = console(golden("tracks"), ConsoleParams.from_unit(*unit, preset="reference")).mix
    terms = audio_feature_loss(mix, golden("ref_mix"), preset="reference")
    terms["total"].backward()
    for name, term in terms.items():
        key = "af_loss/total" if name == "total" else f"af_loss/mix-{name.replace('bark_s', 'barks')}"
        torch.testing.assert_close(term.detach(), golden(key), rtol=1e-3, atol=0)
    for ours, key in ((unit[0].grad, "grad_af_track_params"), (unit[2].grad, "grad_af_master_bus_params")):
        close(ours, key, 1e-3 * golden(key).abs().max().item())


@pytest.mark.parametrize(
    ("preset", "key"), [("reference", "mrstft_config_yaml"), ("default", "mrstft_paper_L1lin_log")]
)
def test_mrstft(preset, key):
    loss = mrstft_loss(golden("mix_master_on_fx_off"), golden("ref_mix"), preset=preset)
    torch.testing.assert_close(loss, golden(key), rtol=1e-3, atol=0)


def test_bark_filterbank():
    bank = bark_filterbank(44100, preset="reference")
    dense = torch.zeros_like(bank)
    rows, columns = golden("bark_fb_sparse_idx").long().T
    dense[rows, columns] = golden("bark_fb_sparse_val")
    torch.testing.assert_close(bank, dense, rtol=0, atol=1e-5)
    close(bark_filterbank(44100, 2048, preset="reference"), "bark_fb_small_1025x24", 1e-5)
