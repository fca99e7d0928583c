"""What all explorers share: a moved slider changes picture and sound, and a saved notebook stays small."""

import base64
import io
import json
import math
import re

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from explorer_helpers import COMPRESSOR, move
from front_end import front_end
from hanging import HANGS_S
from nbclient import NotebookClient
from widget_sounds import RATE, level_db, players_in, tones

import diffmst_lib as dm
from diffmst_lib.notebook.explorers.base import Explorer

VIEW = "application/vnd.jupyter.widget-view+json"
HINT = "<p><small>Run this page (Colab or Jupyter) to change the settings.</small></p>"


def screen(explorer):
    """The widget that shows picture and players."""
    return explorer.box.children[-1]


def drawing(explorer):
    """What is drawn, as the bytes of an image."""
    file = io.BytesIO()
    explorer.picture().savefig(file, format="raw", dpi=50)
    return file.getvalue()


def test_a_move_changes_picture_and_sound(explorer):
    assert isinstance(explorer, Explorer)
    picture, audio, page = drawing(explorer), explorer.audio, players_in(explorer._repr_html_())
    move(explorer)
    assert drawing(explorer) != picture
    assert not torch.equal(explorer.audio, audio)
    assert level_db(players_in(explorer._repr_html_())[-1] - page[-1]) > -60


def test_sliders_have_the_table_s_ranges(track):
    specs = {spec.name: spec for spec in dm.param_table("track")}
    sliders = dm.explore_pan(track).controls | dm.explore_compressor(track).controls
    for name in set(sliders) - {"match_loudness"}:
        slider, spec = sliders[name], specs[name]
        low, high = (10**slider.min, 10**slider.max) if spec.scale == "log" else (slider.min, slider.max)
        assert (low, high) == pytest.approx((spec.low, spec.high)) and not slider.continuous_update
        assert spec.unit in slider.description


# --- what the page and the notebook hold ------------------------------------------------------------------------


def test_two_forms_and_no_audio_in_the_state(explorer):
    bundle, _ = explorer._repr_mimebundle_()
    assert bundle[VIEW]["model_id"] == explorer.box.model_id
    page = bundle["text/html"]
    image = re.search(r'<img [^>]*alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page)
    assert len(image.group(1)) > 60 and base64.b64decode(image.group(2)).startswith(b"\x89PNG")
    assert len(players_in(page)) == page.count("<audio") in (1, 2)
    assert HINT in page and len(page) < 0.5e6
    widgets = [explorer.box, *explorer.box.children]
    assert len(json.dumps([widget.get_state() for widget in widgets], default=str)) < 20_000


def test_a_browser_gets_what_it_asks_for_and_each_change(explorer, monkeypatch):
    sent = front_end(screen(explorer), monkeypatch, asks={"type": "ready"})
    move(explorer)
    first, second = (message for message, _ in sent)
    assert first["type"] == second["type"] == "show" and "Run this page" not in first["html"]
    assert first != second and second["html"] == explorer._repr_html_().replace(HINT, "")


class Level(Explorer):
    """A fader on one sample; it counts how often it computes, and cannot go below 0 dB."""

    computed = 0

    def __init__(self):
        slider = ipywidgets.FloatSlider(0.0, min=-10, max=10)
        super().__init__(RATE, {"gain_db": slider}, matched=False)

    def _process(self):
        self.computed += 1
        return torch.full((1, 1000), math.sqrt(self.settings["gain_db"]))

    def picture(self):
        figure = plt.figure()
        plt.close(figure)
        return figure

    def _sounds(self):
        return {"": self.audio}

    def _caption(self):
        return f"{self.settings['gain_db']} dB"


def test_nothing_is_computed_before_a_browser_asks(monkeypatch):
    level = Level()
    level.controls["gain_db"].value = 1.0
    assert level.computed == 0
    front_end(screen(level), monkeypatch, asks={"type": "ready"})
    assert level.computed == 1
    level.controls["gain_db"].value = 2.0
    assert level.computed == 2


def test_an_error_is_shown_and_raised(monkeypatch):
    level = Level()
    sent = front_end(screen(level), monkeypatch, asks={"type": "ready"})
    with pytest.raises(ValueError, match="math domain error"):
        level.controls["gain_db"].value = -1.0
    assert sent[-1][0] == {"type": "error", "text": "ValueError: math domain error"}


@pytest.mark.parametrize(
    "audio",
    [torch.zeros(RATE), torch.full((1,), 0.5), torch.zeros(2, RATE)],
    ids=["silence", "one sample", "stereo silence"],
)
@pytest.mark.parametrize("explore", [dm.explore_pan, dm.explore_equalizer, dm.explore_compressor])
@pytest.mark.filterwarnings("error")
def test_silence_and_one_sample(explore, audio):
    assert "<audio" in explore(audio)._repr_html_()


@pytest.mark.parametrize(
    ("explore", "effect"),
    [(dm.explore_equalizer, dm.effects.parametric_eq), (dm.explore_compressor, dm.effects.compressor)],
)
def test_a_stereo_stem_is_processed_as_a_whole(explore, effect):
    stem = tones(1.0)
    explorer = explore(stem)
    options = explorer.settings
    if effect is dm.effects.compressor:
        options |= {"lookahead_samples": round(0.010 * RATE)}
    torch.testing.assert_close(explorer.audio, effect(stem[None], sample_rate=RATE, **options)[0])
    assert [player.shape[1] for player in players_in(explorer._repr_html_())] == [2, 2]


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (torch.zeros(3, 100), r"track: expected .* 1 or 2 channels, got shape \(3, 100\)"),
        (torch.zeros(1, 2, 100), r"track: expected .* got shape \(1, 2, 100\)"),
        (torch.full((2, 100), torch.inf), "track: .*not finite"),
        (torch.zeros(2, 100, dtype=torch.int16), "track: expected floating point"),
    ],
)
@pytest.mark.parametrize("explore", [dm.explore_pan, dm.explore_equalizer, dm.explore_compressor])
def test_what_is_no_stem_is_refused(explore, track, message):
    with pytest.raises(ValueError, match=message):
        explore(track)


