"""The mixing desk sounds like the library's console, measured in a browser."""

import base64
import math

import numpy as np
import pytest
import torch
from desk_page import STEM_BUFFERS, busy_params, lossless
from widget_sounds import RATE, stems, tones

import diffmst_lib as dm
from diffmst_lib.console.table import OFF_DB

# Plays the desk of the page once through, offline: from lossless samples, or from the MP3 files in the page.
RENDER = (
    """async ({ lossless, worklet }) => {
  const desk = await import("/desk.js");
  const state = JSON.parse(document.querySelector(".dm-desk + script").textContent);
  const { setup } = state, { strips, num_samples, sample_rate } = setup;
  const context = new OfflineAudioContext(2, num_samples, sample_rate);
  let buffers;
  if (lossless) {"""
    + STEM_BUFFERS
    + """
    buffers = stemBuffers(setup);
  } else {
    const bytes = state.audio.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    buffers = await Promise.all(bytes.map((file) => context.decodeAudioData(file.buffer)));
  }
  const scales = lossless ? strips.map(() => 1) : state.scales;
  const options = {
    ...desk.engineSetup(setup, buffers, scales, sample_rate),
    values: desk.soundingValues(state), playing: true, loop: false,
  };
  let channels, kind;
  if (worklet) {
    const { node } = await desk.makeNode(context, options, () => {});
    kind = node.constructor.name;
    node.connect(context.destination);
    const rendered = await context.startRendering();
    channels = [0, 1].map((channel) => rendered.getChannelData(channel));
  } else { // as the script processor does it: in blocks of 2048
    const engine = new (desk.makeDsp().Engine)(options, () => {});
    kind = "Engine";
    channels = [new Float32Array(num_samples), new Float32Array(num_samples)];
    for (let i = 0; i < num_samples; i += 2048) engine.process(...channels.map((whole) => whole.subarray(i, i + 2048)));
  }
  const letters = (samples) => {
    const bytes = new Uint8Array(samples.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  };
  return { kind, channels: channels.map(letters) };
}"""
)


def rendered(tab, **options):
    answer = tab.evaluate(RENDER, options)
    channels = [np.frombuffer(base64.b64decode(text), np.float32) for text in answer["channels"]]
    return answer["kind"], torch.from_numpy(np.stack(channels))


def differences(ours, theirs):
    """Return the error in dB below the sound, and the largest differences in dB: Bark bands of mid and side, RMS."""
    error = 10 * math.log10((ours - theirs).square().mean() / theirs.square().mean())
    bands = (20 / math.log(10)) * (dm.features.bark_spectrum(ours) - dm.features.bark_spectrum(theirs))
    level = 20 * torch.log10(dm.features.rms(ours) / dm.features.rms(theirs))
    return error, bands.abs().max().item(), level.abs().max().item()


@pytest.mark.parametrize(("seed", "worklet"), [(0, True), (1, False)])
def test_it_sounds_like_the_librarys_console(visit, excerpt, seed, worklet):
    params = busy_params(excerpt, seed)
    tab = visit(dm.desk(excerpt, params), tracks=lossless(excerpt))
    kind, ours = rendered(tab, lossless=True, worklet=worklet)
    assert kind == ("AudioWorkletNode" if worklet else "Engine")
    theirs = dm.MixingConsole(RATE).render(excerpt.audio, params)
    neutral = dm.MixingConsole(RATE).render(excerpt.audio, dm.ConsoleParams.neutral(excerpt.names))
    assert differences(neutral, theirs)[1] > 6  # the knobs do something
    error, bands, level = differences(ours, theirs)
    print(f"error {error:.1f} dB, Bark bands {bands:.5f} dB, RMS {level:.5f} dB")
    assert error < -90 and bands < 0.01 and level < 0.001  # asked for: 0.5 dB, 0.5 dB


def test_it_is_the_library_at_every_extreme(visit, excerpt):
    """Knobs at the ends of their ranges: all low but the faders, which would be off; all high; mute, solo, bypass."""
    song = excerpt.excerpt(1, 1).select("kick", "bgvox_main")
    for end in (0.0, 1.0):
        units = [torch.full_like(unit, end) for unit in dm.ConsoleParams.neutral(song.names).to_unit()]
        params = dm.ConsoleParams.from_unit(*units, names=song.names)
        for name in song.names:
            params.track(name)["send_db"] = OFF_DB
            params.track(name)["fader_db"] = max(-30.0, params.track(name)["fader_db"])
        desk = dm.desk(song, params)
        desk.bypassed = [["kick", "eq"], ["master_bus", "compressor"]]
        tab = visit(desk, tracks=lossless(song))
        _, ours = rendered(tab, lossless=True, worklet=False)
        assert differences(ours, desk.mix())[0] < -80
    desk.soloed = ["kick"]
    _, ours = rendered(visit(desk, tracks=lossless(song)), lossless=True, worklet=False)
    assert differences(ours, desk.mix())[0] < -80


