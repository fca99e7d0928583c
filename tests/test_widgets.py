"""Players and faders: what they hold, what they say, and what a browser makes of them."""

import base64
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile as sf
import torch

from diffmst_lib import widgets
from diffmst_lib.widgets import Faders, Sounds, encode_audio, faders, listen

RATE = 44100
CHROMIUM = shutil.which("chromium")
ADDRESS = "http://widgets.test"


def tones(seconds=4.0, peak=0.3, channels=2, first_hz=220.0, sample_rate=RATE):
    """Return a chord that swells, the channels different: (channels, num_samples)."""
    time = torch.arange(int(seconds * sample_rate)) / sample_rate
    rows = [
        sum(torch.sin(2 * torch.pi * first_hz * ratio * (1 + 0.25 * channel) * time) for ratio in (1.0, 1.5, 2.7))
        for channel in range(channels)
    ]
    audio = torch.stack(rows) * (1 + 0.5 * torch.sin(2 * torch.pi * 0.7 * time))
    return peak * audio / audio.abs().max()


def decode(data):
    samples, sample_rate = sf.read(io.BytesIO(data), always_2d=True)
    return samples, sample_rate


def sounds_in(sounds):
    """Return the decoded sounds of a group, each (num_samples, channels)."""
    return [
        decode(base64.b64decode(text))[0]
        for text in re.findall(r"data:audio/mpeg;base64,([^\"]+)", sounds._repr_html_())
    ]


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples)))


# --- encoding ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
def test_mp3_keeps_duration_and_level(channels, sample_rate):
    audio = tones(channels=channels, sample_rate=sample_rate)
    data, mime = encode_audio(audio, sample_rate)
    samples, rate = decode(data)
    assert (mime, rate, samples.shape[1]) == ("audio/mpeg", sample_rate, channels)
    assert abs(len(samples) / rate - 4.0) < 0.1
    assert abs(level_db(samples) - level_db(audio.numpy())) < 0.5


def test_mp3_weighs_what_a_page_can_bear():
    noise = 0.1 * torch.randn(2, 10 * RATE, generator=torch.Generator().manual_seed(0))
    assert len(base64.b64encode(encode_audio(noise, RATE)[0])) < 0.35e6
    assert len(base64.b64encode(encode_audio(tones(10.0), RATE)[0])) < 0.3e6


def test_silence_stays_silent():
    samples, _ = decode(encode_audio(torch.zeros(2, RATE), RATE)[0])
    assert np.abs(samples).max() < 1e-4


@pytest.mark.parametrize("format", ["mp3", "flac", "wav"])
def test_a_peak_above_one_is_scaled_not_clipped(format):
    audio = tones(peak=3.0)
    samples, _ = decode(encode_audio(audio, RATE, format=format)[0])
    assert 0.85 < np.abs(samples).max() <= 1
    ratio = samples[: audio.shape[1]] - audio.T.numpy() * 10 ** (-0.5 / 20) / 3
    assert level_db(ratio) < level_db(samples) - 20


def test_a_peak_of_one_is_left_alone():
    samples, _ = decode(encode_audio(tones(peak=1.0), RATE, format="flac")[0])
    np.testing.assert_allclose(samples, tones(peak=1.0).T, atol=1e-4)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (torch.tensor([[0.0, float("nan")]]), "not finite"),
        (np.array([0.0, np.inf]), "not finite"),
        (torch.zeros(100, 2), r"got shape \(100, 2\)"),
        (torch.zeros(2, 0), "no samples"),
        (np.zeros((2, 10), dtype=np.int16), "int16"),
    ],
)
def test_bad_audio_is_refused_in_one_line(audio, message):
    with pytest.raises(ValueError, match=message) as caught:
        encode_audio(audio, RATE)
    assert "\n" not in str(caught.value)


def test_unknown_format_and_rate_are_refused():
    with pytest.raises(ValueError, match="mp3, flac, wav"):
        encode_audio(tones(), RATE, format="aiff")
    with pytest.raises(ValueError, match="96000 Hz"):
        encode_audio(tones(), 96000)


