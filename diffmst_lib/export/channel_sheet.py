"""A channel sheet: the mix as an engineer would write it down, to be set up by hand anywhere.

Chapter: Mix your own song.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..audio.octaves import OCTAVES_HZ
from ..console.compressor import LOOKAHEAD_MS
from ..console.engines.convolution import FIR_TAPS
from ..console.table import OFF_DB, REVERB_BANDS, SECTIONS, param_table
from .channel_table import Reductions, kept, rounded, sections_of, sheet_table
from .session import Session

MARKDOWN, TABLE = "channels.md", "channels.csv"
_BANDS = {
    "low_shelf": "low shelf",
    "peak_1": "bell",
    "peak_2": "bell",
    "peak_3": "bell",
    "peak_4": "bell",
    "high_shelf": "high shelf",
}
_COLUMNS = ("strip", "trim", "equalizer", "compressor", "width", "pan", "fader", "send")
_ROOM_S = FIR_TAPS / 44100  # how long the reverb's response is
_CHAIN = f"""\
Strip: trim, equalizer, compressor, width, pan, fader, and after it the send. Master: equalizer, compressor,
width, output gain.

- Gains are rounded to 0.5 dB, frequencies, times and Q to two digits. `params.json` holds the exact settings,
  and `diffmst render` mixes from it. What does nothing is left out.
- Equalizer: shelves and bells after R. Bristow-Johnson, Q as written.
- Compressor: feed-forward, both channels linked, the larger sample counts. Attack and release are the times
  from 10 % to 90 % of a step, 2.2 times a time constant. It looks {LOOKAHEAD_MS:g} ms ahead: without that,
  peaks get through, and dividing the attack by the ratio brings most of it back. The knee is the width of the
  bend around the threshold.
- Reduction: what to expect on the meter while the stem sounds, typical and most.
- Width: 0 % is mono, 100 % as delivered. It scales the side, (L - R) / 2.
- Pan: 0 dB in the middle, +3 dB at a side: left sqrt(2) cos(p pi / 2), right sqrt(2) sin(p pi / 2); p is in
  brackets.
