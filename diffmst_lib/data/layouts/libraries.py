"""Layouts of well-known libraries: MedleyDB, Cambridge-MT, MUSDB18, MTG-Jamendo. Chapter: Data."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from ...disk import printable, why
from ..songs import FoundSong, Problem, Source
from .folders import (
    Folder,
    SongsAndProblems,
    artist_title,
    left_out,
    name_of_song,
    problem,
    song_folder,
    song_in_folder,
    stems_by_name,
    words,
)

MUSDB_STEMS = ("drums", "bass", "other", "vocals")  # streams 1 to 4 of a .stem.mp4; stream 0 is the mixture


def medleydb_songs(folders: list[Folder]) -> list[Folder]:
    """Find the folders of songs: X with X_RAW, X_STEMS or X_MIX in it, where X is Artist_Title."""
    all_parts = {folder.parts for folder in folders}
    return [
        folder
        for folder in folders
        if {(*folder.parts, f"{folder.name}_{kind}") for kind in ("RAW", "STEMS")} & all_parts
        or any(name == f"{folder.name}_MIX" for name, _ in folder.files())
    ]


def read_medleydb(folders: list[Folder]) -> SongsAndProblems:
    """Read MedleyDB 1 and 2."""
    by_parts = {folder.parts: folder for folder in folders}
    tables = {name: folder.path / name for folder in folders for name in folder.others}
    above = Path(os.path.abspath(folders[0].path)).parent / "Metadata"
    songs, problems, used = [], [], set()
    for home in medleydb_songs(folders):
        below = [by_parts.get((*home.parts, f"{home.name}_{kind}")) for kind in ("RAW", "STEMS")]
        used |= {home.parts, *(folder.parts for folder in below if folder)}
        yaml_name, metadata = f"{home.name}_METADATA.yaml", {}
        table = tables.get(yaml_name, above / yaml_name)
        try:
            metadata = _medleydb_metadata(table) if os.path.isfile(table) else {}
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            problems.append(problem(table, f"not used: cannot be read ({reason})"))
        artist, _, title = home.name.partition("_")
        artist, title = metadata.get("artist") or words(artist), metadata.get("title") or words(title)

        recorded = next((folder.files() for folder in below if folder and folder.audio), [])
        instruments = metadata.get("instruments", {})
        stems, doubles = stems_by_name(
            (_medleydb_stem(name, home.name, instruments), path) for name, path in recorded
        )
        mix = next((Source(path) for name, path in home.files() if name == f"{home.name}_MIX"), None)
        others = [name for name in home.audio if not mix or name != mix.path.name]
        problems += doubles + left_out(home, others, "not of MedleyDB")
        if stems or mix:
            name = name_of_song(home.parts, folders)
            songs.append(FoundSong(name, str(title), "", str(artist), stems, mix))
        else:
            problems.append(problem(home.path, "no audio in its RAW and STEMS folders, and no MIX"))
    for folder in folders:
        problems += left_out(folder, [] if folder.parts in used else folder.audio, "not of MedleyDB")
    return songs, problems


def _medleydb_metadata(path: Path) -> dict[str, Any]:
    """Read artist, title, and instruments by file from a METADATA.yaml."""
    metadata = yaml.safe_load(path.read_bytes())
    if not isinstance(metadata, dict):
        raise ValueError("no keys in it")
    try:
        stems = (metadata.get("stems") or {}).values()
        files = [file for stem in stems for file in (stem, *(stem.get("raw") or {}).values())]
        instruments = {os.path.splitext(file["filename"])[0]: str(file["instrument"]) for file in files}
    except (AttributeError, KeyError, TypeError):
        raise ValueError("its stems are not those of MedleyDB") from None
    return {"artist": metadata.get("artist"), "title": metadata.get("title"), "instruments": instruments}


def _medleydb_stem(name: str, song: str, instruments: dict[str, str]) -> str:
    """Name a stem: "01_02 electric guitar" for Artist_Title_RAW_01_02."""
    number = name.removeprefix(f"{song}_RAW_").removeprefix(f"{song}_STEM_")
    return f"{number} {instruments.get(name, '')}".strip().replace("/", "-")


CAMBRIDGE_NAME = re.compile(r"(?is)(?P<song>.*?)(?P<version>(_(Full|Excerpt|Preview))*)( ?\(\d+\))?")
PREVIEW = re.compile(r"(?is)(?P<song>.+?)(?P<version>(_(Full|Excerpt))*)_Preview")


def is_cambridge(folder: Folder) -> bool:
    """Tell whether a folder lies in Artist_Title_Full or _Excerpt, or is Artist_Title with numbered files."""
    numbered = 2 * sum(bool(re.match(r"\d\d_", name)) for name in folder.audio) > len(folder.audio)
    is_artist_title = re.fullmatch(r"[A-Z0-9][^\W_]*_[A-Z0-9][^\W_]*", folder.name)
    return any(map(_version, (folder.name, *folder.parts))) or bool(numbered and is_artist_title)


def read_cambridge(folders: list[Folder]) -> SongsAndProblems:
    """Read unzipped folders of the Cambridge-MT library."""
    groups, previews, copies, problems = defaultdict(list), [], [], []
    for folder in folders:
        for name, path in folder.files():
            preview = PREVIEW.fullmatch(name)
            if preview:
                previews.append((preview, path))
            else:
                groups[_cambridge_song_folder(folder.parts)].append((name, path))
    strays = groups.pop((), []) if len(groups) > 1 else []
    problems += left_out(folders[0], [path.name for _, path in strays], "beside the folders of the songs")
    for home, files in groups.items():
        song, doubles = song_in_folder(home, files, folders)
        name = CAMBRIDGE_NAME.fullmatch(home[-1] if home else folders[0].name)
        song.artist, song.title = _cambridge_artist_title(name["song"])
        copies.append((_is_excerpt(name["version"]), -len(song.stems), song.name, song))
        problems += doubles

    # By their letters. Full songs come first, then those with the most stems.
    songs: dict[str, tuple[FoundSong, bool]] = {}
    owners = defaultdict(list)  # of previews
    for excerpt, _, _, song in sorted(copies, key=lambda copy: copy[:3]):
        letters = _plain_letters(song.artist + song.title)
        first, first_excerpt = songs.setdefault(letters, (song, excerpt))
        if first is song:
            for key in {letters, _plain_letters(song.title)}:
                owners[key, excerpt].append(song)
        elif not song.stems and not first.mix and excerpt == first_excerpt:
            first.mix = song.mix  # Artist_Title/mix.wav above the full song
        else:
            relation = "an excerpt of" if excerpt and not first_excerpt else "the same song as"
            problems.append(problem(folders[0].path / song.name, f"{relation} {first.name}"))
    # Previews inside a song's folder come before those beside it.
    for preview, path in sorted(previews, key=lambda item: (-len(item[1].parts), item[1])):
        of_preview = owners[_plain_letters(preview["song"]), _is_excerpt(preview["version"])]
        if len(of_preview) != 1:
            owner = "several songs" if of_preview else "no song"
            problems.append(problem(path, f"the mix of {owner} here"))
        elif of_preview[0].mix:
            first_mix = printable(of_preview[0].mix.path.name)
            problems.append(problem(path, f"a second mix beside {first_mix}"))
        else:
            of_preview[0].mix = Source(path)
    return [song for song, _ in songs.values()], problems


def _version(name: str) -> str:
    return CAMBRIDGE_NAME.fullmatch(name)["version"]


def _is_excerpt(version: str) -> bool:
    return bool(version) and "full" not in version.lower()


def _plain_letters(name: str) -> str:
    """Reduce a name to what its spellings here share. Unlike `names.letters`, it keeps accents and guests."""
    return re.sub(r"[\W_]+", "", name).lower()


def _cambridge_song_folder(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folder of the song of a folder. Some archives repeat it, or have folders in it."""
    parts = tuple(part for i, part in enumerate(parts) if i == 0 or part != parts[i - 1])
    versions = [i for i, part in enumerate(parts) if _version(part)]
    return parts[: versions[-1] + 1] if versions else song_folder(parts)


