"""Players in a browser: clocks, keys, and several groups on a page."""

import pytest
from desk_page import visit  # noqa: F401 (a fixture)
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


def test_switching_goes_on_at_the_same_position(visit, two_groups):
    tab = visit(*two_groups)
    tab.get_by_role("button", name="Switch to first").first.click()
    tab.wait_for_function(f"{PLAYERS}[0].currentTime > 0.8")
    tab.keyboard.press("2")  # the focus is on the button
    tab.wait_for_function(f"!{PLAYERS}[1].paused && {PLAYERS}[0].paused")
    first, second = tab.evaluate(f"{PLAYERS}.slice(0, 2).map((player) => player.currentTime)")
    assert first - 0.05 < second < first + 0.5
    tab.wait_for_selector("button[aria-label='Switch to second'][aria-pressed=true]")
    assert tab.locator("button[aria-pressed=true]").count() == 1
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


def test_widgets_fit_a_narrow_page(visit, two_groups):
    long_name = listen(
        {"a label that goes on for rather longer than the page is wide, " * 2: tones(), "b": tones()}
    )
    tab = visit(*two_groups, long_name, width=400)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
