"""What the mixing desk measures in the browser: formulas and rendered mixes are the library's."""

import math

import numpy as np
import pytest
import torch
from desk_page import STEM_BUFFERS, busy_params, lossless
from widget_sounds import stems, tones

import diffmst_lib as dm
from diffmst_lib.console.table import OFF_DB


def as_lists(features):
    """The library's features as the browser has them: of the Bark spectrum first mid, then side."""
    return {name: value.numpy().T.tolist() for name, value in features.items()}


def assert_equal_features(ours, theirs, rtol, atol, label=""):
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol, atol, err_msg=f"{label} {name}")


# --- the formulas -----------------------------------------------------------------------------------------------

MEASURE = """async ({ table, rate, lengths }) => {
  const { makeFeatures } = await import("/desk.js");
  const { BarkMeter, audioFeatures, featureLoss } = makeFeatures();
  const samples = new Float32Array(await (await fetch("/signals")).arrayBuffer());
  const bark = new BarkMeter(rate, table);
  let at = 0;
  const next = (length) => samples.subarray(at, (at += length));
  const measured = lengths.map((length) => audioFeatures([next(length), next(length)], bark, table));
  return { measured, losses: measured.map((features) => featureLoss(features, measured[0], table.weights)) };
}"""


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_the_formulas_are_the_librarys(visit, reference, rate):
    loud = torch.randn(2, rate, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    mono = reference[:1, :rate]
    signals = {
        "music": reference[:, : 2 * rate],
        "noise": loud,
        "silence": torch.zeros(2, rate),
        "mono": mono.expand(2, -1),
        "anti-phase": torch.cat([mono, -mono]),
        "nearly anti-phase": torch.cat([mono, -0.9 * mono]),
        "left only": torch.cat([mono, 0 * mono]),
        "below the floor": 1e-6 * loud,
        "short": loud[:, :1000],
        "half a window": loud[:, : dm.features.bark_fft_size(rate) // 2 + 1],
        "one sample": loud[:, :1],
    }
    data = b"".join(x.contiguous().numpy().tobytes() for x in signals.values())
    desk = dm.desk(dm.Multitrack(["a"], stems(tones(0.1))), features=True)
    lengths = [x.shape[-1] for x in signals.values()]
    options = {"table": desk.setup["features"], "rate": rate, "lengths": lengths}
    answer = visit(signals=data).evaluate(MEASURE, options)
    for i, (label, x) in enumerate(signals.items()):
        theirs = as_lists(dm.audio_features(x.contiguous(), sample_rate=rate))
        assert_equal_features(answer["measured"][i], theirs, 1e-4, 1e-4, label)
        loss = dm.audio_feature_loss(x.contiguous(), signals["music"], sample_rate=rate)
        assert set(answer["losses"][i]) == set(loss)
        for term, value in loss.items():
            assert answer["losses"][i][term] == pytest.approx(value.item(), rel=1e-3, abs=1e-7), (label, term)


# --- from knobs to features -------------------------------------------------------------------------------------

ANALYZE = (
    """async (list) => {
  const { engineSetup, soundingValues, startAnalyst } = await import("/desk.js");
  const { audio, scales, ...state } = JSON.parse(document.querySelector(".dm-desk + script").textContent);
  const { setup } = state;"""
    + STEM_BUFFERS
    + """
  const engine = engineSetup(setup, stemBuffers(setup), setup.strips.map(() => 1), 44100);
  const analyst = await startAnalyst(engine, setup);
  const answers = [];
  for (const { equalPower, ...change } of list)
    answers.push(await analyst.ask({ values: soundingValues({ ...state, ...change }), equalPower }));
  analyst.close();
  return answers;
}"""
)
REFUSED = """<script>
  window.Worker = class {
    constructor() {
      setTimeout(() => this.onerror(new Event("error")));
    }
  };
</script>"""


@pytest.mark.parametrize("before", ["", REFUSED], ids=["worker", "page"])
def test_every_knob_is_measured_as_the_library_renders_it(visit, excerpt, before):
    """Without MP3 in between, one change after the other: what is kept of the tracks must not be old."""
    desk = dm.desk(excerpt, reference=tones(3.0), features=True)
    params, steps, expected = desk.params, [], []

    def step(**switches):
        desk.params = params
        for key, value in switches.items():
            setattr(desk, key, value)
        steps.append({key: getattr(desk, key) for key in ("settings", "muted", "soloed", "bypassed")})
        expected.append(desk.mix())

    step()
    params.track("kick")["input_gain_db"] = 6.0
    params.track("bgvox_main")["pan"] = 0.1
    step()
    params.track("kick")["fader_db"], params.track("minilogue_synth")["width"] = -3.0, 2.0
    params.track("alt_hats")["fader_db"] = OFF_DB
    params.master_bus["width"] = 0.5
    step()
    params.track("alt_hats")["fader_db"] = 0.0
    params.track("kick")["threshold_db"], params.track("kick")["ratio"] = -30.0, 4.0
    params.track("kick")["makeup_gain_db"] = 3.0
    step()
    params.track("kick")["input_gain_db"] = -6.0  # now no longer a factor
    params.track("alt_hats")["high_shelf_gain_db"] = 9.0
    step(muted=["minilogue_synth"])
    params = busy_params(excerpt, 1)
    step(bypassed=[["kick", "eq"], ["master_bus", "compressor"]])
    step(soloed=["kick"])
    steps.append({**steps[-1], "equalPower": True})
    expected.append(expected[-1] * (desk.reference.square().sum() / expected[-1].square().sum()).sqrt())

    tab = visit(desk, before=before, tracks=lossless(excerpt))
    for i, (answer, mix) in enumerate(zip(tab.evaluate(ANALYZE, steps), expected, strict=True)):
        assert answer["lufs"] == pytest.approx(
            dm.loudness(mix if i < len(steps) - 1 else expected[-2]), abs=1e-3
        )
        assert answer["correlation"] == pytest.approx(torch.corrcoef(mix)[0, 1].item(), abs=1e-4)
        assert_equal_features(answer["features"], as_lists(dm.audio_features(mix)), 2e-3, 1e-3, f"step {i}")
        loss = dm.audio_feature_loss(mix, desk.reference)["total"].item()
        assert answer["loss"]["total"] == pytest.approx(loss, rel=2e-3)
    assert answer["gainDb"] == pytest.approx(
        20 * math.log10((mix.norm() / expected[-2].norm()).item()), abs=1e-3
    )
