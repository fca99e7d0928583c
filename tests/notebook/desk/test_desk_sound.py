"""The mixing desk sounds like the library's console, measured in a browser."""

import base64
import math

import numpy as np
import pytest
import torch
from desk_page import busy_params
from widget_sounds import RATE, tones

import diffmst_lib as dm
from diffmst_lib.mixing.baselines import neutral_params

# Plays the desk of the page once through, offline: from lossless samples, or from the MP3 files in the page.
RENDER = """async ({ lossless, worklet }) => {
  const desk = await import("/desk.js");
  const state = JSON.parse(document.querySelector(".dm-desk + script").textContent);
  const { setup } = state, { strips, names, num_samples, sample_rate } = setup;
  const context = new OfflineAudioContext(2, num_samples, sample_rate);
  let buffers;
  if (lossless) {
    const samples = new Float32Array(await (await fetch("/tracks")).arrayBuffer());
    buffers = strips.map(({ rows }) => {
      const buffer = context.createBuffer(rows.length, num_samples, sample_rate);
      rows.forEach((row, i) => buffer.copyToChannel(samples.subarray(row * num_samples, (row + 1) * num_samples), i));
      return buffer;
    });
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
    tab = visit(dm.desk(excerpt, params), tracks=excerpt.audio.numpy().tobytes())
    kind, ours = rendered(tab, lossless=True, worklet=worklet)
    assert kind == ("AudioWorkletNode" if worklet else "Engine")
    theirs = dm.MixingConsole(RATE).render(excerpt.audio, params)
    neutral = dm.MixingConsole(RATE).render(excerpt.audio, neutral_params(excerpt))
    assert differences(neutral, theirs)[1] > 6  # the knobs do something
    error, bands, level = differences(ours, theirs)
    print(f"error {error:.1f} dB, Bark bands {bands:.5f} dB, RMS {level:.5f} dB")
    assert error < -90 and bands < 0.01 and level < 0.001  # asked for: 0.5 dB, 0.5 dB


def test_it_is_the_library_at_every_extreme(visit, excerpt):
    """Knobs at the ends of their ranges: all low, all high, and mute, solo and bypass."""
    song = excerpt.excerpt(1, 1).select("kick", "bgvox_main")
    for end in (0.0, 1.0):
        params = neutral_params(song)
        units = [torch.full_like(unit, end) for unit in params.to_unit()]
        params = dm.ConsoleParams.from_unit(*units, names=song.names)
        for name in song.names:
            params.track(name)["send_db"] = -80.0
        desk = dm.desk(song, params)
        desk.bypassed = [["kick", "eq"], ["master_bus", "compressor"]]
        tab = visit(desk, tracks=song.audio.numpy().tobytes())
        _, ours = rendered(tab, lossless=True, worklet=False)
        assert differences(ours, desk.mix())[0] < -80
    desk.soloed = ["kick"]
    _, ours = rendered(visit(desk, tracks=song.audio.numpy().tobytes()), lossless=True, worklet=False)
    assert differences(ours, desk.mix())[0] < -80


def test_it_is_the_library_at_96_khz(visit):
    song = dm.Multitrack(["vox", "kick"], tones(0.5, sample_rate=96_000), 96_000)
    params = dm.desk(song).params
    params.track("vox")["high_shelf_gain_db"], params.track("vox")["high_shelf_frequency_hz"] = 9.0, 16_000.0
    params.track("kick")["threshold_db"], params.track("kick")["ratio"] = -40.0, 6.0
    desk = dm.desk(song, params)
    _, ours = rendered(visit(desk, tracks=song.audio.numpy().tobytes()), lossless=True, worklet=False)
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
    params = neutral_params(toy)
    params.track("vox")["peak_2_gain_db"] = -12.0
    tab = visit(dm.desk(toy, params))
    response = tab.evaluate("""async () => {
      const { equalizerDb, gainComputer } = (await import("/desk.js")).makeDsp();
      const { settings } = JSON.parse(document.querySelector(".dm-desk + script").textContent);
      const values = { ...settings.tracks["vox.L"], low_shelf_gain_db: 5, high_shelf_gain_db: -7, peak_4_gain_db: 4 };
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
  const options = desk.engineSetup(state.setup, [...buffers, buffer], [1, 1, 1, 1], 44100);
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
    engine.receive(["reference", Boolean(reference)]);
    bends.push(bend());
    bend();
    levels.push(level());
    engine.receive(["set", desk.soundingValues(state)]);
    engine.receive(["reference", false]);
    bends.push(bend());
    bend();
  }
  return { steady, before, bends, levels };
}"""


def test_a_turned_knob_does_not_click_and_arrives(visit, toy):
    desk = dm.desk(toy, seconds=0.5)
    changes = [
        {"track": {"input_gain_db": -20.0}},
        {"track": {"pan": 1.0}},
        {"mute": True},
        {"reference": True},
        {"track": {"low_shelf_gain_db": 12.0, "low_shelf_frequency_hz": 500.0}},
        {"master": {"output_gain_db": -12.0}},
        {"track": {"threshold_db": -60.0, "ratio": 10.0, "attack_ms": 5.0, "release_ms": 10.0}},
    ]
    result = visit(desk).evaluate(TURN, changes)
    # A jump bends the wave by its own height: here by less than -46 dB of full scale, the tone's own bend included.
    assert max(result["bends"]) < 0.005
    levels = 20 * np.log10(np.array(result["levels"]) / result["before"] + 1e-9)
    assert levels[[0, 5]] == pytest.approx([-20, -12], abs=0.01)
    assert levels[[1, 2]].max() < -100
    assert levels[4] > 6 and levels[6] < -10
