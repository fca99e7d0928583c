"""Whole sittings in a browser: by keyboard, with the page closed in the middle, and by several listeners."""

import json

import pytest

from diffmst_lib.evaluation.listening.collecting import collect_ratings
from diffmst_lib.evaluation.listening.scales import SCALES

FOCUSED = "document.activeElement.getAttribute('aria-label')"
SYSTEMS = {"equal-loudness", "rules", "small", "human"}


def rate_by_keys(tab, given):
    """Move every slider with Tab and arrows, each by another amount; keep what was given by its label."""
    tab.keyboard.press("1")  # the focus goes to mix A on the first scale
    for turn in range(4 * len(SCALES)):
        label = tab.evaluate(FOCUSED)
        tab.keyboard.press(("End", "Home", "PageUp", "Enter")[turn % 4])
        for _ in range(turn % 3):
            tab.keyboard.press("ArrowLeft")
        given[label] = tab.evaluate("Number(document.activeElement.value)")
        tab.keyboard.press("Tab")  # the button of the next mix
        tab.keyboard.press("Tab")
    for key in "234":
        tab.keyboard.press(key)
    tab.keyboard.press("r")


def test_a_whole_sitting_by_keyboard(visit, tmp_path):
    sitting = visit(strict=True)
    tab = sitting.tab
    tab.keyboard.press("n")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "I listen on loudspeakers"
    tab.keyboard.press("Enter")
    given = [{}, {}]
    for number in range(2):
        tab.get_by_role("heading", name=f"Page {number + 1} of 2").wait_for()
        tab.get_by_text("The sounds are being read").wait_for(state="detached")
        rate_by_keys(tab, given[number])
        assert len(given[number]) == 16
        if number == 0:  # the page is closed in the middle, and opened again
            before = sitting.kept()
            labels = tab.evaluate("sitting.kept.pages.map((page) => page.order)")
            sitting.tab.close()
            sitting.tab = tab = sitting.new_tab()
            sitting.open()
            after = sitting.kept()
            assert {**after, "saved": ""} == {**before, "saved": ""} | {"pages": after["pages"]}
            assert [page["ratings"] for page in after["pages"]] == [
                page["ratings"] for page in before["pages"]
            ]
            assert tab.evaluate("sitting.kept.pages.map((page) => page.order)") == labels
            shown = tab.locator("input[type=range]")
            values = {slider.get_attribute("aria-label"): int(slider.input_value()) for slider in shown.all()}
            assert values == given[0] and tab.locator(".unrated").count() == 0
        tab.keyboard.press("n")
    assert tab.get_by_role("heading", name="Thank you").is_visible()
    tab.keyboard.press("Tab")
    with tab.expect_download() as download:
        tab.keyboard.press("Enter")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert sitting.errors == [] and set(sitting.asked) == {sitting.page.as_uri()}

    table = collect_ratings([file])
    assert len(table) == 2 * 4 * len(SCALES) and set(table["system"]) == SYSTEMS
    assert table["finished"].all() and set(table["headphones"]) == {"loudspeakers"}
    order = [page["page"] for page in json.loads(file.read_text("utf-8"))["pages"]]
    assert len(set(order)) == 2
    for number, pair in enumerate(table["pair"].unique()):
        rows = table[table["pair"] == pair]
        as_given = {
            f"{row.scale.capitalize()}, mix {'ABCD'[row.place - 1]}": row.rating for row in rows.itertuples()
        }
        assert as_given in given, number
    assert (table["heard_s"] >= 0).all()


def test_nothing_is_left_out_unseen(visit):
    sitting = visit()
    sitting.rating()
    tab = sitting.tab
    tab.get_by_role("button", name="Next").click()
    assert (
        "Not heard yet: A, B, C, D; like the record not rated: A, B, C, D;"
        in tab.get_by_role("alert").inner_text()
    )
    assert tab.evaluate(FOCUSED) == "Hear mix A" and sitting.kept()["step"] == 2
    for key in "1234":
        tab.keyboard.press(key)
    tab.keyboard.press("n")
    assert tab.get_by_role("alert").inner_text().startswith("Like the record not rated: A, B, C, D")
    assert tab.evaluate(FOCUSED) == "Like the record, mix A"
    tab.get_by_role("button", name="Back").click()  # going back needs nothing
    assert sitting.kept()["step"] == 1


def test_a_click_rates_a_slider_that_stays_in_the_middle(visit):
    sitting = visit()
    sitting.rating()
    slider = sitting.tab.get_by_role("slider", name="Balance, mix B")
    assert slider.get_attribute("aria-valuetext") == "not rated"
    box = slider.bounding_box()
    slider.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert slider.get_attribute("aria-valuetext") in {f"{n} of 100, some parts are off" for n in (49, 50, 51)}
    page = sitting.kept()["pages"][0]
    assert set(page["ratings"][page["order"][1]]) == {"balance"}