def _cambridge_artist_title(name: str) -> tuple[str, str]:
    artist, _, title = name.partition("_")
    if not title or "_-_" in name or " - " in name:
        return artist_title(name)
    return words(artist), " ".join(map(words, title.split("_")))


def is_musdb18(folder: Folder) -> bool:
    """Tell whether a folder holds files of five streams."""
    return any(map(_is_stem_mp4, folder.audio))


def _is_stem_mp4(name: str) -> bool:
    return name.lower().endswith(".stem.mp4")


def read_musdb18(folders: list[Folder]) -> SongsAndProblems:
    """Read MUSDB18: one file of five streams per song."""
    songs, problems = [], []
    for folder in folders:
        for file in filter(_is_stem_mp4, folder.audio):
            name, path = file[: -len(".stem.mp4")], folder.path / file
            artist, title = artist_title(name)
            stems = {stem: Source(path, stream) for stream, stem in enumerate(MUSDB_STEMS, start=1)}
            name = name_of_song((*folder.parts, name), folders)
            songs.append(FoundSong(name, title, "", artist, stems, Source(path)))
        others = [name for name in folder.audio if not _is_stem_mp4(name)]
        problems += left_out(folder, others, "no .stem.mp4")
    return songs, problems


def is_musdb18hq(folder: Folder) -> bool:
    """Tell whether a folder holds the five files of a song."""
    return {"mixture", *MUSDB_STEMS} <= {name for name, _ in folder.files()}


