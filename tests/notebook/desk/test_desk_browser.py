"""The mixing desk on a page: it needs neither mouse nor kernel, and its settings travel."""

import json
import math

import own_console  # noqa: F401 - it registers the console "warm"
import pytest
import torch
from desk_page import PLAIN, busy_params, fader, level_of, settings_text, turn_to
from widget_sounds import tones

import diffmst_lib as dm

# --- settings ---------------------------------------------------------------------------------------------------


def test_settings_go_to_python_and_back(visit, excerpt):
    params = busy_params(excerpt, 3)
    params.track("kick")["send_db"] = -6.0
    tab = visit(dm.desk(excerpt))
    text = tab.get_by_role("textbox", name="Settings as JSON")
    assert dm.ConsoleParams.from_json(settings_text(tab)).to_json() == dm.desk(excerpt).params.to_json()
    text.fill(params.to_json())
    tab.get_by_role("button", name="Load the settings in the text").click()
    assert "Settings loaded" in tab.get_by_role("status").text_content()
    copied = settings_text(tab)
    assert json.loads(copied) == json.loads(params.to_json())
    assert dm.ConsoleParams.from_json(copied).to_json() == params.to_json()
    assert "effects bus, which the desk does not play: kick." in tab.locator(".dm-unplayed").text_content()
    # A knob turned here arrives there, and nothing else changes.
    turn_to(tab, "Fader of kick", -3.27)
    params.track("kick")["fader_db"] = -3.27
    assert dm.ConsoleParams.from_json(settings_text(tab)).to_json() == params.to_json()


def test_an_effect_of_ones_own_is_kept_and_not_played(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names, preset="warm")
    desk = dm.desk(toy, params)
    tab = visit(desk)
    unplayed = tab.locator(".dm-unplayed")
    assert unplayed.text_content() == ""
    params.track("kick")["drive_db"] = 6.0
    settings_text(tab)
    tab.get_by_role("textbox", name="Settings as JSON").fill(params.to_json())
    tab.get_by_role("button", name="Load the settings in the text").click()
    assert "Turned on in the saturator, which the desk does not play: kick." in unplayed.text_content()
    turn_to(tab, "Fader of kick", -3.27)
    params.track("kick")["fader_db"] = -3.27
    assert dm.ConsoleParams.from_json(settings_text(tab)).to_json() == params.to_json()


def test_settings_from_a_file(visit, toy, tmp_path):
    params = dm.ConsoleParams.neutral(toy.names)
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
    "snare": 'there is no track "snare" here, but vox, kick',
    "preset": 'its preset is "reference", this desk plays "default"',
    "rate": "it is for 48000 Hz, the song is at 44100 Hz",
    "version": "its version is 1, this desk reads 3",
    "no master": "master_bus is missing",
    "sections": "it holds a console for each section, this desk takes one",
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
        "sections": lambda: data.update(version=4, sections={}),
    }
    if how not in changes:
        return how
    changes[how]()
    return json.dumps(data)


def test_bad_settings_change_nothing_and_say_why(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names)
    params.track("kick")["fader_db"] = -4.5
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
        assert level_of(tab, "kick") == -4.5
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
    fader(tab, "kick").press("Home")
    tab.wait_for_function(f"{LEVELS}[0] > 10 && {LEVELS}[1] === 0")


def test_it_plays_on_a_page_alone(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names)
    params.master_bus["output_gain_db"] = -6.0
    desk = dm.desk(toy, params)
    tab = visit(desk)
    play(tab, desk)
    tab.get_by_role("button", name="Mute vox").click()
    tab.wait_for_function(f"{LEVELS}[0] === 0 && {LEVELS}[1] > 10")
    tab.get_by_role("button", name="Mute vox").click()
    tab.get_by_role("button", name="Solo vox").click()
    tab.wait_for_function(f"{LEVELS}[0] > 10 && {LEVELS}[1] === 0")

    output = tab.get_by_role("slider", name="Output fader of Master")
    output.press("End")
    tab.wait_for_selector(".dm-clip.dm-on")
    tab.get_by_role("button", name="Stop").click()
    assert tab.evaluate(LEVELS) == [0, 0, 0]
    tab.get_by_role("button", name="Reset").click()
    assert json.loads(settings_text(tab)) == json.loads(params.to_json())
    assert tab.get_by_role("button", name="Solo vox").get_attribute("aria-pressed") == "false"


LUFS = "Number(document.querySelector('.dm-lufs').textContent.replace('\u2212', '-').match(/-?[\\d.]+/)?.[0])"
CORRELATION = "document.querySelector('.dm-correlation .dm-value').textContent"
QUIET = "document.querySelector('.dm-levels').getAttribute('aria-busy') === 'false'"