# --- listen -----------------------------------------------------------------------------------------------------


def test_labels_and_title_are_escaped():
    group = listen({'<b>"x"</b>': tones(), "a & b": tones()}, title="<script>alert(1)</script>")
    page = group._repr_html_()
    assert "<b>" not in page and "alert(1)</script>" not in page
    assert "&lt;b&gt;&quot;x&quot;&lt;/b&gt;" in page and "a &amp; b" in page


def test_one_sound_needs_no_comparison():
    group = listen(tones(channels=1)[0])
    assert isinstance(group, Sounds) and group.lufs is None
    assert group._repr_html_().count("<audio") == 1
    assert "<button" not in group._repr_html_()


def test_excerpt_starts_and_ends_where_asked():
    audio = torch.cat([torch.zeros(2, 2 * RATE), tones(3.0)], dim=1)
    (samples,) = sounds_in(listen(audio, start_s=2.5, seconds=1.5))
    assert len(samples) == pytest.approx(1.5 * RATE, abs=0.1 * RATE)
    assert abs(level_db(samples) - level_db(audio[:, int(2.5 * RATE) : 4 * RATE].numpy())) < 0.5


def test_matched_sounds_have_the_stated_loudness():
    sounds = {"a": tones(peak=0.02), "b": tones(peak=0.9, first_hz=900), "mono": tones(channels=1)}
    group = listen(sounds, match_lufs=-23)
    assert group.lufs == -23
    assert "level-matched at -23 LUFS" in group._repr_html_()
    for samples in sounds_in(group):
        assert pyloudnorm.Meter(RATE).integrated_loudness(samples) == pytest.approx(-23, abs=0.5)


def test_a_target_that_would_clip_is_lowered_for_all():
    click = torch.zeros(2, 4 * RATE)
    click[:, ::4410] = 1.0
    group = listen({"click": click, "tones": tones()}, match_lufs=-10)
    assert group.lufs < -10
    assert f"level-matched at {group.lufs:.1f} LUFS (-10 LUFS would clip)" in group._repr_html_()
    clicks, chord = sounds_in(group)
    assert np.abs(clicks).max() <= 1
    assert pyloudnorm.Meter(RATE).integrated_loudness(chord) == pytest.approx(group.lufs, abs=0.5)


def test_silent_and_short_sounds_are_not_matched():
    short = tones(0.2)
    group = listen({"tones": tones(), "silent": torch.zeros(2, RATE), "short": short}, match_lufs=-30)
    _, silent, brief = sounds_in(group)
    assert group._repr_html_().count("too short to match") == 2
    assert np.abs(silent).max() < 1e-4
    assert abs(level_db(brief) - level_db(short.numpy())) < 0.5
    assert listen(torch.zeros(2, RATE), match_lufs=-23).lufs is None


def test_without_matching_differences_in_level_stay():
    audio = tones(peak=1.0)
    for factor in (0.5, 4.0):  # 4: the group is turned down, and says so
        group = listen({"soft": 0.1 * factor * audio, "loud": factor * audio})
        soft, loud = sounds_in(group)
        assert level_db(loud) - level_db(soft) == pytest.approx(20, abs=0.5)
        assert np.abs(loud).max() <= 1
        assert ("turned down by 12.5 dB" in group._repr_html_()) == (factor > 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: listen({}), "empty"),
        (lambda: listen({"mix": torch.full((2, 10), float("nan"))}), "'mix'.*not finite"),
        (lambda: listen(tones(), start_s=5), "past the end at 4.00 s"),
        (lambda: listen(tones(), seconds=0), "seconds > 0"),
        (lambda: faders({}), "empty"),
        (lambda: faders({"kick": tones()}, gains_db={"snare": 0}), "no stem 'snare'"),
        (lambda: faders({"kick": tones()}, gains_db={"kick": 13}), "expected -48 to 12"),
        (lambda: faders({"kick": tones()}, gains_db={"kick": float("nan")}), "expected -48 to 12"),
        (lambda: faders({"kick": torch.full((10,), float("inf"))}), "'kick'.*not finite"),
        (lambda: faders({"kick": tones()}, start_s=4), "past the end"),
    ],
)
def test_bad_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- faders in Python -------------------------------------------------------------------------------------------


