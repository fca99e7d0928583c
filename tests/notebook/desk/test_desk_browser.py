"""The mixing desk on a page: it needs neither mouse nor kernel, and its settings travel."""

import itertools
import json
import math

import pytest
from desk_page import LETTERS, PLAIN, busy_params
from widget_sounds import tones

import diffmst_lib as dm
from diffmst_lib.mixing.baselines import neutral_params

# --- settings ---------------------------------------------------------------------------------------------------


def settings_text(tab):
    tab.get_by_role("button", name="Copy the settings as JSON").click()
    return tab.get_by_role("textbox", name="Settings as JSON").input_value()


def test_settings_go_to_python_and_back(visit, excerpt):
    params = busy_params(excerpt, 3)
    params.track("kick")["send_db"] = -6.0
    tab = visit(dm.desk(excerpt))
    text = tab.get_by_role("textbox", name="Settings as JSON")
    assert dm.ConsoleParams.from_json(settings_text(tab)).to_json() == neutral_params(excerpt).to_json()
    text.fill(params.to_json())
    tab.get_by_role("button", name="Load the settings in the text").click()
    assert "Settings loaded" in tab.get_by_role("status").text_content()
    copied = settings_text(tab)
    assert json.loads(copied) == json.loads(params.to_json())
    assert dm.ConsoleParams.from_json(copied).to_json() == params.to_json()
    assert "effects bus, which the desk does not play: kick." in tab.locator(".dm-sent").text_content()
    # A knob turned here arrives there, and nothing else changes.
    tab.get_by_role("spinbutton", name="Fader of kick").fill("-3.27")
    tab.keyboard.press("Enter")
    params.track("kick")["input_gain_db"] = -3.27
    assert dm.ConsoleParams.from_json(settings_text(tab)).to_json() == params.to_json()


def test_settings_from_a_file(visit, toy, tmp_path):
    params = neutral_params(toy)
    params.track("kick")["pan"] = 0.125
    (tmp_path / "params.json").write_text(params.to_json(), encoding="utf-8")
    tab = visit(dm.desk(toy))
    tab.locator("summary").click()
    tab.locator("input[type=file]").set_input_files(tmp_path / "params.json")
    tab.wait_for_function("document.querySelector('.dm-status').textContent.includes('loaded')")
    assert tab.get_by_role("slider", name="Pan of kick").get_attribute("aria-valuetext") == "0.13"
    assert json.loads(settings_text(tab))["tracks"]["kick"]["pan"] == 0.125


BAD = {
    "hello": "not this console's JSON: ",
    "[]": "tracks are missing",
    '{"tracks": {"a\nb': "not this console's JSON: ",
    "pan 2": "track kick: pan = 2 is outside 0 to 1",
    "pan null": "track kick: pan is null, not a number",
    "no pan": "track kick: pan is missing",
    "pam": 'track kick has no parameter "pam"',
    "no kick": "track kick is missing",
    "snare": 'there is no track "snare" here, but vox.L, vox.R, kick',
    "preset": 'its preset is "reference", a desk plays "default"',
    "rate": "it is for 48000 Hz, the song is at 44100 Hz",
    "version": "its version is 1, this desk reads 2",
    "no master": "master_bus is missing",
}


def spoiled(params, how):
    data = json.loads(params.to_json())
    kick = data["tracks"]["kick"]
    changes = {
        "pan 2": lambda: kick.update(pan=2),
        "pan null": lambda: kick.update(pan=None),
        "no pan": lambda: kick.pop("pan"),
        "pam": lambda: kick.update(pam=0.5),
        "no kick": lambda: data["tracks"].pop("kick"),
        "snare": lambda: data["tracks"].update(snare=kick),
        "preset": lambda: data.update(preset="reference"),
        "rate": lambda: data.update(sample_rate=48000),
        "version": lambda: data.update(version=1),
        "no master": lambda: data.pop("master_bus"),
    }
    if how not in changes:
        return how
    changes[how]()
    return json.dumps(data)


