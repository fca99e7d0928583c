"""A folder of stems as a song. Chapters: A first mix, Data."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..disk import printable
from ..inputs import InputError, note
from ..options import SAMPLE_RATE
from .decoding import AudioFile
from .loading import read_sound
from .multitrack import Multitrack, Source
from .remarks import START, few, tell
from .roles import side_of
from .room import BYTES, check_room
from .song_folder import SongFolder, read_song_folder
from .stem_sound import SAME_S, delays, streams_in
from .timestamps import time_stamp

BESIDE = 6  # sounds as long as the song: the mix, its report, what is in between
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
            one name, for time stamps that are asked for and missing, or hours apart, and for a song that does not
            fit into memory.

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
    places = _places(found)
    names = list(dict.fromkeys(stem for stem, _ in places.values()))
    audio, files = _read_files(folder, found, places, begins, sample_rate)
    if len(files) == 1:
        files[next(iter(files))].remarks.pop(START, None)  # matters beside other stems only
    tell(
        {printable(str(found.files[name].relative_to(folder))): file.remarks for name, file in files.items()}
    )
    _tell_changes(found, files, sample_rate)
    if joined := [f"{stem} ({', '.join(found.sides[stem])})" for stem in names if stem not in files]:
        note(f"left and right of one stereo stem: {few(joined)}")
    alone = [name for name in names if name in files and files[name].channels == 1 and side_of(name)]
    if alone:
        note(f"named like one side of a stereo stem, taken for a mono stem: {few(alone)}")
    _tell_one_sided(names, audio)
    song = Multitrack(names, torch.from_numpy(audio), sample_rate, printable(folder.resolve().name))
    song.sources = {
        name: Source(
            Path(os.path.abspath(found.files[name])), round(begins[name] * sample_rate) / sample_rate
        )
        for name in names
        if name in files and not files[name].remarks and streams_in(found.files[name]) == 1
    }
    return song


@dataclass
class _File:
    """What is known of a file once it was read: its rate in Hz, its channels, its last sample in the song."""

    rate: int = 0
    channels: int = 0
    end: int = 0
    remarks: dict[str, str] = field(default_factory=dict)


def _read_files(
    folder: Path,
    found: SongFolder,
    places: dict[str, tuple[str, slice]],
    begins: dict[str, float],
    sample_rate: int,
) -> tuple[np.ndarray, dict[str, _File]]:
    """Read a few files at a time into the song (stems, 2, num_samples), so that it is in memory once."""
    rows = {stem: row for row, stem in enumerate(dict.fromkeys(stem for stem, _ in places.values()))}
    files = {name: _File() for name in found.files}
    audio = np.zeros((len(rows), 2, 0), np.float32)  # takes memory only where something is written

    def read(name: str) -> tuple[torch.Tensor, int]:
        return read_sound(found.files[name], sample_rate, files[name].remarks)

    # The largest first: likely the longest, so that the song needs to grow no more.
    by_size = sorted(files, key=lambda name: _size(found.files[name]), reverse=True)
    with ThreadPoolExecutor(READERS) as pool:  # decoders release Python's lock
        for first in range(0, len(by_size), READERS):
            some = by_size[first : first + READERS]
            sounds = {}
            for name, (sound, rate) in zip(some, pool.map(read, some), strict=True):
                if sound.shape[0] > 2:
                    raise InputError(
                        f"{found.files[name]}: {sound.shape[0]} channels; a stem is mono or stereo"
                    )
                end = round(begins[name] * sample_rate) + sound.shape[-1]
                files[name].rate, files[name].channels, files[name].end = rate, sound.shape[0], end
                sounds[name] = sound
            del sound
            longest = max(file.end for file in files.values())
            if longest > audio.shape[-1]:
                stems = (
                    f"{len(rows)} stem{'s' * (len(rows) != 1)} of {longest / sample_rate / 60:.0f} minutes"
                )
                check_room(2 * BYTES * longest * (len(rows) + BESIDE), f"{printable(str(folder))}: {stems}")
                longer = np.zeros((*audio.shape[:-1], longest), np.float32)
                for row in {rows[places[name][0]] for name in by_size[:first]}:
                    longer[row, :, : audio.shape[-1]] = audio[row]
                audio = longer
            for name in some:
                stem, channels = places[name]
                sound, end = sounds.pop(name), files[name].end
                audio[rows[stem], channels, end - sound.shape[-1] : end] = sound
                del sound
    return audio, files


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


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


def _tell_changes(found: SongFolder, files: dict[str, _File], sample_rate: int) -> None:
    called = {name: printable(path.name) for name, path in found.files.items()}
    several = {called[name]: count for name, path in found.files.items() if (count := streams_in(path)) > 1}
    if several:
        listed = few([f"{file} ({count} streams)" for file, count in several.items()])
        note(f"only the first stream of a file is a stem, the others are left out: {listed}")
    if resampled := [
        f"{called[name]} ({file.rate} Hz)" for name, file in files.items() if file.rate != sample_rate
    ]:
        note(f"resampled to {sample_rate} Hz: {few(resampled)}")
    longest = max(file.end for file in files.values())
    if short := [called[name] for name, file in files.items() if file.end < longest]:
        note(f"padded with silence to {longest / sample_rate:.2f} s: {few(short)}")


def _places(found: SongFolder) -> dict[str, tuple[str, slice]]:
    """Return the stem of each file and the channels that it fills: both, or one for a side of a pair."""
    places = {name: (name, slice(0, 2)) for name in found.files}
    for stem, sides in found.sides.items():
        if all(_is_mono(found.files[side]) for side in sides):
            places |= {side: (stem, slice(i, i + 1)) for i, side in enumerate(sides)}
    return places


def _is_mono(path: Path) -> bool:
    try:
        with AudioFile(path) as file:
            return file.channels == 1
    except (OSError, ValueError):  # which is told when it is read
        return False


def _tell_one_sided(names: list[str], audio: np.ndarray) -> None:
    one_sided = []
    for name, (left, right) in zip(names, audio, strict=True):
        if left.any() != right.any():
            one_sided.append(f"{name} ({'left' if left.any() else 'right'})")
    if one_sided:
        note(f"on one side of a stereo file, and left there: {few(one_sided)}")
