"""Names of stems and sounds in figures: never mathematics, never a letter that the font lacks."""

import unicodedata

import pandas as pd
import pytest
import torch
from matplotlib import font_manager

from diffmst_lib import ConsoleParams, Multitrack, plots
from diffmst_lib.plots.figure import new_figure
from diffmst_lib.plots.labels import MISSING, family_with, plain, with_letters
from diffmst_lib.plots.tracks import plot_tracks

pytestmark = pytest.mark.filterwarnings("error")
NAMES = [
    "$x^$", "$$", r"a $\foo$ b", r"\$ \\", "a_b^c", "_hidden", "主唱", "ドラム", "🎸 solo", "{", "%", "a\tb", "\udc80", "l\u0301",
]  # fmt: skip
KNOBS = {"threshold_db": -20.0, "ratio": 4.0, "knee_db": 6.0, "makeup_gain_db": 0.0}
SOUND = torch.randn(2, 22050, generator=torch.Generator().manual_seed(0))


def song():
    return Multitrack(NAMES, SOUND.expand(len(NAMES), -1, -1).contiguous())


def table(*columns):
    return pd.DataFrame({column: [1.0] * len(NAMES) for column in columns}, index=NAMES)


FIGURES = {
    "tracks": lambda: plot_tracks(song()),
    "levels": lambda: plots.plot_levels(song().levels()),
    "equalizers": lambda: plots.plot_eq(ConsoleParams.neutral(NAMES)),
    "mixer": lambda: plots.plot_mixer(ConsoleParams.neutral(NAMES)),
    "curves": lambda: plots.plot_static_curve(dict.fromkeys(NAMES, KNOBS)),
    "spectra": lambda: plots.plot_spectrum(dict.fromkeys(NAMES, SOUND)),
    "Bark spectra": lambda: plots.plot_bark(dict.fromkeys(NAMES, SOUND)),
    "histories": lambda: plots.plot_history(dict.fromkeys(NAMES, pd.DataFrame({"total": [1.0, 0.5]}))),
    "terms": lambda: plots.plot_loss_terms(
        dict.fromkeys(NAMES, dict.fromkeys([*NAMES, "total"], torch.tensor(1.0)))
    ),
    "gradients": lambda: plots.plot_gradients(table(*NAMES)),
    "balance": lambda: plots.plot_balance(table("disturbed", "found")),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_any_name_can_be_drawn_without_a_warning(draw):
    assert "<img" in plots.figure_html(draw(), "names")


@pytest.mark.parametrize("name", NAMES)
def test_a_label_shows_the_name(name):
    axis = new_figure(1, 1.0)[1]
    text = axis.set_title(plain(name))
    shown, is_math = text._preprocess_math(text.get_text())
    assert not is_math
    expected = "".join(" " if not c.isprintable() else MISSING if family_with(c) is None else c for c in name)
    assert shown.lstrip(" ") == expected.lstrip(" ")


def only_in_stix():
    """A letter of STIXGeneral, which comes with matplotlib, that the usual font lacks."""
    font, usual = (
        font_manager.get_font(font_manager.findfont(name)).get_charmap() for name in ("STIXGeneral", "sans")
    )
    return next(
        chr(c) for c in sorted(set(font) - set(usual)) if unicodedata.category(chr(c)) in ("Lo", "Ll")
    )


def test_a_font_that_has_the_letters_is_taken(monkeypatch):
    fonts = [f for f in font_manager.fontManager.ttflist if f.name in ("STIXGeneral", "DejaVu Sans")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    family_with.cache_clear()
    letter = only_in_stix()
    assert (
        family_with(letter) == "STIXGeneral" and family_with("a") == "" and family_with("\U000e0fff") is None
    )
    figure, axis = new_figure(1, 1.0)
    with_letters(figure)
    assert axis.set_title(plain(f"a {letter}")).get_text() == f"a {letter}"
    axis.set_xlabel("plain")
    with_letters(figure)
    assert axis.title.get_fontfamily()[-1] == "STIXGeneral"
    assert "STIXGeneral" not in axis.xaxis.label.get_fontfamily()
    figure.savefig("/dev/null", format="png")
    family_with.cache_clear()