def test_a_fader_at_its_lowest_value_is_off(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names)
    for name, level in (("kick", OFF_DB), ("vox", OFF_DB + 0.1)):
        params.track(name)["fader_db"] = level
    desk = dm.desk(toy, params)
    _, ours = rendered(visit(desk, tracks=lossless(toy)), lossless=True, worklet=False)
    vox = toy.stems["vox"] * 10 ** ((OFF_DB + 0.1) / 20)
    assert differences(ours, vox)[0] < -90 and differences(ours, desk.mix())[0] < -90


@pytest.mark.parametrize("channels", [1, 2])
def test_neutral_is_what_was_delivered(visit, channels):
    song = dm.Multitrack(
        ["a", "b"], stems(tones(0.5, channels=channels), tones(0.5, channels=channels, first_hz=700))
    )
    desk = dm.desk(song)
    _, ours = rendered(visit(desk, tracks=lossless(song)), lossless=True, worklet=False)
    plain = song.audio.sum(dim=0)
    assert dm.loudness(ours) == pytest.approx(-16, abs=1e-3)
    assert differences(ours / ours.abs().max(), plain / plain.abs().max())[0] < -100


def test_it_is_the_library_at_96_khz(visit):
    sounds = (tones(0.5, sample_rate=96_000), tones(0.5, channels=1, sample_rate=96_000))
    song = dm.Multitrack(["vox", "kick"], stems(*sounds), 96_000)
    params = dm.desk(song).params
    params.track("vox")["high_shelf_gain_db"], params.track("vox")["high_shelf_frequency_hz"] = 9.0, 16_000.0
    params.track("kick")["threshold_db"], params.track("kick")["ratio"] = -40.0, 6.0
    desk = dm.desk(song, params)
    _, ours = rendered(visit(desk, tracks=lossless(song)), lossless=True, worklet=False)
    assert differences(ours, desk.mix())[0] < -80


def test_what_the_mp3_files_cost(visit, excerpt):
    """Little in an ordinary mix; busy knobs bring out more of it, in bands far below the loudest."""
    for params, most_db in (
        (dm.equal_loudness(excerpt, panned=True).params, 0.5),
        (busy_params(excerpt, 0), 3.0),
    ):
        _, ours = rendered(visit(dm.desk(excerpt, params)), lossless=False, worklet=False)
        error, bands, level = differences(ours, dm.MixingConsole(RATE).render(excerpt.audio, params))
        print(f"MP3: error {error:.1f} dB, Bark bands {bands:.2f} dB, RMS {level:.3f} dB")
        assert error < -15 and bands < most_db and level < 0.1


def test_the_curves_are_the_librarys(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names)
    params.track("vox")["peak_2_gain_db"] = -12.0
    tab = visit(dm.desk(toy, params))
    response = tab.evaluate("""async () => {
      const { equalizerDb, gainComputer } = (await import("/desk.js")).makeDsp();
      const { settings } = JSON.parse(document.querySelector(".dm-desk + script").textContent);
      const values = { ...settings.tracks.vox, low_shelf_gain_db: 5, high_shelf_gain_db: -7, peak_4_gain_db: 4 };
      const curve = { threshold_db: -30, ratio: 4, knee_db: 8 };
      return {
        eq: [25, 100, 347, 1000, 5000, 15000].map((hz) => equalizerDb(values, hz, 44100)),
        gain: [-60, -33, -30, -27, 0].map((db) => gainComputer(db, curve)),
      };
    }""")
    params.track("vox")["low_shelf_gain_db"], params.track("vox")["high_shelf_gain_db"] = 5.0, -7.0
    params.track("vox")["peak_4_gain_db"] = 4.0
    values = params.values("track")
    bands = dm.params.EQ_BANDS
    settings = {
        name: torch.stack([values[f"{band}_{name}"][:1].double() for band in bands], dim=-1)
        for name in ("gain_db", "frequency_hz", "q")
    }
    spectrum = dm.effects.eq_response(44100, sample_rate=RATE, **settings)
    expected = 20 * spectrum[0, [25, 100, 347, 1000, 5000, 15000]].abs().log10()
    np.testing.assert_allclose(response["eq"], expected.numpy(), atol=1e-4)
    levels = torch.tensor([-60.0, -33.0, -30.0, -27.0, 0.0])
    expected = dm.effects.gain_computer(levels, threshold_db=-30.0, ratio=4.0, knee_db=8.0)
    np.testing.assert_allclose(response["gain"], expected.numpy(), atol=1e-4)