def test_every_listener_gets_an_order_of_their_own(visit):
    orders = [
        visit().tab.evaluate("sitting.kept.pages.map((page) => page.order.join()).join()") for _ in range(6)
    ]
    assert len(set(orders)) > 1  # all six alike: once in 10 ** 15


def test_who_made_a_mix_cannot_be_read(visit):
    sitting = visit()
    sitting.rating()
    hidden = ["equal-loudness", "rules", "small", "human", "record 1", "record 2", "30.0"]
    stage = sitting.tab.evaluate("document.getElementById('stage').outerHTML")
    data = sitting.tab.evaluate("JSON.stringify({ ...TEST, scales: 0, sealed: 0 })")
    assert [word for word in hidden if word in stage or word in data] == []
    assert sitting.tab.get_by_role("heading", name="Ears & <eyes>").count() == 1


def test_another_listener_begins_and_nothing_is_lost(visit):
    sitting = visit()
    tab = sitting.tab
    sitting.rating()
    tab.keyboard.press("1")
    tab.keyboard.press("End")
    sitting.go_to(4)
    first = sitting.kept()
    tab.get_by_role("button", name="Another listener begins").click()
    second = sitting.kept()
    assert second["listener"] != first["listener"] and second["step"] == 0 and second["finished"] is None
    assert all(not ratings for page in second["pages"] for ratings in page["ratings"].values())
    sitting.go_to(4)
    with tab.expect_download() as download:
        tab.get_by_role("button", name=f"Save the file of {first['listener']}").click()
    saved = json.loads(download.value.path().read_text("utf-8"))
    assert saved["pages"] == first["pages"] and saved["finished"]


def test_another_tab_goes_on_where_the_first_is(visit):
    sitting = visit()
    first, second = sitting.tab, sitting.new_tab()
    second.goto(sitting.page.as_uri())
    sitting.go_to(3)
    second.wait_for_function("document.querySelector('h2').textContent === 'Page 2 of 2'")
    assert second.evaluate("sitting.kept.listener") == first.evaluate("sitting.kept.listener")


@pytest.mark.parametrize("text", ['{"step": 3, "pag', '{"format": "diffmst-listening", "pages": []}', "null"])
def test_damaged_ratings_in_the_browser_are_put_aside(visit, text):
    sitting = visit()
    sitting.tab.evaluate("(text) => localStorage.setItem(PLACE, text)", text)
    sitting.open()
    assert sitting.kept()["step"] == 0 and sitting.errors == []
    damaged = sitting.tab.evaluate(
        "Object.keys(localStorage).filter((n) => n.includes('damaged')).map((n) => localStorage.getItem(n))"
    )
    assert damaged == [text]


def test_a_browser_that_keeps_nothing_says_so(visit):
    sitting = visit(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
    )
    tab = sitting.tab
    tab.get_by_text("This browser keeps nothing").wait_for(state="attached")
    tab.get_by_role("button", name="Next").click()
    tab.get_by_role("button", name="I listen on loudspeakers").click()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Save my ratings as a file").click()
    assert json.loads(download.value.path().read_text("utf-8"))["step"] == 2
    assert sitting.errors == []


def test_keys_can_be_switched_off(visit):
    sitting = visit()
    sitting.tab.get_by_role("checkbox", name="keys").uncheck()
    sitting.tab.keyboard.press("n")
    assert sitting.kept()["step"] == 0
    sitting.tab.get_by_role("checkbox", name="keys").check()
    sitting.tab.keyboard.press("Control+n")
    sitting.tab.keyboard.press("n")
    assert sitting.kept()["step"] == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_window(visit, scheme):
    sitting = visit(width=400, scheme=scheme)
    for step in range(5):
        sitting.go_to(step)
        assert sitting.tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert sitting.errors == []


def test_all_that_can_be_used_has_a_name(visit):
    sitting = visit()
    for step in range(5):
        sitting.go_to(step)
        for role in ("button", "slider", "checkbox"):
            everything = sitting.tab.get_by_role(role)
            named = [one for one in everything.all() if one.get_attribute("aria-label") or one.inner_text()]
            assert role == "checkbox" or len(named) == everything.count()
    sitting.rating()
    assert sitting.tab.get_by_role("slider", name="Clarity, mix D").get_attribute("aria-describedby")
    assert sitting.tab.get_by_role("button", name="Hear the record").count() == 1
