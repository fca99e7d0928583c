"""How the mixing desk starts and ends its sound, also in a browser that refuses and with a kernel that is silent."""

import base64
import math

import pytest
from desk_page import page_state
from widget_sounds import stems, tones

import diffmst_lib as dm
from diffmst_lib.notebook.desk.desk import SCRIPT

# Keeps every AudioContext of the page.
COUNTED = """<script>
  window.contexts = [];
  window.AudioContext = class extends AudioContext {
    constructor(...options) {
      super(...options);
      contexts.push(this);
    }
  };
</script>"""
# As WebKit does it: an AudioContext may start while a click is handled, and what comes later waits for ever.
ONLY_IN_CLICKS = """<script>
  let inClick = false;
  addEventListener("click", () => { inClick = true; }, true);
  addEventListener("click", () => { inClick = false; });
  const { resume } = AudioContext.prototype;
  AudioContext.prototype.resume = function () {
    return inClick ? resume.call(this) : new Promise(() => {});
  };
</script>"""
# Keeps how long the page's timers are.
TIMERS = """() => {
  const native = setTimeout;
  window.timers = [];
  window.setTimeout = (action, ms, ...rest) => {
    timers.push(ms);
    return native(action, ms, ...rest);
  };
}"""
NEVER = "<script>AudioContext.prototype.resume = () => new Promise(() => {})</script>"
# The first desk that decodes waits for release(); `made` counts the nodes that are ready to play.
SLOW_FIRST = """<script>
  window.made = 0;
  window.AudioWorkletNode = class extends AudioWorkletNode {
    constructor(...options) {
      super(...options);
      made += 1;
    }
  };
  const { decodeAudioData } = AudioContext.prototype;
  const wait = new Promise((resolve) => { window.release = resolve; });
  AudioContext.prototype.decodeAudioData = async function (bytes) {
    if (this === contexts[0]) await wait;
    return decodeAudioData.call(this, bytes);
  };
</script>"""
STATES = "contexts.map(({ state }) => state)"
STATUS = "document.querySelector('.dm-status').textContent"
SHOWS = "document.querySelectorAll('.dm-play')[{}].textContent.includes('{}')"


def test_the_sound_is_asked_for_within_the_click(visit, toy):
    tab = visit(dm.desk(toy), before=COUNTED + ONLY_IN_CLICKS)
    button = tab.locator(".dm-play")
    button.click()
    tab.wait_for_function(SHOWS.format(0, "Stop"))
    button.click()
    tab.wait_for_function(f"{STATES}.join() === 'suspended'")
    button.click()
    tab.wait_for_function(SHOWS.format(0, "Stop"))


def test_a_browser_that_starts_no_sound(visit, toy):
    tab = visit(dm.desk(toy), before=COUNTED + NEVER)
    tab.clock.install()
    tab.evaluate(TIMERS)
    button = tab.locator(".dm-play")
    for attempt in (1, 2):
        button.click()
        assert button.is_disabled()
        tab.wait_for_function(f"timers.filter((ms) => ms === 5000).length === {attempt}")  # it has decoded
        tab.clock.run_for(6000)
        tab.wait_for_function(f"{STATUS} === 'No sound: the browser did not start the audio'")
        assert button.is_enabled() and "Play" in button.text_content()
        assert tab.evaluate(STATES) == ["closed"] * attempt


def test_a_file_that_cannot_be_decoded_leaves_nothing_open(visit, toy):
    spoil = "<script>AudioContext.prototype.decodeAudioData = () => Promise.reject(new Error('no MP3 here'))</script>"
    tab = visit(dm.desk(toy), before=COUNTED + spoil)
    for attempt in (1, 2):
        tab.locator(".dm-play").click()
        tab.wait_for_function(f"{STATES}.length === {attempt} && {STATUS} === 'No sound: no MP3 here'")
        assert tab.evaluate(STATES) == ["closed"] * attempt


# A live desk whose kernel answers when the test says so.
LIVE = """async ([code, state, bytes]) => {
  const { render } = (await import(`data:text/javascript;base64,${code}`)).default;
  const listeners = [];
  const model = {
    get: (key) => state[key], set: (key, value) => { state[key] = value; }, save_changes() {},
    on: (name, listener) => listeners.push([name, listener]),
    off: (name, listener) => listeners.splice(listeners.findIndex((one) => one[1] === listener), 1),
    send() {},
  };
  const el = document.body.appendChild(document.createElement("div"));
  window.cleanup = render({ model, el });
  const files = bytes.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  window.waiting = () => listeners.filter(([name]) => name === "msg:custom").map(([, listener]) => listener);
  window.answer = () => waiting().forEach((listener) => listener({ type: "audio", scales: files.map(() => 1) }, files));
}"""


