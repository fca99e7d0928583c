"""Search for songs: recognize the layout of a folder and read its names. Chapter: Data."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Container, Iterable
from pathlib import Path

from ...audio.remarks import few
from ...audio.song_folder import STEM_FOLDERS, mix_rank, stem_name
from ...disk import printable
from ...inputs import InputError, note
from ...options import LAYOUTS
from ..songs import FoundSong
from .folders import (
    Folder,
    SongsAndProblems,
    artist_title,
    left_out,
    name_of_song,
    problem,
    scan,
    song_in_folder,
    stems_by_name,
    unique,
)
from .instruments import Parts, Tree, home_of, instruments_by_hand, recognize_instruments
from .libraries import (
    is_cambridge,
    is_musdb18,
    is_musdb18hq,
    jamendo_artists,
    jamendo_key,
    medleydb_songs,
    read_cambridge,
    read_medleydb,
    read_musdb18,
    read_musdb18hq,
)


def find_songs(folder: str | Path, layout: str = "auto") -> SongsAndProblems:
    """Find the songs of a data set. Only names are read, no audio file is opened.

    The layouts:

    - "folders": a folder that holds audio files is a song, and each file is a stem. A file named mix,
      mixture, mixdown or master (or <folder>_mix, ...) is its mix. A folder `stems`, `tracks`, `raw`, ...
      belongs to the song above it. Keys.L and Keys.R (also _L, -L, .left) are one stereo stem, Keys.
    - "instruments": the same, but the folders below a song's are its instruments: Drums/kick.wav is its stem
      Drums_kick.
    - "medleydb": MedleyDB 1 and 2. The stems are the `_RAW` files, or the `_STEMS` files where there are no
      `_RAW` files. Artist, title and instruments come from `*_METADATA.yaml`, beside the song or in a folder
      `Metadata`.
    - "cambridge": unzipped `Artist_Title_Full` folders of the Cambridge-MT library. An `_Excerpt` is used
      where its full song is missing. `Title_Full_Preview.mp3`, inside or beside the folders, is the mix.
    - "musdb18hq": `train|test/Artist - Title/{mixture,drums,bass,other,vocals}.wav`. The folders give no
      split, since some artists are in both.
    - "musdb18": `train|test/Artist - Title.stem.mp4`, with five streams.
    - "songs": every file is a finished song, at any depth. In Artist/Album/Title, the folder names the
      artist. The artists of MTG-Jamendo come from a table such as raw_30s.tsv in the folder, in its parent,
      or in a folder `data` of either.
    - "auto": the layout is recognized by its names: `.stem.mp4` files; `X/X_RAW`, `X/X_STEMS` or `X/X_MIX`;
      folders with the five files of MUSDB18-HQ; at least half of the folders named `_Full`, `_Excerpt`, or
      `Artist_Title` with numbered files. Otherwise, MTG-Jamendo's folders 00 to 99 and files directly in
      `folder` are "songs" (but "folders" where one of them is named mix), and files in folders are "folders".
      There, folders that are named like instruments, such as "Drums" or "01 Lead Vocals", are instruments of
      the song above them. For a collection of albums, give the layout "songs".

    Folders and songs named "Artist - Title" or "Artist_-_Title" give the artist. Hidden files and __MACOSX
    are skipped, mixes that this library made (params.json beside mix.wav) are left out. Links to folders are
    followed. Where files or folders could mean something else, an `InputNote` says what they were taken for.

    Args:
        folder: Folder of the data set.
        layout: One of `LAYOUTS`.

    Returns:
        Songs, sorted by name, and the files and folders that were left out.

    Raises:
        InputError: For a missing folder, an unknown layout, a folder without audio or without a song in this
            layout, and where "auto" cannot decide.

    Example:
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
    if not any(folder.audio for folder in folders):
        reasons = "".join(f" ({problem.path}: {problem.reason})" for problem in problems[:1])
        raise InputError(f"{printable(str(root))}: no audio files in it{reasons}")
    by_hand, layout = layout != "auto", _recognize(folders) if layout == "auto" else layout
    readers = READERS if by_hand else READERS | {"folders": _read_recognized, "songs": _read_guessed_songs}
    songs, more = readers[layout](folders)
    if not songs:
        raise InputError(
            f"{printable(str(root))}: no song in the layout {layout}; there are {', '.join(LAYOUTS)}"
        )
    taken: set[str] = set()
    renamed = []
    for song in songs:
        name, song.layout = song.name, song.layout or layout
        song.name = unique(name, taken)
        renamed += [song.name] * (song.name != name)
        taken.add(song.name)
    if renamed:
        note(f"songs of the same name, renamed: {few(renamed)}")
    songs.sort(key=lambda song: song.name)
    return songs, sorted([*problems, *more], key=lambda problem: problem.path)


