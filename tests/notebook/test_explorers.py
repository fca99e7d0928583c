"""Explorers: a moved slider changes picture and sound as the library says, and a saved notebook stays small."""

import base64
import io
import json
import re

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from widget_sounds import RATE, decode, level_db, tones

import diffmst_lib as dm
from diffmst_lib.console.params import EQ_BANDS
from diffmst_lib.notebook.explorers.base import Explorer

VIEW = "application/vnd.jupyter.widget-view+json"
EQ = {
    "gain_db": [6.0, 0, -6, 3, 0, -4],
    "frequency_hz": [90.0, 200, 700, 2e3, 5e3, 9e3],
    "q": [0.7, 1, 4, 2, 1, 0.5],
}
COMPRESSOR = {
    "threshold_db": -35.0,
    "ratio": 6.0,
    "attack_ms": 8.0,
    "release_ms": 60.0,
    "knee_db": 4.0,
    "makeup_gain_db": 2.0,
}


@pytest.fixture
def track():
    return tones(seconds=1.5, channels=1)


@pytest.fixture(scope="module")
def mix(song):
    """A mix in which every part of the console does something, the effects bus included."""
    params = dm.equal_loudness(song, panned=True).params
    for name in params.names:
        strip = params.track(name)
        strip["high_shelf_gain_db"], strip["threshold_db"], strip["ratio"], strip["send_db"] = (
            5.0,
            -50.0,
            4.0,
            -6.0,
        )
    params.master_bus["low_shelf_gain_db"] = 4.0
    return song, params


@pytest.fixture(params=["pan", "equalizer", "compressor", "bypass"])
def explorer(request, track, mix):
    return {
        "pan": lambda: dm.explore_pan(track, seconds=1.0),
        "equalizer": lambda: dm.explore_equalizer(track, settings=EQ, seconds=1.0),
        "compressor": lambda: dm.explore_compressor(track, settings=COMPRESSOR, seconds=1.0),
        "bypass": lambda: dm.explore_bypass(*mix, seconds=1.0),
    }[request.param]()


def move(explorer):
    """Move the first control that changes the sound."""
    name = next(name for name in explorer.controls if name != "band")
    value = explorer.controls[name].value
    explorer.controls[name].value = (not value) if isinstance(value, bool) else value - 5


def drawing(explorer):
    """What is drawn, as the bytes of an image."""
    file = io.BytesIO()
    explorer.picture().savefig(file, format="raw", dpi=50)
    return file.getvalue()


def sounds(page):
    return [
        decode(base64.b64decode(text))[0] for text in re.findall(r"data:audio/mpeg;base64,([^\"]+)", page)
    ]


def watch(explorer, monkeypatch):
    """Play the browser that shows the explorer; return the list that its messages go to."""
    sent = []
    monkeypatch.setattr(explorer._screen, "send", sent.append)
    explorer._screen._handle_custom_msg({"type": "ready"}, [])
    return sent


# --- what the sliders do ----------------------------------------------------------------------------------------


