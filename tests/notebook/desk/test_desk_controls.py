"""Faders, knobs, the dots of the equalizer and undo: by mouse and by keyboard."""

import itertools
import json
import math

import pytest
from desk_page import LETTERS, fader, level_of, settings_text, turn_to

import diffmst_lib as dm


def dot(tab, marks):
    return tab.locator(f".dm-handle:has(.dm-dot-text:text-is('{marks}')) circle")


def test_everything_by_keyboard(visit, toy):
    tab = visit(dm.desk(toy))
    slider = fader(tab, "kick")
    slider.focus()
    steps = (
        ("ArrowUp", 0.5),
        ("Shift+ArrowUp", 0.6),
        ("PageDown", -2.4),
        ("ArrowLeft", -2.9),
        ("End", 12),
        ("Home", -60),
    )
    for key, value in steps:
        tab.keyboard.press(key)
        assert level_of(tab, "kick") == value, key
    assert slider.get_attribute("aria-valuetext") == "off"
    tab.keyboard.press("ArrowUp")
    assert slider.get_attribute("aria-valuetext") == "\u221259.5 dB"
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
    assert ratio.get_attribute("aria-valuetext") == "20.00:1"
    tab.get_by_role("slider", name="Low shelf frequency of kick in Hz").press("Home")
    tab.get_by_role("button", name="Bypass the equalizer of kick").press("Enter")
    assert (
        tab.get_by_role("button", name="Bypass the equalizer of kick").get_attribute("aria-pressed") == "true"
    )
    tab.get_by_role("slider", name="Trim of kick in dB").press("Home")
    tab.get_by_role("button", name="Show the settings of Master").press("Enter")
    assert tab.get_by_role("slider", name="Trim").count() == 0
    tab.get_by_role("slider", name="Width of Master").press("Home")

    settings = json.loads(settings_text(tab))
    assert (
        settings["tracks"]["kick"]["ratio"] == 20
        and settings["tracks"]["kick"]["low_shelf_frequency_hz"] == 20
    )
    assert settings["tracks"]["kick"]["input_gain_db"] == -48 and settings["master_bus"]["width"] == 0
    unnamed = tab.evaluate("""[...document.querySelectorAll('.dm-desk :is(input, button, textarea, [role=slider])')]
        .filter((control) => !control.getAttribute('aria-label')).length""")
    assert unnamed == 0


def test_a_double_click_brings_back_the_start(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names)
    params.track("vox")["fader_db"], params.track("vox")["pan"] = -6.0, 0.25
    tab = visit(dm.desk(toy, params))

    def knob(name):
        return json.loads(settings_text(tab))["tracks"]["vox"][name]

    turn_to(tab, "Low shelf frequency of vox", 250)
    assert knob("low_shelf_frequency_hz") == 250
    turn_to(tab, "Low shelf frequency of vox", 9000)
    assert knob("low_shelf_frequency_hz") == 500  # the end of the range
    for title, name, start in (
        ("Low shelf frequency of vox", "low_shelf_frequency_hz", 100),
        ("Pan of vox", "pan", 0.25),
        ("Fader of vox in dB", "fader_db", -6.0),
    ):
        tab.get_by_role("slider", name=title).dblclick(position={"x": 3, "y": 3})  # the click itself moves it
        assert knob(name) == pytest.approx(start, abs=1e-6)
    title = fader(tab, "vox").get_attribute("title")
    assert title == "off to 12.0 dB; Shift: fine; double-click: \u22126.0 dB"
    assert "Double-click on a control: its value at the start." in tab.locator(".dm-desk").text_content()