def _recognize(folders: list[Folder]) -> str:
    """Recognize the layout by its names."""
    root, with_audio = printable(str(folders[0].path)), [folder for folder in folders if folder.audio]
    signs = {
        "musdb18": any(map(is_musdb18, with_audio)),
        "medleydb": bool(medleydb_songs(folders)),
        "musdb18hq": any(map(is_musdb18hq, with_audio)),
        "cambridge": 2 * sum(map(is_cambridge, with_audio)) >= len(with_audio),
    }
    layouts = [layout for layout, sign in signs.items() if sign]
    if len(layouts) > 1:
        raise InputError(
            f"{root}: looks like {' and '.join(layouts)}; take one folder at a time, or name the layout "
            "(`diffmst data index --layout`)"
        )
    if layouts:
        return layouts[0]
    if all(re.fullmatch(r"\d\d", folder.name) for folder in with_audio):
        return "songs"
    if with_audio[0].parts or Tree(folders).is_song_of_instruments(()):
        return "folders"
    if len(with_audio) > 1:
        raise InputError(
            f"{root}: audio files both beside and inside folders; "
            "name the layout (`diffmst data index --layout`): folders, instruments or songs"
        )
    (folder,) = with_audio
    return "folders" if any(mix_rank(name, folder.name) for name, _ in folder.files()) else "songs"


def _read_folders(folders: list[Folder], instruments: Container[Parts] = ()) -> SongsAndProblems:
    """Read a data set in which each folder is a song, but for the folders of instruments in it."""
    groups, songs, problems, with_instruments = defaultdict(list), [], [], set()
    for folder in folders:
        if folder.audio:
            home = home_of(folder.parts, instruments)
            below = folder.parts[len(home) :]
            groups[home] += [(stem_name(below, name), path) for name, path in folder.files()]
            if folder.parts in instruments and folder.parts[-1].lower() not in STEM_FOLDERS:
                with_instruments.add(home)
    for parts, files in groups.items():
        song, doubles = song_in_folder(parts, files, folders)
        song.layout = "instruments" if parts in with_instruments else ""
        songs.append(song)
        problems += doubles
    return songs, problems


def _read_instruments(folders: list[Folder]) -> SongsAndProblems:
    """Read a data set in which the folders below a song's are its instruments, whatever their names."""
    return _read_folders(folders, instruments_by_hand(folders))


def _read_recognized(folders: list[Folder]) -> SongsAndProblems:
    """Read a data set of folders, in which those named like instruments are instruments."""
    instruments, others = recognize_instruments(folders)
    songs, problems = _read_folders([f for f in folders if f.parts not in others], instruments)
    for folder in folders:
        reason = "in or beside folders of instruments, but not named like one"
        problems += left_out(folder, folder.audio if folder.parts in others else [], reason)
    if named := {parts for parts in instruments if parts[-1].lower() not in STEM_FOLDERS}:
        note(
            f"folders taken for instruments of the song above them: {few(_printed(named))}; "
            "layout folders makes songs of them (`diffmst data index --layout folders`)"
        )
    homes = {home_of(folder.parts, instruments) for folder in folders if folder.audio} - others
    inside = {parts for parts in homes if any(parts[:end] in homes for end in range(len(parts)))}
    if inside:
        note(
            f"folders inside a song's folder taken for songs of their own: {few(_printed(inside))}; "
            "layout instruments makes stems of them (`diffmst data index --layout instruments`)"
        )
    return songs, problems


def _printed(folders: Iterable[Parts]) -> list[str]:
    return [printable("/".join(parts)) for parts in sorted(folders)]


def _read_guessed_songs(folders: list[Folder]) -> SongsAndProblems:
    """Read a flat folder, whose files may as well be the stems of one song."""
    songs, problems = _read_songs(folders)
    if len(folders[0].audio) > 1:
        note(
            f"{printable(str(folders[0].path))}: {len(songs)} files taken for finished songs; "
            "layout folders takes them for the stems of one (`diffmst data index --layout folders`)"
        )
    return songs, problems


def _read_songs(folders: list[Folder]) -> SongsAndProblems:
    """Read a data set in which each file is a finished song."""
    artists, problems = jamendo_artists(folders[0].path)
    songs, unlisted = [], 0
    for folder in folders:
        files, doubles = stems_by_name(folder.files())
        problems += doubles
        for file, source in files.items():
            artist, title = artist_title(file)
            if not artist and len(folder.parts) > 1:
                artist = name_of_song(folder.parts[:1], folders)
            listed = artists.get(jamendo_key(folder.name, file), "")
            unlisted += not listed
            name = name_of_song((*folder.parts, file), folders)
            songs.append(FoundSong(name, title, "", listed or artist, mix=source))
    if artists and unlisted:
        count = f"{unlisted} of {len(songs)} songs"
        reason = f"{count} are used without an artist: they are not in the tables of artists"
        problems.append(problem(folders[0].path, reason))
    return songs, problems


READERS = {
    "folders": _read_folders,
    "instruments": _read_instruments,
    "medleydb": read_medleydb,
    "cambridge": read_cambridge,
    "musdb18hq": read_musdb18hq,
    "musdb18": read_musdb18,
    "songs": _read_songs,
}
