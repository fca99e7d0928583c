"""Players in a browser: clocks, keys, and several groups on a page."""

import pytest
from widget_sounds import tones

from diffmst_lib.notebook.players.sounds import listen

PLAYERS = "[...document.querySelectorAll('audio')]"


@pytest.fixture
def two_groups():
    pair = {"first": tones(), "second": tones(first_hz=300)}
    return listen(pair, title="One"), listen(pair, title="Two", match_lufs=-23)


def test_players_load(visit, two_groups):
    tab = visit(*two_groups)
    tab.wait_for_function(f"{PLAYERS}.every((player) => player.duration > 3.9 && player.duration < 4.1)")
    assert tab.locator("audio").count() == 4
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


# Keeps the position at which a player starts, before any time has passed.
STARTS = """() => {
  window.starts = [];
  const players = [...document.querySelectorAll("audio")];
  players.forEach((player, i) => player.addEventListener("play", () => starts.push([i, player.currentTime])));
}"""


def test_switching_goes_on_at_the_same_position(visit):
    pair = {"first": tones(20.0), "second": tones(20.0, first_hz=300)}  # long: it shall not end meanwhile
    tab = visit(listen(pair, seconds=20), listen(pair, seconds=20))
    tab.evaluate(STARTS)
    tab.get_by_role("button", name="Switch to first").first.click()
    tab.wait_for_function(f"{PLAYERS}[0].currentTime > 0.8")
    tab.keyboard.press("2")  # the focus is on the button
    tab.wait_for_function(f"starts.length === 2 && {PLAYERS}[0].paused")
    (_, (second, start)) = tab.evaluate("starts")
    assert second == 1 and start == pytest.approx(tab.evaluate(f"{PLAYERS}[0].currentTime"), abs=0.1)
    tab.wait_for_selector("button[aria-label='Switch to second'][aria-pressed=true]")
    assert tab.locator("button[aria-pressed=true]").count() == 1
    # The player's own controls switch as well, ...
    tab.evaluate(f"{PLAYERS}[1].currentTime = 2, {PLAYERS}[0].play()")
    tab.wait_for_function(f"starts.length === 3 && {PLAYERS}[1].paused")
    first, start = tab.evaluate("starts[2]")
    assert first == 0 and start > 1.9
    # ... a dragged position is everybody's, and another group has a clock of its own.
    tab.evaluate(f"{PLAYERS}[1].currentTime = 3")
    tab.wait_for_function(f"{PLAYERS}[0].currentTime >= 3")
    tab.get_by_role("button", name="Switch to first").nth(1).click()
    tab.wait_for_function(f"starts.length === 4 && {PLAYERS}[0].paused")
    third, start = tab.evaluate("starts[3]")
    assert third == 2 and start < 2.5


def test_widgets_fit_a_narrow_page(visit, two_groups):
    long_name = listen(
        {"a label that goes on for rather longer than the page is wide, " * 2: tones(), "b": tones()}
    )
    tab = visit(*two_groups, long_name, width=400)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