def test_bad_settings_change_nothing_and_say_why(visit, toy):
    params = neutral_params(toy)
    params.track("kick")["input_gain_db"] = -4.5
    tab = visit(dm.desk(toy, params))
    tab.locator("summary").click()
    text = tab.get_by_role("textbox", name="Settings as JSON")
    for how, message in BAD.items():
        text.fill(spoiled(params, how))
        written = text.input_value()
        tab.get_by_role("button", name="Load the settings in the text").click()
        said = tab.get_by_role("status").text_content()
        assert message in said and "\n" not in said, how
        assert text.input_value() == written  # what was pasted can be mended
        assert tab.get_by_role("slider", name="Fader of kick").input_value() == "-4.5"
    assert json.loads(settings_text(tab)) == json.loads(params.to_json())


# --- playing ----------------------------------------------------------------------------------------------------

LEVELS = "[...document.querySelectorAll('.dm-strip .dm-level')].map((level) => level.offsetHeight)"
PEAK = "Number(document.querySelector('.dm-peak').textContent.replace('\u2212', '-').match(/-?[\\d.]+/)?.[0])"


def play(tab, desk):
    """Press play; when the peak is the library's, the whole loop has been heard."""
    tab.get_by_role("button", name="Play").click()
    expected = 20 * math.log10(desk.mix().abs().max().item())
    tab.wait_for_function(f"Math.abs({PEAK} - {expected}) < 0.6")
    tab.wait_for_function(f"{LEVELS}.every((height) => height > 10)")  # vox, kick, master


def test_it_plays_over_plain_http_without_the_worklet(visit, toy):
    desk = dm.desk(toy)
    tab = visit(desk, address=PLAIN)
    assert not tab.evaluate("isSecureContext")
    play(tab, desk)
    tab.get_by_role("slider", name="Fader of kick in dB").press("Home")
    tab.wait_for_function(f"{LEVELS}[0] > 10 && {LEVELS}[1] === 0")


def test_it_plays_on_a_page_alone(visit, toy):
    params = neutral_params(toy)
    params.master_bus["output_gain_db"] = -6.0
    desk = dm.desk(toy, params, reference=tones(2.0, first_hz=700))
    tab = visit(desk)
    play(tab, desk)
    tab.get_by_role("button", name="Mute vox").click()
    tab.wait_for_function(f"{LEVELS}[0] === 0 && {LEVELS}[1] > 10")
    tab.get_by_role("button", name="Mute vox").click()
    tab.get_by_role("button", name="Solo vox").click()
    tab.wait_for_function(f"{LEVELS}[0] > 10 && {LEVELS}[1] === 0")

    # The reference: nothing of the desk is heard, its level is the reference's.
    fader = tab.get_by_role("slider", name="Output fader of Master")
    fader.press("Home")
    tab.wait_for_function(f"{PEAK} < -40")
    tab.get_by_role("button", name="Listen to the reference").click()
    tab.wait_for_function(f"{PEAK} > -30")
    assert tab.get_by_role("button", name="Listen to the reference").get_attribute("aria-pressed") == "true"
    tab.get_by_role("button", name="Listen to the mix").click()
    fader.press("End")
    tab.wait_for_selector(".dm-clip.dm-on")
    tab.get_by_role("button", name="Stop").click()
    assert tab.evaluate(LEVELS) == [0, 0, 0]
    tab.get_by_role("button", name="Reset").click()
    assert json.loads(settings_text(tab)) == json.loads(params.to_json())
    assert tab.get_by_role("button", name="Solo vox").get_attribute("aria-pressed") == "false"


def test_the_compressor_shows_its_gain_reduction(visit, toy):
    params = neutral_params(toy)
    params.track("vox")["threshold_db"], params.track("vox")["ratio"] = -60.0, 10.0
    tab = visit(dm.desk(toy, params, controls=("compressor",)))
    shown = "document.querySelector('.dm-reduction .dm-value').textContent"
    reduction = f"Number({shown}.replace('\u2212', '-').slice(0, -3))"
    assert tab.evaluate(reduction) == 0
    tab.get_by_role("button", name="Play").click()
    # 10:1 above -60 dB: of a chord that swells between -20 and -10 dB at its peaks, 36 to 45 dB are over at most.
    tab.wait_for_function(f"{reduction} < -25 && {reduction} > -46")
    tab.get_by_role("button", name="Show the settings of kick").click()
    tab.wait_for_function(f"{reduction} === 0")


