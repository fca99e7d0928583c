"""A file of settings, params.json: read, checked field by field, and put beside a song. Chapter: Mix your own song."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..disk import composed, why
from ..inputs import InputError
from .automation import Automation
from .params import NO_CONSOLE, ConsoleParams
from .reading import SECTIONS_FIELD, in_one_line, read_settings, unknown
from .specs import takes_stems

NAME = "params.json"  # what a saved mix has its settings in
MOST_BYTES = 64 * 2**20  # 64 stems take 100 KB: whatever is so large is something else


def load_params(path: str | Path, *, stems: Sequence[str] | None = None) -> ConsoleParams | Automation:
    """Read a console's settings from a file, for instance the params.json of a saved mix, also after an edit.

    Args:
        path: The file, or a folder that holds params.json. Files of earlier versions of the library are read.
        stems: The names of the song's stems, which the file must have a strip for each of; None: any are read.

    Returns:
        The console, its strips in the order of `stems`; where the file has a console a section, the
        `Automation` with all of them.

    Raises:
        InputError: In one line with the file and the field, for a file that cannot be read, is no console, has a
            knob outside its range, or strips that are not the song's.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "params.json")
        >>> _ = file.write_text(ConsoleParams.neutral(["kick", "vox_lead"]).to_json(), encoding="utf-8")
        >>> load_params(file)
        ConsoleParams(2 tracks: kick, vox_lead; preset default)
    """
    file = Path(path)
    if file.is_dir():
        file = file / NAME
    text = _text(file)
    try:
        settings = read_settings(text)
        read: ConsoleParams | Automation
        read = (Automation if SECTIONS_FIELD in settings else ConsoleParams).from_json(text)
        return read if stems is None else _ordered(read, stems)
    except ValueError as error:
        raise InputError(f"{file}: {in_one_line(str(error).removeprefix(NO_CONSOLE))}") from None


def for_stems(params: ConsoleParams, stems: Sequence[str]) -> ConsoleParams:
    """Return a console with its strips in the order of a song's stems.

    Args:
        params: The console.
        stems: The names of the song's stems, compared in NFC. A console of mono channels has two strips for a
            stereo stem, "pad.L" and "pad.R".

    Returns:
        The console, another one where the order or the spelling differs.

    Raises:
        InputError: In one line with the nearest name, for a strip without a stem and a stem without a strip.

    Example:
        >>> for_stems(ConsoleParams.neutral(["vox_led", "kick"]), ["kick", "vox_lead"])
        Traceback (most recent call last):
        ...
        diffmst_lib.inputs.InputError: tracks.vox_led: no such stem, did you mean 'vox_lead'?
    """
    wanted = {composed(str(name)): str(name) for name in stems}
    has = [composed(str(name)) for name in params.names]
    if not takes_stems(params.preset):
        sides = {side: stem for stem in wanted for side in (stem, f"{stem}.L", f"{stem}.R")}
        covered = {sides.get(name, "") for name in has}
        wanted = {name: name for name in has if name in sides} | {s: s for s in wanted if s not in covered}
    if strangers := [name for name in has if name not in wanted]:
        lacking = [name for name in wanted if name not in has]
        if lacking:
            raise InputError(unknown(f"tracks.{strangers[0]}", strangers[0], lacking, "stem"))
        raise InputError(f"tracks.{strangers[0]}: no such stem, the song has {', '.join(wanted)}")
    if missing := [name for name in wanted if name not in has]:
        raise InputError(f"tracks.{missing[0]} is missing: the song has a stem of that name")
    rows = [has.index(name) for name in wanted]
    if rows == list(range(len(has))) and list(wanted.values()) == params.names:
        return params
    return ConsoleParams(
        params.tracks[rows],
        params.fx_bus_values,
        params.master_bus_values,
        names=list(wanted.values()),
        preset=params.preset,
        sample_rate=params.sample_rate,
    )


def _ordered(read: ConsoleParams | Automation, stems: Sequence[str]) -> ConsoleParams | Automation:
    if isinstance(read, ConsoleParams):
        return for_stems(read, stems)
    consoles = [for_stems(console, stems) for console in read.consoles]
    return Automation(read.starts_s, consoles, read.labels, read.fade_s, read.loudest)


def _text(file: Path) -> str:
    """Read a file of text in UTF-8, whichever way an editor has marked it."""
    try:
        if not file.exists():
            raise InputError(f"{file}: there is no such file")
        if not file.is_file():
            raise InputError(f"{file}: is no file")
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{file}: too large for a console's settings")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file}: not a text in UTF-8, as JSON is") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read ({why(error)})") from None