@pytest.mark.parametrize("sample_rate", [96_000, 192_000])
def test_a_rate_that_no_mp3_has(song, sample_rate):
    audio = tones(1.0, channels=1, sample_rate=sample_rate)
    high = dm.Multitrack(["a"], audio.expand(1, 2, -1), sample_rate)
    explorers = [
        explore(audio, sample_rate)
        for explore in (dm.explore_pan, dm.explore_equalizer, dm.explore_compressor)
    ]
    explorers.append(
        dm.explore_bypass(high, dm.ConsoleParams.neutral(["a"], sample_rate=sample_rate), off=())
    )
    for explorer in explorers:
        assert explorer.audio.shape[-1] == sample_rate  # the library works at the song's rate
        players = players_in(explorer._repr_html_())
        assert players and all(len(player) == pytest.approx(48_000, rel=0.1) for player in players)


def test_an_executed_notebook_is_small_and_quiet():
    code = """
    import torch
    import diffmst_lib as dm
    noise = 0.1 * torch.randn(2, 88200, generator=torch.Generator().manual_seed(0))
    from IPython.display import display
    explorers = [dm.explore_pan(noise), dm.explore_equalizer(noise), dm.explore_compressor(noise[0])]
    display(*explorers)
    explorers[0].controls["pan"].value = 0.1
    """
    cell = nbformat.v4.new_code_cell("\n".join(line.strip() for line in code.strip().splitlines()))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(
        notebook, timeout=HANGS_S, kernel_name="python3", extra_arguments=["--log-level=ERROR"]
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
# Moves the slider when the second player has come to 1 s, and keeps from where it goes on then.
MOVE_WHILE_PLAYING = """(html) => {
  window.goesOn = null;
  document.addEventListener("playing", ({ target }) => {
    if (window.moved && !window.goesOn) window.goesOn = [PLAYERS.indexOf(target), target.currentTime];
  }, true);
  document.addEventListener("timeupdate", ({ target }) => {
    if (window.moved || target.currentTime < 1) return;
    window.moved = true;
    window.hear({ type: "show", html });
  }, true);
}"""
PLAYERS = "[...document.querySelectorAll('audio')]"


def test_the_screen_asks_shows_and_goes_on_playing(visit, track):
    explorer = dm.explore_compressor(torch.cat([track] * 3, dim=-1), settings=COMPRESSOR)
    tab = visit()
    tab.evaluate(LIVE, base64.b64encode(screen(explorer).get_state()["_esm"].encode()).decode())
    assert tab.evaluate("window.said") == [{"type": "ready"}]
    before = explorer._repr_html_()
    move(explorer)
    after = explorer._repr_html_()
    tab.evaluate("(html) => window.hear({ type: 'show', html })", before)
    tab.evaluate(MOVE_WHILE_PLAYING.replace("PLAYERS", PLAYERS), after)
    tab.get_by_role("button", name="Switch to after").click()
    tab.wait_for_function("window.goesOn")
    player, position = tab.evaluate("window.goesOn")
    assert player == 1 and position > 0.9
    assert tab.get_by_text("Threshold -40.0 dB").count() == 1 == tab.get_by_role("img").count()
    pressed = "document.querySelector('button[aria-pressed=true]')?.ariaLabel"
    assert tab.evaluate(f"{PLAYERS}[1].ended || {pressed} === 'Switch to after'")
    tab.evaluate("window.hear({ type: 'error', text: 'no <b>sound</b>' })")
    assert tab.get_by_role("alert").inner_text() == "no <b>sound</b>" and tab.locator("audio").count() == 0
