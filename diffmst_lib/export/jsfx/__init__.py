"""The plug-ins of a session for Reaper: text files in JSFX, filled in from the table of knobs.

A line `//= sliders` of a plug-in becomes one slider a knob, `//= NAME` the text of NAME.eel.

Chapter: Mix your own song.
"""

from __future__ import annotations

from pathlib import Path

from ...console.specs import ParamSpec
from ...console.table import param_table

SECTIONS = {"track": "strip", "master_bus": "master"}  # the plug-in of a section
ELSEWHERE = ("input_gain_db", "fader_db", "send_db")  # knobs that a workstation has itself
_FOLDER = Path(__file__).parent
_UNITS = {"db": "dB", "hz": "Hz", "ms": "ms"}  # how names of knobs end
_LABELS = {
    "ratio": "Ratio (:1)",
    "makeup_gain_db": "Make-up gain (dB)",
    "width": "Width (0 mono, 1 as it is)",
    "pan": "Pan (0 left, 1 right)",
}
_STEP = 0.01  # of a slider that is dragged


def plugin_knobs(section: str, sample_rate: int = 44100) -> list[ParamSpec]:
    """List the knobs that a plug-in has as sliders, in their order.

    Args:
        section: "track" or "master_bus".
        sample_rate: Hz.

    Returns:
        The knobs of our console without those that a workstation has itself: trim, fader and send.

    Example:
        >>> [knob.name for knob in plugin_knobs("track")][-2:], len(plugin_knobs("master_bus"))
        (['width', 'pan'], 26)
    """
    return [knob for knob in param_table(section, "default", sample_rate) if knob.name not in ELSEWHERE]


def plugin(name: str, sample_rate: int = 44100) -> str:
    """Return the text of a plug-in.

    Args:
        name: "strip", "master" or "reverb".
        sample_rate: Hz, of the song; it limits the equalizer's frequencies. A plug-in runs at any rate.

    Returns:
        The text of a .jsfx file.

    Example:
        >>> print(plugin("strip").splitlines()[0])
        desc:Diff-MST strip (equalizer, compressor, width, pan)
    """
    lines = []
    for line in _read(f"{name}.jsfx").splitlines():
        if line == "//= sliders":
            section = next(section for section, file in SECTIONS.items() if file == name)
            lines += [slider(i, knob) for i, knob in enumerate(plugin_knobs(section, sample_rate), start=1)]
        elif line.startswith("//= "):
            lines.append(_read(f"{line.removeprefix('//= ')}.eel").rstrip())
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def slider(number: int, knob: ParamSpec) -> str:
    """Write the line of a slider, which is at its knob's neutral value.

    Args:
        number: Its number, from 1 on.
        knob: The knob.

    Example:
        >>> slider(26, plugin_knobs("track")[-1])
        'slider26:pan=0.5<0,1,0.01>Pan (0 left, 1 right)'
    """
    name, _, end = knob.name.rpartition("_")
    label = _LABELS.get(knob.name) or (
        f"{name} ({_UNITS[end]})" if end in _UNITS else knob.name.removesuffix("_q") + " Q"
    ).replace("_", " ")
    shape = ":log!" if knob.scale == "log" else ""  # "!": automation stays in the knob's unit
    return (
        f"slider{number}:{knob.name}={knob.neutral:.10g}"
        f"<{knob.low:.10g},{knob.high:.10g},{_STEP:g}{shape}>{label[0].upper()}{label[1:]}"
    )


def _read(file: str) -> str:
    return (_FOLDER / file).read_text(encoding="utf-8")
