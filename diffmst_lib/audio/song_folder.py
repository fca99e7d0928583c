"""What the files of a song's folder mean: stems, sides of stems, instruments, mixes. Chapter: Data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..disk import printable, why
from ..inputs import InputError
from .delivery import MIX_FILES
from .loading import AUDIO_SUFFIXES
from .remarks import few, not_a_file
from .roles import is_instrument, side_of

STEM_LAYOUTS = ("auto", "instruments", "folders")
MIX_NAMES = ("human_mix", "mix", "mixture", "mixdown", "master")  # the first one that exists is the mix
BESIDE_MIX = ("stems",)  # what else of a saved mix sounds and is no raw stem
NO_STEMS = {"diffmst_reverb.wav"}  # of the plug-ins of a session
RAW_STEMS = "audio"  # the folder with those, beside a session
STEM_FOLDERS = {"stems", "tracks", "multitrack", "multitracks", "raw", "audio", "wav"}  # of the song above
# What lies beside stems and is no sound: nobody misses it in a mix.
_COMPANIONS_TEXT = """
.txt .md .rtf .doc .docx .pdf .html .htm .url .jpg .jpeg .png .gif .bmp .tif .tiff .webp .mid .midi .json
.csv .tsv .xml .yaml .yml .ini .log .nfo .asd .reapeaks .peak .pek .pkf .sfk .sfv .md5 .cue .m3u .m3u8
.lrc .srt .als .dawproject .rpp .rpp-bak .jsfx .ptx .cpr .flp .aup3 .aup .sesx .db .lnk
"""
_COMPANIONS = set(_COMPANIONS_TEXT.split())
# Sounds and films with sound that are not read.
_UNREAD_SUFFIXES_TEXT = """
.mka .mkv .webm .mov .avi .m4b .m4v .3gp .ac3 .eac3 .dts .ape .wv .tta .tak .mpc .dsf .dff .ra .rm .amr
.spx .sd2 .rx2 .rex .mp2 .mp1 .aa .aax .m4p .raw .pcm .voc .oma .shn .band .logicx
"""
UNREAD_SUFFIXES = set(_UNREAD_SUFFIXES_TEXT.split())


@dataclass
class SongFolder:
    """What was found in the folder of a song.

    Attributes:
        files: The files of the stems by name, in the order of their names.
        sides: Names of the left and the right file of a stereo stem, by its name, see `pair_sides`.
        instruments: Names of the subfolders that were taken for instruments.
        left_out: What was left out, each with the reason in brackets.
    """

    files: dict[str, Path] = field(default_factory=dict)
    sides: dict[str, tuple[str, str]] = field(default_factory=dict)
    instruments: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def is_earlier_mix(names: Iterable[str]) -> bool:
    """Tell from the names in a folder whether it holds a mix that this library made."""
    found = set(names)
    return "params.json" in found and not found.isdisjoint(MIX_FILES)


def mix_rank(name: str, folder: str) -> int:
    """Tell mixes from stems.

    Args:
        name: Name of a file, without its suffix.
        folder: Name of the folder of its song.

    Returns:
        0 for a stem; for a mix, its rank in `MIX_NAMES`, from 1.
    """
    alone = name.lower().removeprefix(folder.lower()).strip(" _-")
    return next((rank for rank, mix in enumerate(MIX_NAMES, start=1) if mix in (alone, name.lower())), 0)


def stem_name(folders: Sequence[str], name: str) -> str:
    """Name a stem after the folders of instruments that it lies in, and its file.

    Args:
        folders: Names of the folders between the song's and the file.
        name: Name of the file, without its suffix.

    Example:
        >>> stem_name(["Drums", "Kick"], "in"), stem_name(["Vocals"], "vocals_lead")
        ('Drums_Kick_in', 'vocals_lead')
    """
    for folder in reversed([folder for folder in folders if folder.lower() not in STEM_FOLDERS]):
        if not name.lower().startswith(folder.lower()):
            name = f"{folder}_{name}"
    return name


def pair_sides(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Find the two sides of stereo stems, such as "Keys.L" and "Keys.R", which other programs export.

    Args:
        names: Names of stems.

    Returns:
        Names of the left and the right side by the name of the stem. Sides whose common name is another
        stem's stay apart.

    Example:
        >>> pair_sides(["Keys_L", "Keys_R", "Gtr.left", "kick"])
        {'Keys': ('Keys_L', 'Keys_R')}
    """
    names = list(names)
    sides: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        if split := side_of(name):
            stem, side, spelling = split
            sides.setdefault((stem, spelling), {})[side] = name
    pairs = [(stem, (of["l"], of["r"])) for (stem, _), of in sides.items() if len(of) == 2]
    stems = [*names, *(stem for stem, _ in pairs)]
    return {stem: pair for stem, pair in pairs if stems.count(stem) == 1}


