"""The panel of audio features on the mixing desk: it shows the library's numbers, and it follows every knob."""

import base64
import json
import math

import pytest
from desk_page import LETTERS, fader, page_state, settings_text, turn_to
from widget_sounds import tones

import diffmst_lib as dm
from diffmst_lib.notebook.desk.desk import SCRIPT

NAMES = ("rms", "crest_factor", "stereo_width", "stereo_imbalance", "bark_spectrum")
DONE = "document.querySelector('.dm-features').getAttribute('aria-busy') === 'false'"
NOTE = "document.querySelector('.dm-note').textContent"
TABLE = """[...document.querySelectorAll('.dm-features tbody tr')].map((row) =>
  [...row.querySelectorAll('td')].map((cell) => cell.textContent))"""
COUNTED = """<script>
  window.made = [];
  window.gone = 0;
  for (const name of ["AudioContext", "Worker", "OfflineAudioContext"])
    window[name] = class extends window[name] {
      constructor(...options) {
        super(...options);
        made.push(name);
      }
      terminate() {
        gone += 1;
        super.terminate();
      }
    };
</script>"""


def number(text):
    return float(text.replace("\u2212", "-"))


def panel(tab):
    """Return the numbers of the mix, of the reference and of the loss, {row: value}."""
    tab.wait_for_function(DONE)
    rows = ("rms left", "rms right", "crest left", "crest right", "width", "imbalance")
    table = tab.evaluate(TABLE)
    mix, reference = (
        {name: number(row[k]) for name, row in zip(rows, table[:6], strict=True) if len(row) > k}
        for k in (1, 2)
    )
    losses = {name: number(table[i][-1]) for name, i in zip(NAMES, (0, 2, 4, 5, 6), strict=True)}
    return mix, reference, losses | {"total": number(table[-1][-1])}


def expected_row(audio):
    features = dm.audio_features(audio)
    level, crest = 20 * features["rms"].log10(), features["crest_factor"]
    names = ("rms left", "rms right", "crest left", "crest right", "width", "imbalance")
    values = (*level, *crest, features["stereo_width"], features["stereo_imbalance"])
    return {name: value.item() for name, value in zip(names, values, strict=True)}


# What the MP3 files may cost, and the rounding of the numbers.
TOLERANCE = {
    "rms left": 0.3,
    "rms right": 0.3,
    "crest left": 0.6,
    "crest right": 0.6,
    "width": 0.02,
    "imbalance": 0.02,
}


def assert_shows(tab, desk):
    mix, reference, losses = panel(tab)
    expected = expected_row(desk.mix())
    print({name: round(mix[name] - value, 3) for name, value in expected.items()})
    for name, tolerance in TOLERANCE.items():
        assert mix[name] == pytest.approx(expected[name], abs=tolerance), name
    assert reference == pytest.approx(
        expected_row(desk.reference), abs=0.051
    )  # not through an MP3: rounded only
    for name, value in dm.audio_feature_loss(desk.mix(), desk.reference).items():
        assert losses[name] == pytest.approx(value.item(), rel=0.05, abs=0.01), name


def test_the_panel_follows_the_knobs_before_anything_is_played(visit, excerpt, reference):
    start = dm.equal_loudness(excerpt, panned=True).params
    desk = dm.desk(excerpt, start, reference=reference, seconds=3, features=True)
    tab = visit(desk, before=COUNTED)
    assert_shows(tab, desk)
    before, _, _ = panel(tab)

    for _ in range(8):  # faster than it measures: the last counts
        fader(tab, "kick").press("ArrowUp")
    turn_to(tab, "Output fader of Master", start.master_bus["output_gain_db"] + 4)
    pan = tab.get_by_role("slider", name="Pan of kick")
    pan.fill("0.6")
    mute = "document.querySelector('[aria-label=\"Mute alt_hats\"]').click()"
    assert not tab.evaluate(f"{mute}, {DONE}")  # what is old says so
    panel(tab)
    desk.params = dm.ConsoleParams.from_json(settings_text(tab))
    assert desk.params.track("kick")["fader_db"] > start.track("kick")["fader_db"] + 3
    desk.muted = ["alt_hats"]
    assert_shows(tab, desk)
    after, _, _ = panel(tab)
    assert abs(after["imbalance"] - before["imbalance"]) > 0.05
    assert sorted(tab.evaluate("made")) == ["OfflineAudioContext", "Worker"]
    assert tab.evaluate(NOTE).startswith("The mix is measured as loud as it plays")

    # The same at the power of the reference, and back.
    button = tab.get_by_role(
        "button", name="Bring the mix to the power of the reference before it is measured"
    )
    button.press("Enter")
    mix, other, losses = panel(tab)
    assert button.get_attribute("aria-pressed") == "true"
    powers = [sum(10 ** (side / 10) for side in (row["rms left"], row["rms right"])) for row in (mix, other)]
    assert 10 * math.log10(powers[0] / powers[1]) == pytest.approx(0, abs=0.1)
    audio = desk.mix()
    gain = (desk.reference.square().mean() / audio.square().mean()).sqrt()
    loss = dm.audio_feature_loss(gain * audio, desk.reference)["total"].item()
    assert losses["total"] == pytest.approx(loss, rel=0.05)
    assert gain < 0.8
    words = tab.evaluate(NOTE).split()
    assert words[:4] == ["The", "mix", "is", "measured"] and words[5:8] == ["dB", "softer", "than"]
    assert float(words[4]) == pytest.approx(-20 * gain.log10().item(), abs=0.2)
    button.click()
    assert panel(tab)[0] == after