def test_a_page_opened_as_a_file_has_the_worklet(chromium, toy, tmp_path):
    page = tmp_path / "desk.html"
    no_fallback = "<script>AudioContext.prototype.createScriptProcessor = null</script>"
    page.write_text(
        f'<!doctype html><meta charset="utf-8">{no_fallback}{dm.desk(toy)._repr_html_()}', encoding="utf-8"
    )
    tab = chromium.new_page()
    tab.goto(page.as_uri())
    play(tab, dm.desk(toy))
    tab.close()


# Keeps what the button of the desk says, one text after the other.
BUTTON_TEXTS = """() => {
  window.texts = [];
  const button = document.querySelector(".dm-play");
  new MutationObserver(() => texts.push(button.textContent)).observe(button, { childList: true });
}"""


def test_without_loop_it_stops_at_the_end(visit, toy):
    tab = visit(dm.desk(toy))
    position = tab.get_by_role("slider", name="Position in s")
    tab.get_by_role("button", name="Loop").click()
    position.focus()
    for _ in range(12):
        tab.keyboard.press("PageUp")
    assert position.input_value() == "2"
    tab.evaluate("document.querySelector('.dm-position').value = 1.6")
    tab.evaluate(BUTTON_TEXTS)  # a busy machine may look at the page only after the end
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("texts.length >= 2")
    assert tab.evaluate("texts") == ["\u25a0 Stop", "\u25b6 Play"]
    assert position.input_value() == "0"


def test_it_stops_other_sounds_and_is_stopped_by_them(visit, toy):
    tab = visit(dm.desk(toy), dm.desk(toy), dm.listen({"a": tones(), "b": tones()}))
    first, second = tab.locator(".dm-play").all()
    shows = "document.querySelectorAll('.dm-play')[{}].textContent.includes('{}')"
    first.click()
    tab.wait_for_function(shows.format(0, "Stop"))
    second.click()
    tab.wait_for_function(shows.format(1, "Stop"))
    assert "Play" in first.text_content()
    tab.get_by_role("button", name="Switch to a").click()
    tab.wait_for_function(shows.format(1, "Play"))
    tab.wait_for_function("document.querySelector('audio').currentTime > 0")
    first.click()
    tab.wait_for_function(shows.format(0, "Stop"))
    assert tab.evaluate("document.querySelector('audio').paused")


def test_two_desks_of_one_page_do_not_collide(visit, toy):
    params = neutral_params(toy)
    params.track("kick")["input_gain_db"] = -3.0
    tab = visit(dm.desk(toy), dm.desk(toy, params))
    assert tab.locator("[id]").count() == 0
    faders = tab.get_by_role("slider", name="Fader of kick in dB")
    assert [fader.input_value() for fader in faders.all()] == ["0", "-3"]
    faders.nth(1).press("ArrowUp")
    tab.get_by_role("button", name="Mute vox").nth(1).click()
    assert [fader.input_value() for fader in faders.all()] == ["0", "-2.5"]
    pressed = [
        button.get_attribute("aria-pressed") for button in tab.get_by_role("button", name="Mute vox").all()
    ]
    assert pressed == ["false", "true"]


def test_without_web_audio_it_says_so(visit, toy):
    tab = visit(dm.desk(toy), before="<script>delete window.AudioContext</script>")
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("document.querySelector('.dm-status').textContent.includes('no Web Audio')")
    tab.get_by_role("slider", name="Fader of kick").press("ArrowUp")
    assert tab.get_by_role("slider", name="Fader of kick").input_value() == "0.5"


# --- knobs ------------------------------------------------------------------------------------------------------


