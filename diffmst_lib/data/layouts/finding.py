"""Where songs lie: the folders of the data sets we know, read by their names alone. Chapter: Data."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

from ...disk import printable
from ...inputs import InputError
from ..songs import FoundSong, Problem, Source
from .folders import (
    Folder,
    Found,
    _mix_rank,
    artist_title,
    found_song,
    found_stems,
    left_out,
    place_name,
    problem,
    scan,
    song_folder,
    unique,
)
from .libraries import is_cambridge, medleydb_homes, read_cambridge, read_medleydb

LAYOUTS = ("auto", "folders", "medleydb", "cambridge", "musdb18hq", "musdb18", "songs")
MUSDB_STEMS = ("drums", "bass", "other", "vocals")  # streams 1 to 4 of a .stem.mp4; stream 0 is the mixture


def find_songs(folder: str | Path, layout: str = "auto") -> Found:
    """The songs of a data set, sorted by name, and what was left out. Only names are read: no audio file is opened.

    `layout` is one of `LAYOUTS`:

    - "folders": a folder that holds audio files is a song, each file a stem. One named mix, mixture, mixdown or master
      (or <folder>_mix, ...) is its mix. A folder `stems`, `tracks`, `raw`, ... belongs to the song above it.
    - "medleydb": MedleyDB 1 and 2. The stems are the `_RAW` files, `_STEMS` where there are none. Artist, title and
      instruments come from `*_METADATA.yaml`, beside the song or in a folder `Metadata`.
    - "cambridge": unzipped `Artist_Title_Full` folders of the Cambridge-MT library. An `_Excerpt` is used where its
      full song is missing. `Title_Full_Preview.mp3`, inside or beside the folders, is the mix.
    - "musdb18hq": `train|test/Artist - Title/{mixture,drums,bass,other,vocals}.wav`. The folders give no split, since
      some artists are in both.
    - "musdb18": `train|test/Artist - Title.stem.mp4`, with five streams.
    - "songs": every file is a finished song, at any depth; in Artist/Album/Title the folder names the artist. The
      artists of MTG-Jamendo come from a table such as
      raw_30s.tsv in the folder, in its parent, or in a folder `data` of either.
    - "auto": the layout whose signs are there: `.stem.mp4` files; `X/X_RAW`, `X/X_STEMS` or `X/X_MIX`; folders with the
      five files of MUSDB18-HQ; at least half of the folders named `_Full`, `_Excerpt`, or `Artist_Title` with numbered
      files. Without such signs, MTG-Jamendo's folders 00 to 99 and files directly in `folder` are "songs" (but
      "folders" where one of them is named mix), files in folders are "folders": call a collection of albums "songs".

    Folders and songs named "Artist - Title" or "Artist_-_Title" give the artist. Hidden files and __MACOSX are skipped,
    links to folders followed. Raises InputError for a missing folder, an unknown layout, a folder without audio or
    without a song in this layout, and where "auto" cannot decide.

    >>> from diffmst_lib import data_dir
    >>> songs, problems = find_songs(data_dir() / "multitracks")
    >>> songs[0].name, songs[0].layout, sorted(songs[0].stems)[:2], problems
    ('caesium', 'folders', ['alt_hats', 'bgvox_alt'], [])
    """
    root = Path(folder)
    if layout not in LAYOUTS:
        raise InputError(f"no layout {layout!r}: there are {', '.join(LAYOUTS)}")
    if not os.path.isdir(root):
        raise InputError(f"{printable(str(root))}: no such folder")
    folders, problems = scan(root)
    if not any(place.audio for place in folders):
        reasons = "".join(f" ({problem.path}: {problem.reason})" for problem in problems[:1])
        raise InputError(f"{printable(str(root))}: no audio files in it{reasons}")
    layout = _recognize(folders) if layout == "auto" else layout
    songs, more = READERS[layout](folders)
    if not songs:
        raise InputError(
            f"{printable(str(root))}: no song in the layout {layout}; there are {', '.join(LAYOUTS)}"
        )
    taken: set[str] = set()
    for song in songs:
        song.layout, song.name = layout, unique(song.name, taken)
        taken.add(song.name)
    return sorted(songs, key=lambda song: song.name), sorted(
        [*problems, *more], key=lambda problem: problem.path
    )


def _recognize(folders: list[Folder]) -> str:
    where, holding = printable(str(folders[0].path)), [folder for folder in folders if folder.audio]
    signs = {
        "musdb18": any(_is_stem_mp4(name) for folder in holding for name in folder.audio),
        "medleydb": bool(medleydb_homes(folders)),
        "musdb18hq": any(
            {"mixture", *MUSDB_STEMS} <= {name for name, _ in folder.files()} for folder in holding
        ),
        "cambridge": 2 * sum(map(is_cambridge, holding)) >= len(holding),
    }
    found = [layout for layout, sign in signs.items() if sign]
    if len(found) > 1:
        raise InputError(
            f"{where}: looks like {' and '.join(found)}; take one folder at a time, or name the layout"
        )
    if found:
        return found[0]
    if all(re.fullmatch(r"\d\d", folder.name) for folder in holding):
        return "songs"
    if holding[0].parts:
        return "folders"
    if len(holding) > 1:
        raise InputError(
            f"{where}: audio files both beside and inside folders; name the layout: folders or songs"
        )
    return "folders" if any(_mix_rank(name, holding[0].name) for name, _ in holding[0].files()) else "songs"


def _read_folders(folders: list[Folder]) -> Found:
    groups, songs, problems = defaultdict(list), [], []
    for folder in folders:
        if folder.audio:
            groups[song_folder(folder.parts)] += folder.files()
    for parts, files in groups.items():
        song, more = found_song(parts, files, folders)
        songs.append(song)
        problems += more
    return songs, problems


def _read_songs(folders: list[Folder]) -> Found:
    artists, problems = _jamendo_artists(folders[0].path)
    songs, unknown = [], 0
    for folder in folders:
        files, more = found_stems(folder.files())
        problems += more
        for name, source in files.items():
            artist, title = artist_title(name)
            if not artist and len(folder.parts) > 1:
                artist = place_name(folder.parts[:1], folders)
            listed = artists.get(_jamendo_key(folder.name, name), "")
            unknown += not listed
            songs.append(
                FoundSong(place_name((*folder.parts, name), folders), title, "", listed or artist, mix=source)
            )
    if artists and unknown:
        reason = f"{unknown} of {len(songs)} songs are used without an artist: they are not in the tables of artists"
        problems.append(problem(folders[0].path, reason))
    return songs, problems


def _jamendo_key(folder: str, name: str) -> str:
    """ "14/214" of 14/214.mp3 and of its smaller version 14/214.low.mp3."""
    return f"{folder}/{name.removesuffix('.low')}"


def _jamendo_artists(root: Path) -> tuple[dict[str, str], list[Problem]]:
    """Artists by track from the tables of MTG-Jamendo in or beside a folder. Their fields are never quoted."""
    places = [place / data for place in (root, Path(os.path.abspath(root)).parent) for data in ("", "data")]
    artists, problems = {}, []
    for table in dict.fromkeys(table for place in places for table in sorted(place.glob("*.tsv"))):
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
                        artists[_jamendo_key(folder, name)] = row[artist]
        except OSError as error:
            problems.append(problem(table, f"cannot be read ({error.strerror})"))
    return artists, problems


def _is_stem_mp4(name: str) -> bool:
    return name.lower().endswith(".stem.mp4")


def _read_musdb18(folders: list[Folder]) -> Found:
    songs, problems = [], []
    for folder in folders:
        for file in filter(_is_stem_mp4, folder.audio):
            name, path = file[: -len(".stem.mp4")], folder.path / file
            artist, title = artist_title(name)
            stems = {stem: Source(path, stream) for stream, stem in enumerate(MUSDB_STEMS, start=1)}
            songs.append(
                FoundSong(place_name((*folder.parts, name), folders), title, "", artist, stems, Source(path))
            )
        problems += left_out(
            folder, [name for name in folder.audio if not _is_stem_mp4(name)], "no .stem.mp4"
        )
    return songs, problems


def _read_musdb18hq(folders: list[Folder]) -> Found:
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
            songs.append(
                FoundSong(place_name(folder.parts, folders), title, "", artist, stems, mix and Source(mix))
            )
    return songs, problems


READERS = {
    "folders": _read_folders,
    "medleydb": read_medleydb,
    "cambridge": read_cambridge,
    "musdb18hq": _read_musdb18hq,
    "musdb18": _read_musdb18,
    "songs": _read_songs,
}