def test_loudness_and_correlation_are_those_of_the_mix(visit, toy):
    desk = dm.desk(toy)
    tab = visit(desk)
    assert math.isnan(tab.evaluate(LUFS)) and tab.evaluate(CORRELATION) == "\u2013"
    tab.get_by_role("button", name="Play").click()

    def assert_shows(desk):
        mix = desk.mix()
        tab.wait_for_function(f"{QUIET} && Math.abs({LUFS} - {dm.loudness(mix)}) < 0.1")
        shown = float(tab.evaluate(CORRELATION).replace("\u2212", "-"))
        assert shown == pytest.approx(torch.corrcoef(mix)[0, 1].item(), abs=0.02)

    assert_shows(desk)
    params = desk.params
    params.track("vox")["width"], params.track("kick")["fader_db"] = 2.0, -4.0
    tab.get_by_role("slider", name="Width of vox").press("End")
    turn_to(tab, "Fader of kick", -4)
    desk.params = params
    assert_shows(desk)
    for name in toy.names:
        tab.get_by_role("button", name=f"Mute {name}").click()
    tab.wait_for_function("document.querySelector('.dm-lufs').textContent === '\u2212\u221e LUFS'")
    assert tab.evaluate(CORRELATION) == "\u2013"


def test_the_reference_stays_as_loud_as_the_mix(visit, toy):
    """A tone, so that its peak tells its loudness; nothing of the desk is heard."""
    reference = tones(2.0, first_hz=700)
    desk = dm.desk(toy, reference=reference)
    tab = visit(desk)
    tab.get_by_role("button", name="Listen to the reference").click()
    assert tab.get_by_role("button", name="Listen to the reference").get_attribute("aria-pressed") == "true"
    tab.get_by_role("button", name="Play").click()
    level = dm.loudness(desk.reference)
    peak = 20 * math.log10(desk.reference.abs().max().item())
    assert level == pytest.approx(-16, abs=0.01)
    tab.wait_for_function(f"Math.abs({PEAK} - {peak}) < 0.5 && {QUIET}")
    assert float(tab.evaluate(CORRELATION).replace("\u2212", "-")) == pytest.approx(
        torch.corrcoef(reference)[0, 1].item(), abs=0.006
    )
    for knob, value in (("Output fader of Master", -12), ("Fader of kick", 12), ("Fader of vox", 6)):
        turn_to(tab, knob, value)
    params = desk.params
    params.master_bus["output_gain_db"] = -12.0
    params.track("kick")["fader_db"], params.track("vox")["fader_db"] = 12.0, 6.0
    desk.params = params
    now = dm.loudness(desk.mix())
    assert abs(now - level) > 3
    tab.wait_for_function(f"Math.abs({LUFS} - {now}) < 0.1 && {QUIET}")
    tab.get_by_role("button", name="Listen to the reference").click()  # the peak from here on
    tab.wait_for_function(f"Math.abs({PEAK} - {peak + now - level}) < 0.5")
    for name in toy.names:  # beside silence it keeps its level
        tab.get_by_role("button", name=f"Mute {name}").click()
    tab.wait_for_function("document.querySelector('.dm-lufs').textContent === '\u2212\u221e LUFS'")
    tab.get_by_role("button", name="Listen to the reference").click()
    tab.wait_for_function(f"Math.abs({PEAK} - {peak + now - level}) < 0.5")


def test_the_compressor_shows_its_gain_reduction(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names)
    params.track("vox")["threshold_db"], params.track("vox")["ratio"] = -60.0, 20.0
    tab = visit(dm.desk(toy, params, controls=("compressor",)))
    shown = "document.querySelector('.dm-reduction .dm-value').textContent"
    reduction = f"Number({shown}.replace('\u2212', '-').slice(0, -3))"
    assert tab.evaluate(reduction) == 0
    tab.get_by_role("button", name="Play").click()
    # 20:1 above -60 dB: of a chord that swells between -20 and -10 dB at its peaks, 38 to 48 dB are over at most.
    tab.wait_for_function(f"{reduction} < -25 && {reduction} > -49")
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
    params = dm.ConsoleParams.neutral(toy.names)
    params.track("kick")["fader_db"] = -3.0
    tab = visit(dm.desk(toy), dm.desk(toy, params))
    assert tab.locator("[id]").count() == 0
    faders = fader(tab, "kick")
    assert [one.get_attribute("aria-valuenow") for one in faders.all()] == ["0", "-3"]
    faders.nth(1).press("ArrowUp")
    tab.get_by_role("button", name="Mute vox").nth(1).click()
    assert [one.get_attribute("aria-valuenow") for one in faders.all()] == ["0", "-2.5"]
    tab.get_by_role("button", name="Undo").nth(1).click()
    tab.get_by_role("button", name="Undo").nth(1).click()
    assert [one.get_attribute("aria-valuenow") for one in faders.all()] == ["0", "-3"]
    tab.get_by_role("button", name="Mute vox").nth(1).click()
    pressed = [
        button.get_attribute("aria-pressed") for button in tab.get_by_role("button", name="Mute vox").all()
    ]
    assert pressed == ["false", "true"]


def test_without_web_audio_it_says_so(visit, toy):
    tab = visit(dm.desk(toy), before="<script>delete window.AudioContext</script>")
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("document.querySelector('.dm-status').textContent.includes('no Web Audio')")
    fader(tab, "kick").press("ArrowUp")
    assert level_of(tab, "kick") == 0.5