def test_everything_by_keyboard(visit, toy):
    tab = visit(dm.desk(toy))
    fader = tab.get_by_role("slider", name="Fader of kick in dB")
    fader.focus()
    for key, value in (("ArrowUp", "0.5"), ("Home", "-48"), ("End", "48")):
        tab.keyboard.press(key)
        assert fader.input_value() == value
    assert fader.get_attribute("aria-valuetext") == "48.0 dB"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.keyboard.press("Tab")
    assert (
        tab.evaluate("document.activeElement.getAttribute('aria-label')")
        == "Fader of kick in dB, as a number"
    )

    for name in ("Mute kick", "Solo kick"):
        button = tab.get_by_role("button", name=name)
        button.press("Space")
        assert button.get_attribute("aria-pressed") == "true"
    tab.get_by_role("button", name="Show the settings of kick").press("Enter")
    ratio = tab.get_by_role("slider", name="Ratio of kick")
    ratio.press("End")
    assert ratio.get_attribute("aria-valuetext") == "10.00:1"
    tab.get_by_role("slider", name="Low shelf frequency of kick in Hz").press("Home")
    tab.get_by_role("button", name="Bypass the equalizer of kick").press("Enter")
    assert (
        tab.get_by_role("button", name="Bypass the equalizer of kick").get_attribute("aria-pressed") == "true"
    )
    tab.get_by_role("button", name="Show the settings of Master").press("Enter")
    tab.get_by_role("slider", name="Input gain of Master").press("Home")

    settings = json.loads(settings_text(tab))
    assert (
        settings["tracks"]["kick"]["ratio"] == 10
        and settings["tracks"]["kick"]["low_shelf_frequency_hz"] == 20
    )
    assert settings["master_bus"]["input_gain_db"] == -48
    unnamed = tab.evaluate("""[...document.querySelectorAll('.dm-desk :is(input, button, textarea)')]
        .filter((control) => !control.getAttribute('aria-label')).length""")
    assert unnamed == 0


def test_a_stereo_stem_moves_as_one(visit, toy):
    params = neutral_params(toy)
    params.track("vox.R")["input_gain_db"] = 4.0
    tab = visit(dm.desk(toy, params))

    def tracks(name):
        return [json.loads(settings_text(tab))["tracks"][track][name] for track in ("vox.L", "vox.R")]

    pan = tab.get_by_role("slider", name="Pan of vox", exact=True)
    assert pan.input_value() == "0.5" and pan.get_attribute("aria-valuetext") == "0.18 and 0.82"
    pan.press("ArrowRight")
    assert tracks("pan") == pytest.approx([0.19, 0.83])
    pan.press("End")
    assert tracks("pan") == pytest.approx([0.68, 1.0])
    pan.fill("0.5")  # and back: the spread is not lost
    assert tracks("pan") == pytest.approx([0.18, 0.82])
    fader = tab.get_by_role("slider", name="Fader of vox in dB")
    assert fader.input_value() == "2"
    fader.press("ArrowDown")
    assert tracks("input_gain_db") == pytest.approx([-0.5, 3.5])
    frequency = tab.get_by_role("spinbutton", name="Low shelf frequency of vox")
    frequency.fill("250")
    frequency.press("Enter")
    assert tracks("low_shelf_frequency_hz") == [250, 250]
    frequency.fill("9000")
    frequency.press("Enter")
    assert tracks("low_shelf_frequency_hz") == [500, 500]  # the end of the range
    for knob, start in (
        ("Low shelf frequency of vox", [100, 100]),
        ("Fader of vox in dB", [0, 4]),
        ("Pan", [0.18, 0.82]),
    ):
        slider = tab.get_by_role("slider", name=knob).first
        slider.dblclick(position={"x": 3, "y": 3})  # the click itself moves it
        names = {"L": "low_shelf_frequency_hz", "F": "input_gain_db", "P": "pan"}
        assert tracks(names[knob[0]]) == pytest.approx(start, abs=1e-6)
    assert fader.get_attribute("title") == "\u221248.0 dB to 48.0 dB; double-click: 0.0 dB and 4.0 dB"
    assert "Double-click on a slider: its value at the start." in tab.locator(".dm-desk").text_content()