- Sends are after the fader.
"""


def sheet_files(
    session: Session, reduction_db: Reductions | None = None
) -> dict[str, Callable[[Path], object]]:
    """List the files of a channel sheet, as `disk.write_together` takes them.

    Args:
        session: The session.
        reduction_db: Gain reduction to expect, typical and most in dB, by the track's name or "master_bus";
            None: nothing is said about it.

    Returns:
        Functions that write "channels.md" and "channels.csv" at a path.

    Example:
        >>> import diffmst_lib as dm
        >>> from diffmst_lib.export.session import build_session
        >>> result = dm.unity(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
        >>> list(sheet_files(build_session(result.song, result.params, "mix")))
        ['channels.md', 'channels.csv']
    """

    def write_text(path: Path) -> object:
        return path.write_text(sheet_text(session, reduction_db), encoding="utf-8", errors="replace")

    def write_table(path: Path) -> object:
        table = sheet_table(session, reduction_db)
        return path.write_text(table.to_csv(index=False), encoding="utf-8", errors="replace")

    return {MARKDOWN: write_text, TABLE: write_table}


def sheet_text(session: Session, reduction_db: Reductions | None = None) -> str:
    """Write a channel sheet as Markdown.

    Args:
        session: The session.
        reduction_db: As in `sheet_files`.

    Returns:
        The text.
    """
    reductions = reduction_db or {}
    tables = {s: param_table(s, session.preset, session.sample_rate) for s in SECTIONS}
    parts = [f"# Channel sheet: {_cell(session.title or 'a mix')}\n", _CHAIN]
    for label, start, _, strips, fx_bus, master in sections_of(session):
        if session.automation is not None:
            parts.append(f"## {_cell(label)}, from {_time(start)}\n")
        rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
        for track, knobs in zip(session.tracks, strips, strict=True):
            settings = kept(knobs, tables["track"])
            rows.append((_cell(track.name), *_strip(settings, reductions.get(track.name))))
        settings = kept(master, tables["master_bus"])
        rows.append(("**master**", *_strip(settings, reductions.get("master_bus"))))
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
        if fx_bus:
            parts.append(_reverb({s.name: rounded(s, fx_bus[s.name]) for s in tables["fx_bus"]}))
    if session.automation is not None:
        parts.append(f"Between sections all knobs move within {session.automation.fade_s:g} s.\n")
    return "\n".join(parts)


def _strip(settings: Mapping[str, float], reduction: Sequence[float] | None) -> tuple[str, ...]:
    """Write the cells of a strip or of the master from the knobs that do something."""
    gain = settings.get("output_gain_db", settings.get("fader_db"))
    send = settings.get("send_db")
    pan = settings.get("pan")
    return (
        _db(settings.get("input_gain_db")),
        _equalizer(settings),
        _compressor(settings, reduction),
        f"{100 * settings['width']:.0f} %" if "width" in settings else "",
        _pan(pan) if pan is not None else "",
        "off" if "fader_db" in settings and gain == OFF_DB else _db(gain),
        "" if send is None or send == OFF_DB else _db(send),
    )


def _equalizer(settings: Mapping[str, float]) -> str:
    found = [
        f"{kind} {_hz(settings[f'{band}_frequency_hz'])} {_db(settings[f'{band}_gain_db'])} "
        f"Q {settings[f'{band}_q']:g}"
        for band, kind in _BANDS.items()
        if f"{band}_gain_db" in settings
    ]
    return "; ".join(found) or "flat"


def _compressor(settings: Mapping[str, float], reduction: Sequence[float] | None) -> str:
    makeup = f"make-up {_db(settings['makeup_gain_db'])}" if "makeup_gain_db" in settings else ""
    if "ratio" not in settings:
        return makeup or "none"
    text = (
        f"threshold {settings['threshold_db']:.1f} dB, ratio {settings['ratio']:g}:1, "
        f"attack {settings['attack_ms']:g} ms, release {settings['release_ms']:g} ms, "
        f"knee {settings['knee_db']:.1f} dB"
    )
    if reduction is not None and all(map(math.isfinite, reduction)):
        text += f", reduction {reduction[0]:.1f} dB, most {reduction[1]:.1f} dB"
    return f"{text}, {makeup}" if makeup else text


def _reverb(settings: Mapping[str, float]) -> str:
    """Write the reverb: level and decay of its bands, of which the ten in the middle are octaves."""
    names = ["below", *(_hz(center) for center in OCTAVES_HZ), "above"]
    levels = [settings[f"band{i}_gain"] for i in range(REVERB_BANDS)]
    decays = [
        math.log(1000.0) * _ROOM_S / (1.0 + 10.0 * settings[f"band{i}_decay"]) for i in range(REVERB_BANDS)
    ]
    rows = [
        ("reverb, octave", *names),
        ("---",) * (REVERB_BANDS + 1),
        ("level", *(_db(20.0 * math.log10(level)) if level > 0.0 else "off" for level in levels)),
        ("decay by 60 dB", *(f"{decay:.2g} s" for decay in decays)),
    ]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{text}\n\nWet only; shaped noise that ends after {_ROOM_S:.1f} s.\n"


def _db(value: float | None) -> str:
    return "" if value is None else f"{round(2.0 * value) / 2.0 + 0.0:+.1f} dB"


def _hz(value: float) -> str:
    return f"{value / 1000:g} kHz" if value >= 1000 else f"{value:g} Hz"


def _pan(pan: float) -> str:
    percent = round(200 * (pan - 0.5))
    side = "middle" if percent == 0 else f"{'L' if percent < 0 else 'R'} {abs(percent)} %"
    return f"{side} ({pan:.2f})"


def _time(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _cell(text: str) -> str:
    """Write a name so that it stays in one cell of a Markdown table."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(f"\\{c}" if c in "\\|`*_<>[]#" else c for c in plain)