def test_a_fader_has_a_taper_and_is_fine_with_shift(visit, toy):
    tab = visit(dm.desk(toy))
    heights = """async () => {
      const { faderHeight, faderLevel } = await import("/desk.js");
      const levels = Array.from({ length: 145 }, (_, i) => i / 2 - 60);
      return levels.map((db) => [db, faderHeight("fader_db", db), faderLevel("fader_db", faderHeight("fader_db", db))]);
    }"""
    table = tab.evaluate(heights)
    assert (table[0][1], table[-1][1]) == (0, 1)
    assert all(low[1] < high[1] for low, high in itertools.pairwise(table))
    assert all(back == pytest.approx(db, abs=1e-9) for db, _, back in table)
    at = {db: height for db, height, _ in table}
    assert at[0] - at[-10] > 0.2 > 0.1 > at[-50] - at[-60]  # most of the way is where one mixes

    # Up by 20 px, and by 20 px with Shift.
    cap = fader(tab, "kick").locator(".dm-cap").bounding_box()
    x, y = cap["x"] + cap["width"] / 2, cap["y"] + cap["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    assert level_of(tab, "kick") == 0  # to take it is not to move it
    tab.mouse.move(x, y - 20)
    coarse = level_of(tab, "kick")
    assert 3 < coarse < 12
    tab.keyboard.down("Shift")
    tab.mouse.move(x, y - 40)
    fine = level_of(tab, "kick") - coarse
    tab.keyboard.up("Shift")
    assert fine == pytest.approx(coarse / 10, abs=0.06)
    tab.mouse.move(x, y + 900)
    assert level_of(tab, "kick") == -60
    tab.mouse.up()
    tab.mouse.move(x, y - 10)
    assert level_of(tab, "kick") == -60  # it was let go
    number = tab.get_by_role("spinbutton", name="Fader of kick")
    assert number.input_value() == "" and number.get_attribute("placeholder") == "\u2212\u221e"
    # A click on the scale: there.
    box = fader(tab, "vox").bounding_box()
    tab.mouse.click(box["x"] + 4, box["y"] + 0.5 * box["height"])
    assert -14 < level_of(tab, "vox") < -8


def test_a_mono_stem_has_no_width(visit, toy):
    tab = visit(dm.desk(toy))
    assert tab.get_by_role("slider", name="Width of vox").count() == 1
    assert tab.get_by_role("slider", name="Width of kick").count() == 0
    boxes = [tab.get_by_role("slider", name=f"Pan of {name}").bounding_box() for name in toy.names]
    assert boxes[0]["y"] == boxes[1]["y"]  # its place is left empty


def test_undo_and_redo(visit, toy):
    params = dm.ConsoleParams.neutral(toy.names)
    tab = visit(dm.desk(toy, params))
    undo, redo = (tab.get_by_role("button", name=name) for name in ("Undo", "Redo"))

    def settings():
        return json.loads(settings_text(tab))

    assert undo.is_disabled() and redo.is_disabled()
    states = [settings()]
    cap = fader(tab, "kick").locator(".dm-cap").bounding_box()  # one drag is one step
    x, y = cap["x"] + cap["width"] / 2, cap["y"] + cap["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    for pixels in (5, 10, 20):
        tab.mouse.move(x, y + pixels)
    tab.mouse.up()
    states.append(settings())
    pan = tab.get_by_role("slider", name="Pan of vox")
    for _ in range(2):  # two keys are two
        pan.press("ArrowRight")
        states.append(settings())
    box = dot(tab, "2").bounding_box()
    tab.mouse.move(box["x"] + 8, box["y"] + 8)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 30, box["y"] - 20, steps=4)
    tab.mouse.up()
    states.append(settings())
    tab.get_by_role("button", name="Mute vox").click()
    pressed = tab.get_by_role("button", name="Mute vox")
    assert pressed.get_attribute("aria-pressed") == "true"
    assert all(one != other for one, other in itertools.pairwise(states))

    undo.click()
    assert pressed.get_attribute("aria-pressed") == "false" and settings() == states[-1]
    for state in states[-2::-1]:
        pan.press("Control+z")
        assert settings() == state
    assert undo.is_disabled()
    for state in states[1:]:
        fader(tab, "vox").press("Control+Shift+z")
        assert settings() == state
    redo.press("Control+y")
    assert pressed.get_attribute("aria-pressed") == "true" and redo.is_disabled()
    tab.get_by_role("button", name="Reset").click()  # one step, whatever it changes
    assert settings() == states[0] and pressed.get_attribute("aria-pressed") == "false"
    undo.click()
    assert settings() == states[-1] and pressed.get_attribute("aria-pressed") == "true"
    tab.get_by_role("slider", name="Pan of vox").press("ArrowLeft")
    assert redo.is_disabled()  # a new move


def test_undo_leaves_texts_alone(visit, toy):
    tab = visit(dm.desk(toy))
    fader(tab, "kick").press("ArrowUp")
    number = tab.get_by_role("spinbutton", name="Pan of vox")
    number.click()
    tab.keyboard.press("Control+a")
    tab.keyboard.type("0.7")
    tab.keyboard.press("Control+z")
    assert level_of(tab, "kick") == 0.5
    number.fill("0.7")
    number.press("Enter")
    tab.keyboard.press("Control+z")
    assert number.input_value() == "0.50" and level_of(tab, "kick") == 0.5
    tab.keyboard.press("Control+z")
    assert level_of(tab, "kick") == 0
    settings_text(tab)
    fader(tab, "kick").press("ArrowUp")
    tab.get_by_role("textbox", name="Settings as JSON").press("Control+z")
    assert level_of(tab, "kick") == 0.5


def test_the_curve_follows_the_knobs(visit, toy):
    tab = visit(dm.desk(toy))
    path = "document.querySelector('.dm-curve .dm-line').getAttribute('d')"
    before = tab.evaluate(path)
    tab.get_by_role("slider", name="Peak 2 gain of vox").press("End")
    assert tab.evaluate(path) != before
    tab.get_by_role("button", name="Reset").click()
    assert tab.evaluate(path) == before


DOTS = "[...document.querySelectorAll('.dm-dot')].map((dot) => [dot.cx.baseVal.value, dot.cy.baseVal.value])"


def test_the_dots_stand_where_the_bands_are(visit, toy):
    """At their frequency and gain, also where the bands add up; those in one place have one mark."""
    params = dm.ConsoleParams.neutral(toy.names)
    vox = params.track("vox")
    vox["peak_1_gain_db"], vox["peak_2_gain_db"], vox["low_shelf_gain_db"] = 6.0, 6.0, -12.0
    vox["peak_1_frequency_hz"], vox["peak_2_frequency_hz"] = 400.0, 410.0
    tab = visit(dm.desk(toy, params))
    placed = {}
    for (x, y), marks in zip(tab.evaluate(DOTS), tab.locator(".dm-handle").all(), strict=True):
        placed.setdefault(marks.locator(".dm-dot-text").text_content(), []).append((x, y))
    # Two pairs are in one place: 400 and 410 Hz, and peak 4 with the high shelf at 6325 Hz.
    assert sorted(placed) == ["", "12", "3", "4H", "L"] and len(placed[""]) == 2
    size = tab.locator(".dm-equalizer").evaluate(
        "(svg) => [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height]"
    )

    def place(hz, db):
        left, right, top, bottom, reach = 44, 12, 8, 22, 18
        across = math.log(hz / 20) / math.log(1000)
        return left + (size[0] - left - right) * across, top + (size[1] - top - bottom) * (reach - db) / (
            2 * reach
        )

    for marks, hz, db in (("L", 100, -12), ("12", 410, 6), ("3", 2529.8, 0), ("4H", 6324.6, 0)):
        assert placed[marks][0] == pytest.approx(place(hz, db), abs=0.5), marks


def test_a_dot_can_be_dragged_and_its_wheel_turns_q(visit, toy):
    desk = dm.desk(toy, dm.ConsoleParams.neutral(toy.names))
    tab = visit(desk)
    gain, frequency, q = (
        tab.get_by_role("spinbutton", name=f"Peak 2 {name} of vox") for name in ("gain", "frequency", "Q")
    )

    def center(mark):
        box = dot(tab, mark).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    x, y = center("2")
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 50, y - 40, steps=5)
    assert center("2") == pytest.approx((x + 50, y - 40), abs=1.5)  # it is under the mouse
    assert float(gain.input_value()) > 6 and float(frequency.input_value()) > 900
    moved = float(gain.input_value())
    tab.keyboard.down("Shift")
    tab.mouse.move(x + 50, y)
    tab.keyboard.up("Shift")
    assert 0.1 < moved - float(gain.input_value()) < 1.5
    tab.mouse.move(x + 3000, y - 3000)  # the ends of its ranges
    assert (gain.input_value(), frequency.input_value()) == ("12.0", "2500")
    tab.mouse.up()
    tab.mouse.move(x, y)
    assert gain.input_value() == "12.0"  # it was let go
    before = float(q.input_value())
    tab.mouse.move(*center("2"))
    tab.mouse.wheel(0, -100)
    tab.wait_for_function(
        "document.querySelector('[aria-label=\"Peak 2 Q of vox, as a number\"]').value > 0.75"
    )
    assert float(q.input_value()) > before
    assert tab.evaluate("scrollY") == 0  # the page stays
    tab.mouse.dblclick(*center("2"))
    assert (gain.input_value(), frequency.input_value(), q.input_value()) == ("0.0", "707", "0.71")
    # Of two dots in one place, the upper is dragged away first.
    x, y = center("4H")
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x, y + 40)
    tab.mouse.up()
    assert float(tab.get_by_role("spinbutton", name="High shelf gain of vox").input_value()) < -6
    assert center("H") == pytest.approx((x, y + 40), abs=1.5) and center("4") == pytest.approx(
        (x, y), abs=0.5
    )


def test_meters_are_for_the_eye_only_in_older_browsers(visit, toy):
    tab = visit(dm.desk(toy), before="<script>delete Element.prototype.ariaHidden</script>")
    assert tab.locator(".dm-meter").count() == tab.locator(".dm-meter[aria-hidden=true]").count() == 4


@pytest.mark.parametrize(
    ("controls", "shown", "hidden"),
    [
        (
            ("fader", "pan"),
            ["Fader of vox in dB", "Pan of vox"],
            ["Ratio of vox", "Peak 1 gain", "Output fader", "Width of vox", "Trim of vox"],
        ),
        (("eq",), ["Peak 1 gain of vox", "Trim of vox"], ["Fader of vox", "Pan of vox", "Ratio of vox"]),
        (("width", "master"), ["Width of vox", "Width of Master"], ["Fader of vox", "Pan of vox"]),
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
    assert len(json.loads(settings_text(tab))["tracks"]["vox"]) == len(dm.param_table("track"))


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