@pytest.fixture
def stems():
    return {
        "kick": tones(channels=1, first_hz=60),
        "bass": tones(first_hz=110, seconds=3.0),
        "<vox> & co": 1.5 * tones(peak=1.0, first_hz=440),
        "clap": tones(channels=1, first_hz=700)[0],
    }


def explicit_mix(stems, gains_db):
    mix = torch.zeros(2, 4 * RATE)
    for name, gain in gains_db.items():
        audio = stems[name].reshape(-1, stems[name].shape[-1]).expand(2, -1)
        mix[:, : audio.shape[1]] += 10 ** (gain / 20) * audio
    return mix


def test_mix_is_the_sum_of_the_whole_stems(stems):
    board = faders(stems, gains_db={"bass": -6.0, "clap": 3}, seconds=1.0)
    gains = {"kick": 0.0, "bass": -6.0, "<vox> & co": 0.0, "clap": 3.0}
    assert isinstance(board, Faders) and board.gains_db == gains
    mix = board.mix()
    assert mix.dtype == torch.float32 and mix.shape == (2, 4 * RATE)
    torch.testing.assert_close(mix, explicit_mix(stems, gains))
    board.gains_db = {"kick": -48}  # the others keep theirs
    torch.testing.assert_close(board.mix(), explicit_mix(stems, gains | {"kick": -48.0}))


@pytest.mark.parametrize(
    ("muted", "soloed", "heard"),
    [
        (["kick"], [], ["bass", "<vox> & co", "clap"]),
        ([], ["kick", "clap"], ["kick", "clap"]),
        (["kick"], ["kick", "clap"], ["clap"]),
        (["clap"], ["clap"], []),
    ],
)
def test_mute_and_solo(stems, muted, soloed, heard):
    board = faders(stems)
    board.muted, board.soloed = muted, soloed
    torch.testing.assert_close(board.mix(), explicit_mix(stems, dict.fromkeys(heard, 0.0)))
    with pytest.raises(ValueError, match="no stem 'snare'"):
        board.muted = ["snare"]


def test_the_audio_is_on_a_page_once(stems):
    board = faders(stems)
    bundle, _ = board._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html"} <= set(bundle)
    # An executed notebook saves this state beside the HTML.
    assert len(json.dumps(board.get_state(), default=str)) < 30_000
    page_state = board_state(board)
    assert len(page_state["audio"]) == 4
    assert [decode(base64.b64decode(text))[0].shape[1] for text in page_state["audio"]] == [1, 2, 2, 1]


def test_a_live_page_gets_the_audio_when_it_asks(stems, monkeypatch):
    board = faders(stems)
    sent = []
    monkeypatch.setattr(board, "send", lambda content, buffers: sent.append((content, buffers)))
    board._handle_custom_msg({"type": "load"}, [])
    ((content, buffers),) = sent
    assert content["scales"] == pytest.approx([1, 1, 1.5 * 10 ** (0.5 / 20), 1])
    assert [base64.b64encode(file).decode() for file in buffers] == board_state(board)["audio"]


def test_eight_stems_weigh_about_a_megabyte_at_worst():
    noise = torch.randn(8, 2, 8 * RATE, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    stems = {str(i): audio / audio.abs().max() for i, audio in enumerate(noise)}
    assert len(faders(stems)._repr_html_()) < 1.2e6


def board_state(board):
    return json.loads(re.search(r'type="application/json">(.*?)</script>', board._repr_html_()).group(1))


# --- in a browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        missing = "Chromium is not installed: the widgets were not opened in a browser"
        pytest.fail(missing) if os.environ.get("DIFFMST_REQUIRE_BROWSER") == "1" else pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture
def visit(browser):
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

        tab = browser.new_page(viewport={"width": width, "height": 900})
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