def read_musdb18hq(folders: list[Folder]) -> SongsAndProblems:
    """Read MUSDB18-HQ: one folder of five WAV files per song."""
    songs, problems = [], []
    for folder in folders:
        known = {name: path for name, path in folder.files() if name in ("mixture", *MUSDB_STEMS)}
        others = [file for file in folder.audio if folder.path / file not in known.values()]
        problems += left_out(folder, others, "not of MUSDB18-HQ")
        missing = [name for name in ("mixture", *MUSDB_STEMS) if name not in known]
        if known and missing:
            problems.append(problem(folder.path, f"used without {', '.join(missing)}: not there"))
        if known:
            mix = known.pop("mixture", None)
            artist, title = artist_title(folder.name)
            stems = {name: Source(path) for name, path in known.items()}
            name = name_of_song(folder.parts, folders)
            songs.append(FoundSong(name, title, "", artist, stems, mix and Source(mix)))
    return songs, problems


def jamendo_key(folder: str, name: str) -> str:
    """Return MTG-Jamendo's key of a track: "14/214" for 14/214.mp3 and its smaller version 14/214.low.mp3."""
    return f"{folder}/{name.removesuffix('.low')}"


def jamendo_artists(root: Path) -> tuple[dict[str, str], list[Problem]]:
    """Read the artists of MTG-Jamendo from its tables in a folder or beside it.

    The fields of these tables are not quoted.

    Args:
        root: Folder of the songs.

    Returns:
        Artists by `jamendo_key`, and problems. Without a table there are no artists.
    """
    above = Path(os.path.abspath(root)).parent
    folders = [folder / data for folder in (root, above) for data in ("", "data")]
    artists, problems = {}, []
    for table in dict.fromkeys(table for folder in folders for table in sorted(folder.glob("*.tsv"))):
        try:
            with open(table, encoding="utf-8", errors="replace") as lines:
                columns = next(lines, "").rstrip("\n").split("\t")
                if not {"TRACK_ID", "ARTIST_ID", "PATH"} <= set(columns):
                    continue
                artist, path = columns.index("ARTIST_ID"), columns.index("PATH")
                for line in lines:
                    row = line.rstrip("\n").split("\t")
                    if len(row) > max(artist, path):
                        folder, name = os.path.split(os.path.splitext(row[path])[0])
                        artists[jamendo_key(folder, name)] = row[artist]
        except OSError as error:
            problems.append(problem(table, f"cannot be read ({why(error)})"))
    return artists, problems