def test_silence_has_finite_numbers(visit, toy):
    tab = visit(dm.desk(toy, reference=tones(2.0), features=True))
    for name in ("vox", "kick"):
        tab.get_by_role("button", name=f"Mute {name}").click()
    mix, _, losses = panel(tab)
    assert mix == {
        "rms left": -80,
        "rms right": -80,
        "crest left": 0,
        "crest right": 0,
        "width": 0,
        "imbalance": 0,
    }
    assert all(map(math.isfinite, losses.values()))
    assert "NaN" not in tab.evaluate("document.querySelector('.dm-features').innerHTML")
    tab.get_by_role("button", name="Bring the mix to the power").click()
    assert panel(tab)[0] == mix and "cannot be brought" in tab.evaluate(NOTE)
    # All faders down is nearly that.
    for name in ("Mute vox", "Mute kick"):
        tab.get_by_role("button", name=name).click()
    for name in ("vox", "kick"):
        turn_to(tab, f"Fader of {name}", -59)
    tab.get_by_role("button", name="Bring the mix to the power").click()
    mix, _, losses = panel(tab)
    assert mix["rms left"] < -50 and all(map(math.isfinite, [*mix.values(), *losses.values()]))


def test_without_a_reference_it_shows_the_mix_alone(visit, toy):
    desk = dm.desk(toy, features=True)
    tab = visit(desk)
    tab.wait_for_function(DONE)
    shown = tab.evaluate(TABLE)
    assert len(shown) == 6 and all(len(row) == 2 for row in shown)
    for row, (name, value) in zip(shown, expected_row(desk.mix()).items(), strict=True):
        assert number(row[1]) == pytest.approx(value, abs=TOLERANCE[name])
    assert tab.locator(".dm-features .dm-reference").count() == 0
    assert tab.locator(".dm-features button").count() == 0 and tab.evaluate(NOTE) == ""


def test_a_desk_without_features_is_as_before(visit, toy):
    desk = dm.desk(toy, reference=tones(2.0))
    assert "features" not in desk.setup
    with_panel = dm.desk(toy, reference=tones(2.0), features=True)
    assert "class FeaturePanel" not in desk._repr_html_() and "class FeaturePanel" in with_panel._repr_html_()
    assert (
        0 < len(with_panel._repr_html_()) - len(desk._repr_html_()) < 30_000
    )  # two scripts and numbers, no audio
    tab = visit(desk, before=COUNTED)
    fader(tab, "kick").press("ArrowUp")
    tab.evaluate("new Promise((drawn) => requestAnimationFrame(drawn))")
    assert tab.locator(".dm-features").count() == 0 and tab.evaluate("made") == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("BaseAudioContext.prototype.decodeAudioData = () => Promise.reject(new Error('no MP3'))", "no MP3"),
        ("delete window.OfflineAudioContext", "this browser has no Web Audio"),
    ],
)
def test_a_panel_that_cannot_measure_says_so(visit, toy, spoil, said):
    tab = visit(dm.desk(toy, features=True), before=f"<script>{spoil}</script>")
    tab.wait_for_function(f"{NOTE} === 'No features: {said}'")
    tab.evaluate("document.querySelector('.dm-note').textContent = ''")
    fader(tab, "kick").press("ArrowUp")
    tab.wait_for_function(f"{NOTE} === 'No features: {said}'")  # it has tried again
    assert not tab.evaluate(DONE)