def test_pan_is_the_library_s(track):
    explorer = dm.explore_pan(track, gain_db=-3.0, pan=0.2, seconds=1.0, start_s=0.25)
    for gain_db, pan in ((-3.0, 0.2), (4.5, 1.0)):
        explorer.controls["gain_db"].value, explorer.controls["pan"].value = gain_db, pan
        assert explorer.settings == {"gain_db": gain_db, "pan": pan}
        part = dm.effects.gain(track[:, RATE // 4 : RATE // 4 + RATE], gain_db=torch.tensor(gain_db))
        torch.testing.assert_close(explorer.audio, dm.effects.panner(part, pan=torch.tensor(pan))[0])
        marks = [line.get_xdata()[0] for line in explorer.picture().axes[0].lines if line.get_marker() == "o"]
        assert marks == [pan] * 3


def test_equalizer_is_the_library_s(track):
    explorer = dm.explore_equalizer(track[0], settings=EQ)
    settings = {name: torch.tensor([values]) for name, values in EQ.items()}
    for band, changes in ((None, {}), (3, {"gain_db": -8.0, "q": 0.3}), (5, {"frequency_hz": 12_000.0})):
        if band is not None:
            explorer.controls["band"].value = band
        for name, value in changes.items():
            explorer.controls[name].value = value
            settings[name][0, band] = value
        for name, values in settings.items():
            torch.testing.assert_close(explorer.settings[name], values)
        y = dm.effects.parametric_eq(track, sample_rate=RATE, **explorer.settings)
        torch.testing.assert_close(explorer.audio, y)
        drawn = {line.get_label(): line for line in explorer.picture().axes[0].lines}
        freqs, thick = drawn["all bands"].get_data()
        response = dm.effects.eq_response(65_536, sample_rate=RATE, **explorer.settings)[0].abs()
        wanted = 20 * np.log10(response.numpy()[np.round(freqs * 65_536 / RATE).astype(int)])
        np.testing.assert_allclose(thick, wanted, atol=1e-4)
        thin = [name.replace("_", " ") for name, gain in zip(EQ_BANDS, settings["gain_db"][0]) if gain]
        np.testing.assert_allclose(sum(drawn[name].get_ydata() for name in thin), thick, atol=1e-3)


def test_choosing_a_band_moves_the_sliders_and_nothing_else(track):
    explorer = dm.explore_equalizer(track, settings=EQ)
    specs = {spec.name: spec for spec in dm.param_table("track")}
    before, audio = explorer.settings, explorer.audio
    for band in (5, 0, 3, 1, 4, 2, 5, 1, 0):
        explorer.controls["band"].value = band
        slider = explorer.controls["frequency_hz"]
        spec = specs[f"{EQ_BANDS[band]}_frequency_hz"]
        assert (10**slider.min, 10**slider.max) == pytest.approx((spec.low, spec.high))
        for name in EQ:
            assert explorer.controls[name].value == pytest.approx(EQ[name][band], rel=1e-6)
    assert all(values.equal(before[name]) for name, values in explorer.settings.items())
    assert explorer.audio is audio


def test_compressor_is_the_library_s(track):
    explorer = dm.explore_compressor(track, settings=COMPRESSOR, lookahead_samples=100)
    for changes in ({}, {"threshold_db": -20.0}, {"release_ms": 200.0}):
        for name, value in changes.items():
            explorer.controls[name].value = value
        wanted = COMPRESSOR | {"threshold_db": -20.0} | changes if changes else COMPRESSOR
        assert explorer.settings == pytest.approx(wanted)
        y = dm.effects.compressor(track, sample_rate=RATE, lookahead_samples=100, **explorer.settings)
        torch.testing.assert_close(explorer.audio, y)
        curve = next(line for line in explorer.picture().axes[0].lines if line.get_label() == "compressor")
        level, out = (torch.as_tensor(data) for data in curve.get_data())
        static = {name: wanted[name] for name in ("threshold_db", "ratio", "knee_db")}
        torch.testing.assert_close(out, level + dm.effects.gain_computer(level, **static) + 2.0)


@pytest.mark.parametrize("rate", [RATE, 22_050])
def test_compressor_looks_ahead_as_far_as_the_console(rate):
    track = tones(1.0, channels=1, sample_rate=rate)
    explorer = dm.explore_compressor(track, rate, settings=COMPRESSOR)
    y = dm.effects.compressor(
        track, sample_rate=rate, lookahead_samples=round(0.010 * rate), **explorer.settings
    )
    torch.testing.assert_close(explorer.audio, y)


@pytest.mark.parametrize("part", ["gain", "equalizer", "compressor", "panner", "fx_bus", "master_bus"])
def test_bypass_takes_the_neutral_values(mix, part):
    song, params = mix
    explorer = dm.explore_bypass(song, params, off=(), seconds=1.0)
    console = dm.MixingConsole(RATE)
    everything = console.render(song.excerpt(0, 1.0).audio, params)
    torch.testing.assert_close(explorer.audio, everything)
    explorer.controls[part].value = False
    assert explorer.settings[part] is False and sum(explorer.settings.values()) == 5
    by_effect = {"equalizer": "eq"}.get(part, part)
    wanted = params.clone()
    for name in wanted.names:
        for spec in dm.param_table("track"):
            if spec.effect == by_effect:
                wanted.track(name)[spec.name] = spec.neutral
    if part == "master_bus":
        for spec in dm.param_table("master_bus"):
            wanted.master_bus[spec.name] = spec.neutral
    assert explorer.params.to_json() == wanted.to_json()
    torch.testing.assert_close(explorer.audio, console.render(song.excerpt(0, 1.0).audio, wanted))
    assert (explorer.audio - everything).abs().max() > 1e-3


def test_bypass_offers_the_effects_bus_only_where_it_is_used(song):
    assert "fx_bus" not in dm.explore_bypass(song, dm.equal_loudness(song).params, seconds=1.0).controls


def test_a_move_changes_picture_and_sound(explorer):
    assert isinstance(explorer, Explorer)
    picture, audio, page = drawing(explorer), explorer.audio, sounds(explorer._repr_html_())
    move(explorer)
    assert drawing(explorer) != picture
    assert not torch.equal(explorer.audio, audio)
    assert level_db(sounds(explorer._repr_html_())[-1] - page[-1]) > -60


def test_sliders_have_the_table_s_ranges(track):
    specs = {spec.name: spec for spec in dm.param_table("track")}
    sliders = {
        "input_gain_db" if name == "gain_db" else name: slider
        for name, slider in dm.explore_pan(track).controls.items()
    }
    sliders |= dm.explore_compressor(track).controls
    for name in set(sliders) - {"match_loudness"}:
        slider, spec = sliders[name], specs[name]
        low, high = (10**slider.min, 10**slider.max) if spec.scale == "log" else (slider.min, slider.max)
        assert (low, high) == pytest.approx((spec.low, spec.high)) and not slider.continuous_update
        assert spec.unit in slider.description


# --- what the page and the notebook hold ------------------------------------------------------------------------


def test_two_forms_and_no_audio_in_the_state(explorer):
    bundle, _ = explorer._repr_mimebundle_()
    assert bundle[VIEW]["model_id"] == explorer._box.model_id
    page = bundle["text/html"]
    image = re.search(r'<img [^>]*alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page)
    assert len(image.group(1)) > 60 and base64.b64decode(image.group(2)).startswith(b"\x89PNG")
    assert len(sounds(page)) == page.count("<audio") == len(explorer._sounds())
    assert "Run this page (Colab or Jupyter) to change the settings." in page and len(page) < 0.5e6
    widgets = [explorer._box, explorer._screen, *explorer.controls.values()]
    assert len(json.dumps([widget.get_state() for widget in widgets], default=str)) < 20_000


def test_a_browser_gets_what_it_asks_for_and_each_change(explorer, monkeypatch):
    explorer.picture()
    sent = watch(explorer, monkeypatch)
    assert [message["type"] for message in sent] == ["show"] and "Run this page" not in sent[0]["html"]
    move(explorer)
    assert [message["type"] for message in sent] == ["show", "show"] and sent[0] != sent[1]
    assert sent[1]["html"] == explorer._page()


def test_nothing_is_computed_before_a_browser_asks(explorer, monkeypatch):
    monkeypatch.setattr(explorer, "_process", lambda: pytest.fail("computed"))
    move(explorer)


def test_an_error_is_shown_and_raised(explorer, monkeypatch):
    sent = watch(explorer, monkeypatch)
    monkeypatch.setattr(explorer, "_process", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        move(explorer)
    assert sent[-1] == {"type": "error", "text": "ZeroDivisionError: division by zero"}


def test_same_loudness_can_be_switched_off(track):
    explorer = dm.explore_compressor(track, settings=COMPRESSOR | {"makeup_gain_db": 0.0})
    assert "level-matched at -20 LUFS" in explorer._repr_html_()
    explorer.controls["match_loudness"].value = False
    page = explorer._repr_html_()
    before, after = sounds(page)
    assert "level-matched" not in page
    wanted = level_db(explorer.audio.numpy()) - level_db(track.numpy())
    assert level_db(after) - level_db(before) == pytest.approx(wanted, abs=0.5) and wanted < -3


@pytest.mark.parametrize("audio", [torch.zeros(RATE), torch.full((1,), 0.5)], ids=["silence", "one sample"])
@pytest.mark.parametrize("explore", [dm.explore_pan, dm.explore_equalizer, dm.explore_compressor])
@pytest.mark.filterwarnings("error")
def test_silence_and_one_sample(explore, audio):
    assert "<audio" in explore(audio)._repr_html_()


@pytest.mark.parametrize("sample_rate", [96_000, 192_000])
def test_a_rate_that_no_mp3_has(song, sample_rate):
    audio = tones(1.0, channels=1, sample_rate=sample_rate)
    high = dm.Multitrack(["a"], audio, sample_rate)
    explorers = [
        explore(audio, sample_rate)
        for explore in (dm.explore_pan, dm.explore_equalizer, dm.explore_compressor)
    ]
    explorers.append(
        dm.explore_bypass(high, dm.ConsoleParams.neutral(["a"], sample_rate=sample_rate), off=())
    )
    for explorer in explorers:
        assert explorer.audio.shape[-1] == sample_rate  # the library works at the song's rate
        players = sounds(explorer._repr_html_())
        assert players and all(len(player) == pytest.approx(48_000, rel=0.1) for player in players)


def test_an_executed_notebook_is_small_and_quiet():
    code = """
    import torch
    import diffmst_lib as dm
    noise = 0.1 * torch.randn(2, 88200, generator=torch.Generator().manual_seed(0))
    from IPython.display import display
    explorers = [dm.explore_pan(noise[0]), dm.explore_equalizer(noise[0]), dm.explore_compressor(noise[0])]
    display(*explorers)
    explorers[0].controls["pan"].value = 0.1
    """
    cell = nbformat.v4.new_code_cell("\n".join(line.strip() for line in code.strip().splitlines()))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", extra_arguments=["--log-level=ERROR"]
    ).execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data"] * 3
    assert all({VIEW, "text/html"} <= set(output.data) for output in outputs)
    state = json.dumps(notebook.metadata.widgets)
    assert len(state) < 60_000 and "base64" not in state
    assert len(nbformat.writes(notebook)) < 1e6


# --- in a browser -----------------------------------------------------------------------------------------------

# Stands in for the kernel: keeps what the module sends, hands on what the test says.
LIVE = """async (module) => {
  const { render } = (await import("data:text/javascript;base64," + module)).default;
  window.said = [];
  const model = { on: (_name, listen) => { window.hear = listen; }, off: () => {}, send: (m) => window.said.push(m) };
  render({ model, el: document.body });
}"""
PLAYERS = "[...document.querySelectorAll('audio')]"


def test_the_screen_asks_shows_and_goes_on_playing(chromium, track):
    explorer = dm.explore_compressor(torch.cat([track] * 3, dim=-1), settings=COMPRESSOR)
    tab = chromium.new_page()
    complaints = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.evaluate(LIVE, base64.b64encode(explorer._screen._esm.encode()).decode())
    assert tab.evaluate("window.said") == [{"type": "ready"}]
    tab.evaluate("(html) => window.hear({ type: 'show', html })", explorer._page())
    tab.get_by_role("button", name="Switch to after").click()
    tab.wait_for_function(f"{PLAYERS}[1].currentTime > 1")
    move(explorer)
    tab.evaluate("(html) => window.hear({ type: 'show', html })", explorer._page())
    tab.wait_for_function(f"!{PLAYERS}[1].paused && {PLAYERS}[1].currentTime > 0")
    assert tab.evaluate(f"{PLAYERS}[1].currentTime") > 0.9
    assert tab.get_by_text("Threshold -40.0 dB").count() == 1 == tab.get_by_role("img").count()
    assert tab.locator("button[aria-pressed=true]").get_attribute("aria-label") == "Switch to after"
    tab.evaluate("window.hear({ type: 'error', text: 'no <b>sound</b>' })")
    assert tab.get_by_role("alert").inner_text() == "no <b>sound</b>" and tab.locator("audio").count() == 0
    tab.close()
    assert complaints == []


# --- bad input --------------------------------------------------------------------------------------------------


SHORT = torch.zeros(100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dm.explore_pan(torch.zeros(2, 100)), r"mono, .* got \(2, 100\)"),
        (lambda: dm.explore_pan(torch.full((100,), torch.nan)), "track: .*not finite"),
        (lambda: dm.explore_pan(SHORT, start_s=1.0), "past the end"),
        (lambda: dm.explore_pan(SHORT, pan=1.5), "pan = 1.5 is outside 0 to 1"),
        (lambda: dm.explore_pan(SHORT, gain_db=torch.nan), "gain_db = nan is outside -48 to 48 dB"),
        (
            lambda: dm.explore_equalizer(SHORT, settings={"gain": [0] * 6}),
            "no setting 'gain'.*gain_db, frequency_hz, q",
        ),
        (lambda: dm.explore_equalizer(SHORT, settings={"q": [1.0] * 5}), r"q: six values.*\(5,\)"),
        (
            lambda: dm.explore_equalizer(SHORT, settings={"q": [9.0] + [1.0] * 5}),
            "low_shelf_q = 9 is outside 0.1",
        ),
        (lambda: dm.explore_compressor(SHORT, settings={"ratio": 0.5}), "ratio = 0.5 is outside 1 to 10 :1"),
        (lambda: dm.explore_compressor(SHORT, settings={"knee": 3.0}), "no setting 'knee': a compressor has"),
        (
            lambda: dm.explore_compressor(SHORT, lookahead_samples=-1),
            "lookahead_samples must be 0 or more, got -1",
        ),
    ],
)
def test_bad_calls_are_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_bad_consoles_are_refused(song):
    params = dm.equal_loudness(song).params
    with pytest.raises(ValueError, match="no setting 'reverb': the console has gain, equalizer"):
        dm.explore_bypass(song, params, off=("reverb",), seconds=1.0)
    with pytest.raises(ValueError, match="do not fit"):
        dm.explore_bypass(song.select("kick"), params, seconds=1.0)
    with pytest.raises(ValueError, match="nothing at 9"):
        dm.explore_bypass(song, params, start_s=9.0)
    with pytest.raises(ValueError, match="needs a song, a Multitrack, got Tensor"):
        dm.explore_bypass(song.audio, params)
    with pytest.raises(ValueError, match="must be ConsoleParams, got dict"):
        dm.explore_bypass(song, {})
