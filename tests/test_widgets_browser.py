"""Players and faders in a browser: clocks, keys, meters, and the sound itself."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from diffmst_lib import widgets
from diffmst_lib.widgets import faders, listen
from widget_sounds import RATE, level_db, tones, toy_stems

ADDRESS = "http://widgets.test"


@pytest.fixture
def stems():
    return toy_stems()


@pytest.fixture
def visit(chromium):
    """Open widgets on one page; at the end nothing may have failed or gone elsewhere."""
    complaints, tabs = [], []

    def open_page(*shown, width=1280, before=""):
        body = "".join(item._repr_html_() for item in shown)
        page = f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body>{before}{body}'
        files = {"/": (page, "text/html"), "/faders.js": (FADERS_JS.read_text("utf-8"), "text/javascript")}

        def answer(route):
            body, mime = files.get(route.request.url.removeprefix(ADDRESS), (None, None))
            if body is None:
                complaints.append(f"asked for {route.request.url}")
                return route.abort()
            return route.fulfill(body=body, content_type=mime)

        tab = chromium.new_page(viewport={"width": width, "height": 900})
        tabs.append(tab)
        tab.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.route(re.compile("^(?!data:|blob:)"), answer)
        tab.goto(f"{ADDRESS}/")
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert complaints == []


FADERS_JS = Path(widgets.__file__).parent / "faders.js"
PLAYERS = "[...document.querySelectorAll('audio')]"


@pytest.fixture
def two_groups():
    pair = {"first": tones(), "second": tones(first_hz=300)}
    return listen(pair, title="One"), listen(pair, title="Two", match_lufs=-23)


def test_players_load(visit, two_groups, stems):
    tab = visit(*two_groups, faders(stems))
    tab.wait_for_function(f"{PLAYERS}.every((player) => player.duration > 3.9 && player.duration < 4.1)")
    assert tab.locator("audio").count() == 4
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


def test_switching_goes_on_at_the_same_position(visit, two_groups, stems):
    tab = visit(*two_groups, faders(stems))
    tab.get_by_role("button", name="Switch to first").first.click()
    tab.wait_for_function(f"{PLAYERS}[0].currentTime > 0.8")
    tab.keyboard.press("2")  # the focus is on the button
    tab.wait_for_function(f"!{PLAYERS}[1].paused && {PLAYERS}[0].paused")
    first, second = tab.evaluate(f"{PLAYERS}.slice(0, 2).map((player) => player.currentTime)")
    assert first - 0.05 < second < first + 0.5
    pressed = tab.locator("button[aria-pressed=true]")
    assert pressed.get_attribute("aria-label") == "Switch to second"
    # The player's own controls switch as well, ...
    tab.evaluate(f"{PLAYERS}[0].play()")
    tab.wait_for_function(f"!{PLAYERS}[0].paused && {PLAYERS}[1].paused")
    assert tab.evaluate(f"{PLAYERS}[0].currentTime") >= second - 0.05
    # ... a dragged position is everybody's, and another group has a clock of its own.
    tab.evaluate(f"{PLAYERS}[1].currentTime = 3")
    tab.wait_for_function(f"{PLAYERS}[0].currentTime >= 3")
    tab.get_by_role("button", name="Switch to first").nth(1).click()
    tab.wait_for_function(f"{PLAYERS}[0].paused && !{PLAYERS}[2].paused")
    assert tab.evaluate(f"{PLAYERS}[2].currentTime") < 1


def test_faders_and_players_stop_each_other(visit, two_groups, stems):
    tab = visit(*two_groups, faders(stems), faders(stems))
    play = tab.locator(".dm-play")
    tab.get_by_role("button", name="Switch to first").first.click()
    tab.wait_for_function(f"{PLAYERS}[0].currentTime > 0")
    play.first.click()
    tab.wait_for_function("document.querySelector('.dm-play').textContent.includes('Stop')")
    assert tab.evaluate(f"{PLAYERS}[0].paused")
    play.last.click()
    tab.wait_for_function("document.querySelectorAll('.dm-play')[1].textContent.includes('Stop')")
    assert "Play" in play.first.text_content()
    tab.get_by_role("button", name="Switch to first").first.click()
    tab.wait_for_function("document.querySelectorAll('.dm-play')[1].textContent.includes('Play')")


def test_faders_by_keyboard(visit, stems):
    tab = visit(faders(stems, gains_db={"kick": -3.0}))
    fader = tab.get_by_role("slider", name="Gain of kick in dB")
    fader.focus()
    tab.keyboard.press("ArrowRight")
    assert fader.input_value() == "-2.5" and fader.get_attribute("aria-valuetext") == "\u22122.5 dB"
    tab.keyboard.press("Home")
    assert fader.input_value() == "-48"
    tab.keyboard.press("End")
    assert fader.input_value() == "12"
    fader.dblclick()
    assert fader.input_value() == "-3"

    mute = tab.get_by_role("button", name="Mute bass")
    mute.focus()
    tab.keyboard.press("Space")
    assert mute.get_attribute("aria-pressed") == "true"
    tab.get_by_role("button", name="Copy the gains").press("Enter")
    settings = json.loads(tab.get_by_role("textbox").input_value())
    assert settings == {
        "kick": {"input_gain_db": -3},
        "bass": {"input_gain_db": None},
        "<vox> & co": {"input_gain_db": 0},
        "clap": {"input_gain_db": 0},
    }
    tab.get_by_role("button", name="Reset").press("Enter")
    assert mute.get_attribute("aria-pressed") == "false"


def test_meters_show_the_level_and_clipping(visit):
    tab = visit(faders({"tone": tones(peak=0.5), "other": torch.zeros(RATE)}, gains_db={"tone": -6.0}))
    tab.locator(".dm-play").click()
    shown = "document.querySelector('.dm-peak').textContent"
    tab.wait_for_function(f"Math.abs(Number({shown}.match(/\u2212([\\d.]+)/)?.[1]) - 12) < 0.7", timeout=10_000)
    assert not tab.locator(".dm-clip.dm-on").count()
    widths = tab.evaluate("[...document.querySelectorAll('.dm-level')].map((level) => level.offsetWidth)")
    assert widths[0] > 100 and widths[1] == 0
    tab.get_by_role("slider").first.press("End")
    tab.wait_for_selector(".dm-clip.dm-on")


RENDER = """async () => {
  const { stemGains, buildMix } = await import("/faders.js");
  const state = JSON.parse(document.querySelector(".dm-faders + script").textContent);
  const context = new OfflineAudioContext(2, 44100, 44100);
  const bytes = state.audio.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  const buffers = await Promise.all(bytes.map((file) => context.decodeAudioData(file.buffer)));
  const gains = stemGains(state).map((gain, i) => gain * state.scales[i]);
  buildMix(context, buffers, gains).start();
  const rendered = await context.startRendering();
  const channel = (buffer, c) => [...buffer.getChannelData(Math.min(c, buffer.numberOfChannels - 1)).slice(0, 44100)];
  const channels = (buffer) => [channel(buffer, 0), channel(buffer, 1)];
  return { rendered: channels(rendered), stems: buffers.map(channels), gains };
}"""


def test_the_browser_plays_the_sum(visit, stems):
    board = faders(stems, gains_db={"kick": -4.5, "clap": 6.0})
    board.muted = ["bass"]
    result = visit(board).evaluate(RENDER)
    rendered = np.array(result["rendered"])
    expected = [10 ** (-4.5 / 20), 0, 1.5 * 10 ** (0.5 / 20), 10 ** (6 / 20)]
    np.testing.assert_allclose(result["gains"], expected, rtol=1e-6)
    explicit = np.zeros_like(rendered)
    for gain, stem in zip(expected, result["stems"], strict=True):
        explicit += gain * np.array(stem)
    np.testing.assert_allclose(rendered, explicit, atol=1e-3)
    # And it is Python's mix, but for what the MP3 files lost.
    difference = rendered - board.mix()[:, :RATE].numpy()
    assert level_db(difference) < level_db(rendered) - 20


def test_without_web_audio_a_board_says_so(visit, stems):
    tab = visit(faders(stems), before="<script>delete window.AudioContext</script>")
    tab.locator(".dm-play").click()
    tab.wait_for_function("document.querySelector('.dm-status').textContent.includes('no Web Audio')")
    tab.get_by_role("slider").first.press("End")
    assert tab.get_by_role("slider").first.input_value() == "12"


def test_widgets_fit_a_narrow_page(visit, two_groups, stems):
    long_name = listen({"a label that goes on for rather longer than the page is wide, " * 2: tones(), "b": tones()})
    board = faders(stems | {"a_stem_name_that_goes_on_and_on_and_on_and_on": tones()})
    tab = visit(*two_groups, long_name, board, width=400)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