@pytest.fixture
def live(visit, toy):
    desk = dm.desk(toy)
    state = {key: getattr(desk, key) for key in ("setup", "settings", "muted", "soloed", "bypassed")}
    files = page_state(desk)["audio"]
    tab = visit(before=COUNTED)
    tab.evaluate(LIVE, [base64.b64encode(SCRIPT.encode()).decode(), state, files])
    return tab


def test_a_kernel_that_does_not_answer(live):
    live.clock.install()
    button = live.locator(".dm-play")
    button.click()
    live.clock.run_for(20_000)
    assert live.evaluate(STATUS) == "Loading \u2026"
    live.clock.run_for(11_000)
    live.wait_for_function(
        f"{STATUS}.startsWith('No sound: Python has sent no audio for 30 s: the kernel is busy')"
    )
    assert (
        button.is_enabled() and live.evaluate(STATES) == ["closed"] and live.evaluate("waiting().length") == 0
    )
    # Its answer to a second click is in time.
    button.click()
    live.evaluate("answer()")
    live.wait_for_function(SHOWS.format(0, "Stop"))


def test_a_live_desk_that_goes_while_it_loads(live):
    live.locator(".dm-play").click()
    live.evaluate("cleanup(); answer()")
    live.wait_for_function(f"{STATES}.join() === 'closed'")


@pytest.mark.parametrize("other", ["desk", "player"])
def test_what_is_about_to_play_is_called_off_by_another_sound(visit, toy, other):
    tab = visit(dm.desk(toy), dm.desk(toy), dm.listen(tones()), before=COUNTED + SLOW_FIRST)
    first, second = tab.locator(".dm-play").all()
    first.click()
    assert first.is_disabled() and tab.evaluate(STATUS) == "Loading \u2026"
    if other == "desk":
        second.click()
        tab.wait_for_function(SHOWS.format(1, "Stop"))
    else:
        tab.evaluate("document.querySelector('audio').play()")
        tab.wait_for_function("document.querySelector('.dm-status').textContent === ''")
    assert first.is_enabled() and tab.evaluate(STATUS) == ""
    made = tab.evaluate("made")
    tab.evaluate("release()")
    tab.wait_for_function(f"made === {made + 1}")
    assert "Play" in first.text_content()
    assert tab.evaluate(STATES) == ["suspended", "running"][: 2 if other == "desk" else 1]
    first.click()  # what is loaded is still there
    tab.wait_for_function(SHOWS.format(0, "Stop"))
    assert "Play" in second.text_content() and tab.evaluate("document.querySelector('audio').paused")


LISTENERS = """<script>
  window.listeners = 0;
  for (const [name, step] of [["addEventListener", 1], ["removeEventListener", -1]]) {
    const native = document[name];
    document[name] = (...all) => { listeners += step; native.apply(document, all); };
  }
  window.watched = 0;
  window.ResizeObserver = class extends ResizeObserver {
    observe(target) { watched += 1; super.observe(target); }
    disconnect() { watched -= 1; super.disconnect(); }
  };
</script>"""


@pytest.mark.parametrize("playing", [True, False])
def test_a_desk_that_leaves_the_page_falls_silent(visit, toy, playing):
    tab = visit(dm.desk(toy), before=COUNTED + LISTENERS)
    assert tab.evaluate("[listeners, watched]") == [2, 1]
    # To be moved is not to leave.
    tab.evaluate("document.body.append(document.querySelector('.dm-desk'))")
    if playing:
        tab.locator(".dm-play").click()
        tab.wait_for_function(SHOWS.format(0, "Stop"))
    tab.evaluate("document.querySelector('.dm-desk').remove()")
    tab.wait_for_function("listeners === 0 && watched === 0")
    tab.wait_for_function(f"{STATES}.join() === '{'closed' if playing else ''}'")


@pytest.mark.parametrize("sample_rate", [96_000, 192_000])
def test_a_song_at_a_high_rate_plays(visit, sample_rate):
    song = dm.Multitrack(["a"], stems(tones(1.0, channels=1, sample_rate=sample_rate)), sample_rate)
    params = dm.desk(song).params
    params.track("a")["high_shelf_gain_db"] = 6.0
    desk = dm.desk(song, params)
    tab = visit(desk, before=COUNTED)
    tab.locator(".dm-play").click()
    expected = 20 * math.log10(desk.mix().abs().max().item())
    peak = "Number(document.querySelector('.dm-peak').textContent.replace('\u2212', '-').match(/-?[\\d.]+/)?.[0])"
    tab.wait_for_function(f"Math.abs({peak} - {expected}) < 0.6")
    assert tab.evaluate("contexts[0].sampleRate") == sample_rate
