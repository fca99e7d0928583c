"""The sounds of the page in a browser: in step, without clicks, and the noises of the headphone check."""

import numpy as np
import pytest
from hanging import HANGS_MS

RATE = 44100

# Renders `seconds` of two loops, {a: samples, b: samples}, and chooses `switches`: [[time, name], ...].
RENDER = """async ({ loops, switches, seconds, rate }) => {
  const context = new OfflineAudioContext(1, seconds * rate, rate);
  const buffers = new Map(Object.entries(loops).map(([name, samples]) => {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate });
    buffer.copyToChannel(Float32Array.from(samples), 0);
    return [name, buffer];
  }));
  const sounds = new Loops(context, buffers, context.destination);
  sounds.start(0);
  for (const [time, name] of switches) {
    context.suspend(time).then(() => { sounds.choose(name); context.resume(); });
  }
  return Array.from((await context.startRendering()).getChannelData(0));
}"""


def render(visit, loops, switches, seconds=0.5):
    asked = {"loops": loops, "switches": switches, "seconds": seconds, "rate": RATE}
    return np.array(visit().tab.evaluate(RENDER, asked))


def test_a_switch_takes_10_ms_and_does_not_click(visit):
    plus, minus = [1.0] * 4410, [-1.0] * 4410
    switches = [[0, "a"], [0.2, "b"], [0.3, "a"], [0.304, "b"], [0.308, "a"]]
    sound = render(visit, {"a": plus, "b": minus}, switches)
    hard = 2.0  # the step of a switch without a fade
    assert np.abs(np.diff(sound)).max() < 0.01 * hard
    at = round(0.2 * RATE)
    assert sound[at - 10] == pytest.approx(1, abs=1e-3)
    assert sound[at + round(0.0105 * RATE) + 128] == pytest.approx(-1, abs=0.05)
    assert sound[-1] == pytest.approx(1, abs=1e-3)


def test_what_two_mixes_have_in_common_stays_while_they_change(visit):
    loop = np.sin(2 * np.pi * 5 * np.arange(4410) / 4410).tolist()
    sound = render(visit, {"a": loop, "b": loop}, [[0, "a"], [0.2, "b"], [0.301, "a"]])
    expected = np.tile(loop, 5)
    begun = round(0.05 * RATE)  # after the fade at the start
    assert np.abs(sound - expected)[begun:].max() < 1e-4  # in step after five rounds as well


def test_the_sounds_of_a_page_run_in_one_clock(visit):
    sitting = visit()
    sitting.rating()
    tab = sitting.tab
    tab.keyboard.press("2")
    tab.wait_for_function("sitting.player.position() > 0.05")
    gains = "[...sitting.player.loops.gains.values()].map((gain) => gain.gain.value)"
    tab.wait_for_function(f"{gains}[2] > 0.99")
    assert tab.evaluate(f"{gains}.filter((gain) => gain > 0.01).length") == 1
    started = tab.evaluate("sitting.player.loops.startedAt")
    for key in "13r4":
        tab.keyboard.press(key)
    tab.wait_for_function(f"{gains}[4] > 0.99")
    assert tab.evaluate("sitting.player.loops.startedAt") == started  # nothing begins anew
    lengths = tab.evaluate("[...sitting.player.loops.buffers.values()].map((buffer) => buffer.length)")
    assert (
        len(set(lengths)) == 1
        and abs(lengths[0] / tab.evaluate("sitting.player.context.sampleRate") - 2) < 0.001
    )
    tab.keyboard.press("Space")
    tab.wait_for_function("sitting.player.context.state === 'suspended'")
    stands = [tab.evaluate("sitting.player.position()") for _ in range(2)]
    assert stands[0] == stands[1]
    tab.keyboard.press("Space")
    tab.wait_for_function("sitting.player.context.state === 'running'")
    assert tab.evaluate("sitting.player.loops.startedAt") == started
    tab.keyboard.press("b")
    tab.wait_for_function(f"sitting.player.loops.startedAt > {started}")
    heard = sitting.kept()["pages"][0]["heard_s"]
    assert len(heard) >= 4 and heard[sitting.kept()["pages"][0]["order"][1]] > 0
    tab.evaluate("sitting.move(-1)")
    assert tab.evaluate("sitting.player.loops") is None


def test_a_press_before_the_sounds_are_there_is_kept(visit):
    sitting = visit()
    sitting.go_to(2)
    sitting.tab.keyboard.press("3")
    sitting.tab.wait_for_function(
        "sitting.player.playing && sitting.rating.current === sitting.rating.kept.order[2]"
    )


def test_sounds_that_cannot_be_decoded_are_told(visit):
    sitting = visit()
    sitting.tab.evaluate(
        "document.querySelectorAll('[data-sound]').forEach((one) => (one.textContent = 'AAAA'))"
    )
    sitting.go_to(2)
    sitting.tab.get_by_text("This browser cannot decode the sounds").first.wait_for(state="attached")
    assert sitting.errors == []


def test_the_tone_is_only_between_the_ears(visit):
    tab = visit().tab
    for target in range(3):
        left, right = np.array(tab.evaluate(f"threeNoises(8000, {target}).map((ear) => Array.from(ear))"))
        assert left.shape == right.shape == (32000,)
        for interval in range(3):
            start = interval * 12000
            # without the ramps at the ends
            ears = [ear[start + 240 : start + 7760] for ear in (left, right)]
            same = np.array_equal(*ears)
            assert same == (interval != target)
            assert 0.04 < np.std(ears[0]) < 0.06
            if same:
                continue
            spectra = [np.fft.rfft(ear * np.hanning(len(ear))) for ear in ears]
            hertz = np.fft.rfftfreq(len(ears[0]), 1 / 8000)
            product = (spectra[0] * spectra[1].conj()).real / np.abs(spectra[0]) ** 2
            assert np.median(product[(hertz > 575) & (hertz < 625)]) == pytest.approx(-1, abs=0.02)
            assert np.median(product[(hertz < 500) | (hertz > 700)]) == pytest.approx(1, abs=1e-3)
            # each ear alone has as much in the band
            band = (hertz > 564) & (hertz < 636)
            powers = [np.square(np.abs(spectrum[band])).sum() for spectrum in spectra]
            assert powers[0] / powers[1] == pytest.approx(1, abs=0.1)


def test_the_check_counts_what_was_found_and_goes_on_after_a_reload(visit):
    sitting = visit("Math.random = () => 0.4;")  # the tone is in the second
    tab = sitting.tab
    tab.evaluate(
        "sitting.kept.headphones.attempts = [[true, false, true, true, true]]; sitting.keeper.save()"
    )
    sitting.go_to(1)
    sitting.open()
    tab.get_by_text("Try 6 of 6").first.wait_for()
    tab.keyboard.press("2")
    tab.get_by_text("Please listen to all three first").wait_for(state="attached")
    tab.get_by_role("button", name="Play the three noises").press("Enter")
    tab.wait_for_selector(".answers .heard")
    found = tab.get_by_text("5 of 6 found")
    for _ in range(HANGS_MS // 100):  # an answer counts as soon as all three have been heard
        if found.count():
            break
        tab.wait_for_timeout(100)
        tab.keyboard.press("2")
    found.wait_for()
    assert sitting.kept()["headphones"]["attempts"] == [[True, False, True, True, True, True]]
    tab.get_by_role("button", name="Try again").click()
    assert sitting.kept()["headphones"] == {
        "on": "headphones",
        "attempts": [[True, False, True, True, True, True], []],
    }