TURN = """async (changes) => {
  const desk = await import("/desk.js");
  const state = JSON.parse(document.querySelector(".dm-desk + script").textContent);
  const N = state.setup.num_samples; // a whole number of periods: the loop has no seam
  const tone = Float32Array.from({ length: N }, (_, n) => 0.25 * Math.sin(2 * Math.PI * 200 * n / 44100));
  const buffer = { numberOfChannels: 1, getChannelData: () => tone };
  const buffers = state.setup.strips.map(() => buffer);
  const options = desk.engineSetup(state.setup, [...buffers, buffer], [1, 1, 1], 44100);
  const values = desk.soundingValues(state);
  const engine = new (desk.makeDsp().Engine)({ ...options, values, playing: true }, () => {});
  const out = [new Float32Array(N), new Float32Array(N)];
  const bend = () => { // the largest second difference: a click is a jump, a tone bends softly
    engine.process(...out);
    let most = 0;
    for (const x of out)
      for (let n = 2; n < N; n++) most = Math.max(most, Math.abs(x[n] - 2 * x[n - 1] + x[n - 2]));
    return most;
  };
  const level = () => Math.sqrt(out[0].reduce((sum, x) => sum + x * x, 0) / N);
  bend();
  const steady = bend(), before = level(), bends = [], levels = [];
  for (const { mute, reference, track = {}, master = {} } of changes) {
    const values = desk.soundingValues(state);
    values.tracks = values.tracks.map((row) => ({ ...row, ...track, on: mute ? 0 : 1 }));
    values.master_bus = { ...values.master_bus, ...master };
    engine.receive(["set", values]);
    engine.receive(["listen", { reference: reference ? 1 : 0, gain: reference ?? 1 }]);
    bends.push(bend());
    bend();
    levels.push(level());
    engine.receive(["set", desk.soundingValues(state)]);
    engine.receive(["listen", { reference: 0, gain: 1 }]);
    bends.push(bend());
    bend();
  }
  return { steady, before, bends, levels };
}"""


def test_a_turned_knob_does_not_click_and_arrives(visit, toy):
    desk = dm.desk(toy, dm.ConsoleParams.neutral(toy.names), seconds=0.5)
    changes = [
        {"track": {"fader_db": -20.0}},
        {"track": {"pan": 1.0}},
        {"mute": True},
        {"reference": 0.25},
        {"track": {"low_shelf_gain_db": 12.0, "low_shelf_frequency_hz": 500.0}},
        {"master": {"output_gain_db": -12.0}},
        {"track": {"threshold_db": -60.0, "ratio": 20.0, "attack_ms": 0.5, "release_ms": 20.0}},
        {"track": {"fader_db": OFF_DB}},
        {"track": {"width": 0.0, "input_gain_db": -20.0}, "master": {"width": 2.0}},
    ]
    result = visit(desk).evaluate(TURN, changes)
    # A jump bends the wave by its own height: here by less than -46 dB of full scale, the tone's own bend included.
    assert max(result["bends"]) < 0.005
    levels = 20 * np.log10(np.array(result["levels"]) / result["before"] + 1e-9)
    assert levels[[0, 5, 8]] == pytest.approx([-20, -12, -20], abs=0.01)
    assert levels[[1, 2, 7]].max() < -100
    assert levels[4] > 6 and levels[6] < -10
    assert levels[3] == pytest.approx(20 * np.log10(0.25 * 0.25 / 2**0.5 / result["before"]), abs=0.01)


LOUDNESS = """async ({ levels, rate, lengths }) => {
  const { makeDsp, makeLevels } = await import("/desk.js");
  const { loudness } = makeLevels(makeDsp());
  const samples = new Float32Array(await (await fetch("/signals")).arrayBuffer());
  let at = 0;
  const next = (length) => samples.subarray(at, (at += length));
  return lengths.map((length) => loudness([next(length), next(length)], rate, levels));
}"""


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_the_loudness_is_the_librarys(visit, rate):
    loud = torch.cat([tones(2.0, sample_rate=rate), 0.05 * tones(1.0, sample_rate=rate)], dim=1)
    signals = [loud, loud[:, : rate // 5], loud[:, : round(0.45 * rate)], 1e-3 * loud, torch.zeros(2, rate)]
    desk = dm.desk(dm.Multitrack(["a"], stems(tones(0.2, sample_rate=rate)), rate))
    options = {"levels": desk.setup["levels"], "rate": rate, "lengths": [x.shape[-1] for x in signals]}
    data = b"".join(x.contiguous().numpy().tobytes() for x in signals)
    measured = visit(signals=data).evaluate(LOUDNESS, options)
    expected = [dm.loudness(x, sample_rate=rate) for x in signals]
    assert measured[-1] == expected[-1] == -math.inf
    assert measured[:-1] == pytest.approx(expected[:-1], abs=1e-4)
