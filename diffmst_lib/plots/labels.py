"""Names that users gave, as labels of figures: no mathematics in them, and a font that has their letters.

Chapter: A first mix.
"""

from __future__ import annotations

from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

MISSING = "\N{WHITE SQUARE}"  # for a letter that no font has
_OWN_CODES = ("cm", "STIXSize", "STIXNonUnicode", "Last Resort")  # fonts of formulas, and of boxes
LETTER_SIZE = 10.0  # points at which a font is tried: bitmaps of emoji have one size of their own


def plain(label: object) -> str:
    r"""Make a label of a name: no part of it is read as mathematics, and legends show it.

    Args:
        label: The name, with any characters. Letters that no installed font has become squares.

    Returns:
        The label.

    Example:
        >>> plain("cash $$"), plain("_bus")
        ('cash \\$\\$', ' _bus')
    """
    letters = (letter if letter.isprintable() or letter == "\n" else " " for letter in str(label))
    text = "".join(MISSING if family_with(letter) is None else letter for letter in letters)
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def with_letters(figure: Figure) -> Figure:
    """Give the texts of a figure the fonts that have their letters, where the usual one lacks some.

    Args:
        figure: The figure, with all its texts.

    Returns:
        The same figure.
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        families = dict.fromkeys(family_with(letter) for letter in text.get_text() if letter.isprintable())
        others = [family for family in families if family]
        if others:
            text.set_fontfamily([*text.get_fontfamily(), *others])
    return figure


@cache
def family_with(letter: str) -> str | None:
    """Find a font for a letter.

    Args:
        letter: One character.

    Returns:
        The family of an installed font that can draw it: "" for the usual one; None where there is none.

    Example:
        >>> family_with("a")
        ''
    """
    if letter == "\n" or _draws(font_manager.findfont(font_manager.FontProperties()), letter):
        return ""
    fonts = sorted(font_manager.fontManager.ttflist, key=lambda font: (font.weight != 400, font.name))
    return next((font.name for font in fonts if _is_for_text(font) and _draws(font.fname, letter)), None)


def _is_for_text(font: font_manager.FontEntry) -> bool:
    return font.style == "normal" and not font.name.startswith(_OWN_CODES)


def _draws(path: str, letter: str) -> bool:
    try:
        if ord(letter) not in _letters(path):
            return False
        font = font_manager.get_font(path)
        font.set_size(LETTER_SIZE, 72)
        font.load_char(ord(letter))
    except (OSError, RuntimeError, ValueError):
        return False
    return True


@cache
def _letters(path: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())