def test_it_plays_and_measures_in_a_live_notebook(visit, toy):
    """The kernel is asked once, and sends views into a larger buffer; a desk that leaves ends its worker."""
    desk = dm.desk(toy, reference=tones(2.0), features=True)
    state = {key: getattr(desk, key) for key in ("setup", "settings", "muted", "soloed", "bypassed")}
    page = page_state(desk)
    tab = visit(before=COUNTED)
    tab.evaluate(
        """async ([code, state, files, scales]) => {
          const { render } = (await import(`data:text/javascript;base64,${code}`)).default;
          const listeners = [];
          const emit = (name, ...all) => listeners.forEach((one) => one[0] === name && one[1](...all));
          const views = files.map((text) => {
            const bytes = Uint8Array.from(`12345678${atob(text)}`, (letter) => letter.charCodeAt(0));
            return new DataView(bytes.buffer, 8);
          });
          window.asked = 0;
          const model = {
            get: (key) => state[key],
            set(key, value) {
              state[key] = value;
              emit(`change:${key}`);
            },
            save_changes() {},
            on: (name, listener) => listeners.push([name, listener]),
            off: (name, listener) => listeners.splice(listeners.findIndex((one) => one[1] === listener), 1),
            send() {
              asked += 1;
              setTimeout(() => emit("msg:custom", { type: "audio", scales }, views), 100);
            },
          };
          window.model = model;
          window.leave = render({ model, el: document.body.appendChild(document.createElement("div")) });
        }""",
        [base64.b64encode(SCRIPT.encode()).decode(), state, page["audio"], page["scales"]],
    )
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("document.querySelector('.dm-play').textContent.includes('Stop')")
    assert_shows(tab, desk)
    params = desk.params
    params.track("kick")["fader_db"] = -12.0
    desk.params = params
    moved = (
        f"(settings) => {{ model.set('settings', settings); return {DONE}; }}"  # as when Python moves a knob
    )
    assert not tab.evaluate(moved, desk.settings)
    assert_shows(tab, desk)
    assert tab.evaluate("asked") == 1
    tab.evaluate("leave()")
    assert tab.evaluate("gone") == 1


@pytest.mark.parametrize("letters", LETTERS)
def test_it_can_be_read_by_everybody_and_on_a_narrow_page(visit, data, letters):
    whole = dm.load_multitrack(data / "multitracks" / "caesium").select("kick", "bgvox_main")
    reference = dm.load_audio(data / "references" / "vibe_ace.ogg")
    desk = dm.desk(whole, reference=reference, start_s=8, seconds=1, features=True)
    tab = visit(desk, width=400, before=LETTERS[letters])
    panel(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    cramped = """[...document.querySelectorAll('.dm-features, .dm-features :is(th, td, .dm-head)')]
      .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.textContent)"""
    assert tab.evaluate(cramped) == []
    group = tab.get_by_role("group", name="Audio features")
    assert group.locator("[aria-live], [role=status]").count() == 0  # fast numbers are not read out
    assert group.get_by_role("row").count() == 9  # the head, six numbers, Bark and the total
    for name in ("mid", "side"):
        label = group.get_by_role("img", name=f"Bark spectrum of the {name}").get_attribute("aria-label")
        assert label.count(" below 250 Hz") == 2 and "reference" in label
    curves = "[...document.querySelectorAll('.dm-bark .dm-mix')].map((path) => path.getAttribute('d'))"
    before = tab.evaluate(curves)
    assert len(before) == 2 and all(len(path.split("L")) == 24 for path in before)
    places = "[...document.querySelectorAll('.dm-mark.dm-mix')].map((mark) => parseFloat(mark.style.left))"
    assert all(0 <= place <= 100 for place in tab.evaluate(places))
    tab.get_by_role("slider", name="Low shelf gain of bgvox_main in dB").press("End")
    panel(tab)
    assert tab.evaluate(curves)[0] != before[0]
    # A wider page has room for longer curves.
    narrow = json.dumps(tab.evaluate(curves)[0])
    tab.set_viewport_size({"width": 900, "height": 900})
    tab.wait_for_function(f"{curves}[0] !== {narrow}")


def test_a_page_opened_as_a_file_measures(chromium, toy, tmp_path):
    page = tmp_path / "desk.html"
    desk = dm.desk(toy, reference=tones(2.0), features=True)
    page.write_text(f'<!doctype html><meta charset="utf-8">{COUNTED}{desk._repr_html_()}', encoding="utf-8")
    tab = chromium.new_page()
    tab.goto(page.as_uri())
    assert_shows(tab, desk)
    assert "Worker" in tab.evaluate("made")
    tab.close()