def test_the_curve_follows_the_knobs(visit, toy):
    tab = visit(dm.desk(toy))
    path = "document.querySelector('.dm-curve .dm-line').getAttribute('d')"
    before = tab.evaluate(path)
    tab.get_by_role("slider", name="Peak 2 gain of vox").press("End")
    assert tab.evaluate(path) != before
    assert tab.locator(".dm-curve .dm-second").count() == 0
    tab.get_by_role("button", name="Reset").click()
    assert tab.evaluate(path) == before


DOTS = "[...document.querySelectorAll('.dm-dot')].map((dot) => [dot.cx.baseVal.value, dot.cy.baseVal.value])"


@pytest.mark.parametrize("hz", [None, 4000])
def test_every_band_has_a_dot_of_its_own(visit, toy, hz):
    """Neutral, two bands are at 6325 Hz; three can be at 4 kHz."""
    params = neutral_params(toy)
    for band in ("peak_3", "peak_4", "high_shelf") if hz else ():
        params.track("vox")[f"{band}_frequency_hz"], params.track("vox")[f"{band}_gain_db"] = hz, 12.0
    dots = visit(dm.desk(toy, params)).evaluate(DOTS)
    assert len(dots) == 6 and all(8 <= y <= 190 - 22 for _, y in dots)
    assert min(math.dist(a, b) for a, b in itertools.combinations(dots, 2)) > 16  # twice their radius
    assert len({round(x) for x, _ in dots}) == (4 if hz else 5)  # each at its frequency


def test_meters_are_for_the_eye_only_in_older_browsers(visit, toy):
    tab = visit(dm.desk(toy), before="<script>delete Element.prototype.ariaHidden</script>")
    assert tab.locator(".dm-meter").count() == tab.locator(".dm-meter[aria-hidden=true]").count() == 4


@pytest.mark.parametrize(
    ("controls", "shown", "hidden"),
    [
        (
            ("fader", "pan"),
            ["Fader of vox in dB", "Pan of vox"],
            ["Ratio of vox", "Peak 1 gain", "Output fader"],
        ),
        (("eq",), ["Peak 1 gain of vox"], ["Fader of vox", "Pan of vox", "Ratio of vox"]),
        (
            ("compressor", "master"),
            ["Ratio of vox", "Output fader of Master"],
            ["Fader of vox", "Peak 1 gain"],
        ),
    ],
)
def test_only_the_chosen_controls_are_shown(visit, toy, controls, shown, hidden):
    tab = visit(dm.desk(toy, controls=controls))
    for name in shown:
        assert tab.get_by_role("slider", name=name).count() == 1, name
    for name in hidden:
        assert tab.get_by_role("slider", name=name).count() == 0, name
    assert tab.get_by_role("button", name="Mute vox").count() == 1
    assert len(json.loads(settings_text(tab))["tracks"]["vox.L"]) == 27


@pytest.mark.parametrize("letters", LETTERS)
def test_it_fits_a_narrow_page(visit, data, letters):
    whole = dm.load_multitrack(data / "multitracks" / "caesium")
    tab = visit(dm.desk(whole, seconds=0.5), width=1200, before=LETTERS[letters])
    tab.get_by_role("button", name="Copy the settings").click()
    for width in (1200, 400, 340):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_function(f"document.documentElement.clientWidth === {width}")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        cramped = """[...document.querySelectorAll(".dm-number")].filter((box) => box.scrollWidth > box.clientWidth)
          .map((box) => box.ariaLabel)"""
        assert tab.evaluate(cramped) == [], width
        if width == 1200:
            continue
        # The box of the strips ends in the middle of one, and the master covers none.
        ends = tab.evaluate("""(() => {
          const box = document.querySelector(".dm-strips").getBoundingClientRect();
          const strips = [...document.querySelectorAll(".dm-strip")].map((strip) => strip.getBoundingClientRect());
          return [box.right, ...strips.map(({ left, right }) => [left, right])];
        })()""")
        cut = [(ends[0] - left) / (right - left) for left, right in ends[1:] if left < ends[0] < right]
        assert len(cut) == 1 and 0.25 < cut[0] < 0.75, width
        assert all(right <= left + 1 for (_, right), (left, _) in itertools.pairwise(ends[1:]))
    assert tab.locator(".dm-desk [id]").count() == 0  # nothing that a second desk could collide with