def read_song_folder(folder: Path, layout: str = "auto") -> SongFolder:
    """Find the stems of a song by names alone; no file is opened.

    Args:
        folder: Folder of one song.
        layout: "auto": subfolders are instruments where their names say so; "instruments": all of them are;
            "folders": none is.

    Returns:
        What was found.

    Raises:
        InputError: For a folder without stems, for two stems of one name, and for what has the name of a
            sound file and is none.
    """
    if layout not in STEM_LAYOUTS:
        raise InputError(f"no layout {layout!r}: there are {', '.join(STEM_LAYOUTS)}")
    if not folder.is_dir():
        raise InputError(f"{printable(str(folder))}: no such folder of stems")
    found, files = SongFolder(), []
    own_name = printable(folder.resolve().name)
    _collect(folder, (), layout, found, files)
    mixes = [entry for entry in files if not entry[0] and mix_rank(entry[1], own_name)]
    if len(mixes) < len(files):
        files = [entry for entry in files if entry not in mixes]
        found.left_out += [f"{printable(path.name)} (named like the finished mix)" for *_, path in mixes]
    if not files:
        besides = f"; left out: {few(found.left_out)}" if found.left_out else ""
        raise InputError(f"{printable(str(folder))}: no audio files in this folder{besides}")
    for parents, name, path in files:
        name = stem_name(parents, name)
        if name in found.files:
            both = f"{printable(found.files[name].name)}, {printable(path.name)}"
            raise InputError(f"{printable(str(folder))}: several files are named {name} ({both})")
        found.files[name] = path
    found.sides = pair_sides(found.files)
    return found


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{printable(str(folder))}: cannot be read ({why(error)})") from None


Entry = tuple[tuple[str, ...], str, Path]  # folders on the way, name without suffix, path


def _collect(
    folder: Path, parents: tuple[str, ...], layout: str, found: SongFolder, files: list[Entry]
) -> None:
    """Sort what lies in a folder, and in those below it that are instruments."""
    here, names = "/".join((*parents, "")), _names(folder)
    if is_earlier_mix(names):
        mixes = [name for name in names if name in MIX_FILES]
        found.left_out.append(f"{here}{few(mixes)} (an earlier mix: params.json lies beside it)")
        names = _without_mix(folder, names)
    for raw in names:
        path, name = folder / raw, printable(raw)
        stem, suffix = os.path.splitext(name)
        is_sound = suffix.lower() in AUDIO_SUFFIXES and name not in NO_STEMS
        if path.is_dir():
            if is_sound:
                raise InputError(f"{printable(str(path))}: a folder with the name of a sound file")
            if not name.startswith(".") and name != "__MACOSX":
                _collect_below(path, (*parents, name), layout, found, files)
        elif name.startswith("._"):
            continue  # what macOS knows about the file of that name
        elif name.startswith("."):
            found.left_out += [f"{here}{name} (a hidden file)"] * is_sound
        elif is_sound:
            if what := not_a_file(path):
                raise InputError(f"{printable(str(path))}: {what}, not a file")
            files.append((parents, stem, path))
        elif suffix.lower() in UNREAD_SUFFIXES:
            found.left_out.append(f"{here}{name} (not read here, convert it to WAV or FLAC)")
        elif suffix.lower() not in _COMPANIONS and name not in NO_STEMS:
            found.left_out.append(f"{here}{name} (not audio)")


def _without_mix(folder: Path, names: list[str]) -> list[str]:
    """Leave out what belongs to an earlier mix: its files, its stems, and the raw stems of its sessions.

    Those are the song where there is no other: of a folder that was made to be sent, the song can be read again.
    """
    names = [name for name in names if name not in (*MIX_FILES, *BESIDE_MIX)]
    others = [name for name in names if name != RAW_STEMS]
    if any(_sounds(folder / name) for name in others):
        return others
    return names


def _sounds(path: Path) -> bool:
    if path.is_dir():
        return count_sounds(path) > 0
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def _collect_below(
    folder: Path, parents: tuple[str, ...], layout: str, found: SongFolder, files: list[Entry]
) -> None:
    name = "/".join(parents)
    sounds = count_sounds(folder)
    if not sounds:
        return
    if folder.resolve() in (folder.parent.resolve(), *folder.parent.resolve().parents):
        found.left_out.append(f"{name} (a link to a folder above it)")
    elif is_earlier_mix(_names(folder)):
        found.left_out.append(f"{name} (an earlier mix: params.json lies beside it)")
    elif parents[-1].lower() in STEM_FOLDERS and layout != "folders":
        _collect(folder, parents, layout, found, files)
    elif layout == "instruments" or (layout == "auto" and is_instrument(parents[-1])):
        found.instruments.append(name)
        _collect(folder, parents, layout, found, files)
    else:
        what = f"a folder of {sounds} sound file{'s' * (sounds != 1)}"
        hint = (
            "no instrument's name; layout instruments makes stems of it"
            if layout == "auto"
            else "by layout folders"
        )
        found.left_out.append(f"{name} ({what}, {hint})")


def count_sounds(folder: Path) -> int:
    """Count the sound files below a folder by their names. Links to folders are not followed."""
    return sum(
        os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES
        for _, folders, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and name not in NO_STEMS
    )
