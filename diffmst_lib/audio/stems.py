"""A folder of stems as a song. Chapters: A first mix, Data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import torch

from ..disk import printable
from ..inputs import InputError, note
from ..options import SAMPLE_RATE
from .loading import read_sound
from .multitrack import Multitrack
from .remarks import START, few, tell
from .roles import side_of
from .song_folder import SongFolder, read_song_folder
from .stem_sound import SAME_S, delays, streams_in
from .timestamps import time_stamp

READERS = 4  # files that are read at the same time


def load_multitrack(
    folder: str | Path, *, sample_rate: int = SAMPLE_RATE, layout: str = "auto", timestamps: bool = False
) -> Multitrack:
    """Read a folder of stems, one audio file each, mono or stereo.

    Files are taken in the order of their names. A mono file becomes a stem of two equal channels; two mono
    files such as "Keys.L" and "Keys.R" (also _L, -L, .left) are the two channels of one stem, "Keys".
    Subfolders are instruments where their names say so, such as "Drums" or "01 Lead Vocals", and give their
    name to their stems: "Drums_kick". Folders such as "stems" hold stems of the song.

    Shorter stems are padded at the end, other sample rates are resampled. A finished mix beside stems, what
    is not audio, hidden sounds, other folders, and all streams but the first of a file are left out. Each of
    these is told in an `InputNote`; texts, pictures and the like are left out without a word.

    Args:
        folder: The folder of one song.
        sample_rate: The rate wanted, in Hz.
        layout: "auto"; "instruments": all subfolders are instruments; "folders": none is.
        timestamps: Whether stems begin where the time stamps of their files say (Broadcast WAV), and not all
            of them at 0.

    Returns:
        The song, named like its folder.

    Raises:
        InputError: For a missing or empty folder, for an audio file that cannot be used, for two files of
            one name, and for time stamps that are asked for and missing, or hours apart.

    Example:
        >>> import diffmst_lib as dm
        >>> load_multitrack(dm.data_dir() / "multitracks" / "caesium").names[:2]
        ['alt_hats', 'bgvox_alt']
    """
    folder = Path(folder)
    found = read_song_folder(folder, layout)
    if found.instruments:
        note(f"folders taken for instruments, not for songs: {few(found.instruments)}")
    if found.left_out:
        note(f"left out: {few(found.left_out)}")
    begins = _begins(folder, found, timestamps)
    remarks: dict[str, dict[str, str]] = {name: {} for name in found.files}
    with ThreadPoolExecutor(READERS) as pool:  # decoders release Python's lock
        read = list(pool.map(read_sound, found.files.values(), repeat(sample_rate), remarks.values()))
    if len(remarks) == 1:
        remarks[next(iter(remarks))].pop(START, None)  # matters beside other stems only
    tell({printable(str(path.relative_to(folder))): remarks[name] for name, path in found.files.items()})
    sounds = {name: audio for name, (audio, _) in zip(found.files, read, strict=True)}
    rates = {name: rate for name, (_, rate) in zip(found.files, read, strict=True)}
    del read
    for name, audio in sounds.items():
        if audio.shape[0] > 2:
            raise InputError(f"{found.files[name]}: {audio.shape[0]} channels; a stem is mono or stereo")
    first = {name: round(begin * sample_rate) for name, begin in begins.items()}
    ends = {name: first[name] + audio.shape[-1] for name, audio in sounds.items()}
    longest = max(ends.values())
    _tell_changes(found, rates, ends, sample_rate)
    places = _places(found, {name: audio.shape[0] for name, audio in sounds.items()})

    # From numpy, whose zeros take memory only where something is written: as a row is filled, its file is
    # freed, so that a long song is in memory once and not twice.
    names = list(dict.fromkeys(stem for stem, _ in places.values()))
    audio = np.zeros((len(names), 2, longest), np.float32)
    for name in found.files:
        stem, channels = places[name]
        audio[names.index(stem), channels, first[name] : ends[name]] = sounds.pop(name)
    _tell_one_sided(names, audio)
    return Multitrack(names, torch.from_numpy(audio), sample_rate, printable(folder.resolve().name))


def _begins(folder: Path, found: SongFolder, timestamps: bool) -> dict[str, float]:
    """Return where each file begins, in seconds: at 0, or where its time stamp says."""
    stamps = {name: time_stamp(path) for name, path in found.files.items()}
    known = [stamp for stamp in stamps.values() if stamp is not None]
    if not timestamps:
        apart = max(known, default=0.0) - min(known, default=0.0)
        if apart > SAME_S:
            note(
                f"time stamps say that stems begin up to {apart:.3f} s after each other; all are put at 0, "
                "timestamps places them"
            )
        return dict.fromkeys(stamps, 0.0)
    if not known:
        raise InputError(f"{printable(str(folder))}: no file has a time stamp")
    if missing := [name for name, stamp in stamps.items() if stamp is None]:
        note(f"without a time stamp, put at the beginning: {few(missing)}")
    try:
        return dict(zip(stamps, delays(list(stamps.values())), strict=True))
    except ValueError as error:
        raise InputError(f"{printable(str(folder))}: {error}") from None


def _tell_changes(found: SongFolder, rates: dict[str, int], ends: dict[str, int], sample_rate: int) -> None:
    called = {name: printable(path.name) for name, path in found.files.items()}
    several = {called[name]: count for name, path in found.files.items() if (count := streams_in(path)) > 1}
    if several:
        files = few([f"{file} ({count} streams)" for file, count in several.items()])
        note(f"only the first stream of a file is a stem, the others are left out: {files}")
    if resampled := [f"{called[name]} ({rate} Hz)" for name, rate in rates.items() if rate != sample_rate]:
        note(f"resampled to {sample_rate} Hz: {few(resampled)}")
    longest = max(ends.values())
    if short := [called[name] for name, end in ends.items() if end < longest]:
        note(f"padded with silence to {longest / sample_rate:.2f} s: {few(short)}")


def _places(found: SongFolder, channels: dict[str, int]) -> dict[str, tuple[str, slice]]:
    """Return the stem of each file and the channels that it fills: both, or one for a side of a pair."""
    places = {name: (name, slice(0, 2)) for name in found.files}
    joined = []
    for stem, (left, right) in found.sides.items():
        if channels[left] == channels[right] == 1:
            joined.append(f"{stem} ({left}, {right})")
            places[left], places[right] = (stem, slice(0, 1)), (stem, slice(1, 2))
    if joined:
        note(f"left and right of one stereo stem: {few(joined)}")
    alone = [name for name in places if places[name][0] == name and channels[name] == 1 and side_of(name)]
    if alone:
        note(f"named like one side of a stereo stem, taken for a mono stem: {few(alone)}")
    return places


def _tell_one_sided(names: list[str], audio: np.ndarray) -> None:
    one_sided = []
    for name, (left, right) in zip(names, audio, strict=True):
        if left.any() != right.any():
            one_sided.append(f"{name} ({'left' if left.any() else 'right'})")
    if one_sided:
        note(f"on one side of a stereo file, and left there: {few(one_sided)}")
