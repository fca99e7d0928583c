"""A decoded cache: WAV files at one sample rate, of which any part is read quickly. Chapter: Data."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import wave
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ...disk import why, write_whole
from ...inputs import InputError
from ...options import SAMPLE_RATE
from ..index import SongIndex
from ..layouts.folders import CACHE_MARK
from ..songs import Problem, Song, Source, Track
from ..threads import thread_pool

OVERSHOOT = 3.0  # times its peak that a sound may reach when it is resampled: noise of +-1 reaches 2.5


def needs_cache(track: Track, sample_rate: int = SAMPLE_RATE) -> bool:
    """Tell whether a file is read faster from a cache.

    Args:
        track: Track of an index.
        sample_rate: Sample rate of the cache in Hz.

    Returns:
        True for compressed files, streams of videos, two files of one stem, files that begin later, and files
        with another sample rate.
    """
    is_pcm = track.source.path.suffix.lower() in (".wav", ".wave", ".aif", ".aiff")
    is_joined = track.source.right is not None or track.source.delay_s > 0
    return not is_pcm or is_joined or track.sample_rate != sample_rate


def cache_size(index: SongIndex, sample_rate: int = SAMPLE_RATE) -> int:
    """Compute the size of a complete cache.

    Args:
        index: Index of the songs.
        sample_rate: Sample rate of the cache in Hz.

    Returns:
        Size of all files that `build_cache` would write, in bytes.
    """
    return sum(
        _bytes(track, sample_rate)
        for song in index.songs
        for track in song.tracks
        if needs_cache(track, sample_rate)
    )


def build_cache(
    index: SongIndex,
    output: str | Path,
    *,
    sample_rate: int = SAMPLE_RATE,
    workers: int | None = None,
    progress: bool = False,
) -> SongIndex:
    """Decode all files of an index into a folder with an `index.json` of its own.

    The files are 16-bit WAV, each scaled by its peak; `Track.gain` undoes the scaling. WAV and AIFF files at
    this sample rate stay where they are. Stereo files with equal channels become mono.

    Files are written whole or not at all, so an interrupted run can be continued. A source that has changed
    is decoded again. Files that can no longer be decoded are listed in `problems` of the new index.

    Args:
        index: Index of the songs.
        output: Folder of the cache.
        sample_rate: Sample rate of the cache in Hz.
        workers: Number of threads that decode. Default: the number of cores.
        progress: Whether to show a progress bar.

    Returns:
        Index of the cache.

    Raises:
        InputError: When the disk has too little space (checked before anything is written), when nothing can
            be written, and when no song is left.
    """
    output, problems = Path(output), []
    files: dict[int, Path | None] = {}  # by the id of a track; None where its source cannot be read
    _refuse_own_sources(output, index)
    for song in index.songs:
        for track in song.tracks:
            try:
                if needs_cache(track, sample_rate):
                    files[id(track)] = _cache_file(output, song, track, sample_rate)
            except OSError as error:
                problems.append(Problem(str(track.source.path), why(error)))
                files[id(track)] = None
    tracks = [track for song in index.songs for track in song.tracks if files.get(id(track))]
    try:
        output.mkdir(parents=True, exist_ok=True)
        missing = [track for track in tracks if not files[id(track)].exists()]
        size, free = sum(_bytes(track, sample_rate) for track in missing), shutil.disk_usage(output).free
        if size > free:
            raise InputError(f"{output}: {size / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
        (output / CACHE_MARK).touch()
        problems += _decode_all(missing, files, sample_rate, workers, progress)
    except OSError as error:
        raise InputError(f"{output}: {why(error)}; what is decoded stays, the same call goes on") from None
    songs = []
    for song in index.songs:
        stems = [_cached(track, files, sample_rate) for track in song.stems]
        mix = song.mix and _cached(song.mix, files, sample_rate)
        songs.append(replace(song, stems=[stem for stem in stems if stem], mix=mix))
    songs = [song for song in songs if song.tracks]
    if not songs:
        reason = f"{problems[0].path}: {problems[0].reason}" if problems else "the index has none"
        raise InputError(f"{output}: no song is left ({reason})")
    cached = SongIndex(songs, [*index.problems, *problems])
    cached.save(output / "index.json")
    return cached


def _decode_all(
    tracks: list[Track], files: dict[int, Path | None], sample_rate: int, workers: int | None, progress: bool
) -> list[Problem]:
    problems = []
    with thread_pool(workers) as pool:
        jobs = {pool.submit(_decode, track, files[id(track)], sample_rate): track for track in tracks}
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="file", disable=not progress):
            try:
                job.result()
            except ValueError as error:
                problems.append(Problem(str(jobs[job].source.path), str(error)))
    return problems


def _decode(track: Track, path: Path, sample_rate: int) -> None:
    """Decode one file, block by block. Python's own writer reports a full disk."""
    channels = 1 if track.mono else 2
    way_out = ": it has changed, index it again"
    if sample_rate != SAMPLE_RATE:
        way_out += f"; or peaks that only a cache at {SAMPLE_RATE} Hz holds"

    def write(part: Path) -> None:
        with source, open(part, "wb") as raw, wave.open(raw, "wb") as wav:
            wav.setparams((channels, 2, sample_rate, 0, "NONE", ""))
            for block in source.resampled(sample_rate):  # (channels of the file, num_samples)
                block = block.mean(axis=0, keepdims=True) if channels == 1 else block
                samples = (block * (track.gain / _full_scale(track, sample_rate) * 32767)).round()
                if np.abs(samples).max(initial=0) > 32767:
                    raise ValueError(f"{_headroom(sample_rate)} times louder than in the index{way_out}")
                wav.writeframes(np.ascontiguousarray(samples.T, "<i2").tobytes())

    try:
        source = track.source.open()
    except OSError as error:
        raise ValueError(why(error)) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, write)


def _headroom(sample_rate: int) -> float:
    """Return how far full scale is above the peak of the index, which is measured at 44.1 kHz."""
    return 1.1 if sample_rate == SAMPLE_RATE else OVERSHOOT


def _full_scale(track: Track, sample_rate: int) -> float:
    """Return the level that becomes full scale: the peak, with headroom for resampling."""
    return max(_headroom(sample_rate) * track.peak, 1e-6)


def _cached(track: Track, files: dict[int, Path | None], sample_rate: int) -> Track | None:
    """Return the track as it is in the cache, or None where it could not be decoded."""
    if id(track) not in files:
        return track
    path = files[id(track)]
    if path is None or not path.exists():
        return None
    channels = 1 if track.mono else 2
    num_samples = (path.stat().st_size - 44) // (2 * channels)
    return replace(
        track,
        source=Source(path),
        sample_rate=sample_rate,
        num_samples=num_samples,
        channels=channels,
        gain=_full_scale(track, sample_rate),
    )


def _bytes(track: Track, sample_rate: int) -> int:
    return 2 * (1 if track.mono else 2) * round(track.duration_s * sample_rate)


def _cache_file(output: Path, song: Song, track: Track, sample_rate: int) -> Path:
    """Return a path that changes with the source and the sample rate."""
    path, status = os.path.abspath(track.source.path), track.source.path.stat()
    facts: tuple[object, ...] = (path, track.source.stream, status.st_size, status.st_mtime_ns, sample_rate)
    if sample_rate != SAMPLE_RATE:  # a file with another headroom is another file
        facts += (OVERSHOOT,)
    if track.source.right:
        right = track.source.right.stat()
        facts += (os.path.abspath(track.source.right), right.st_size, right.st_mtime_ns)
    if track.source.delay_s:
        facts += (track.source.delay_s,)
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
    return output / _plain(song.name) / f"{_plain(track.name)}-{digest}.wav"


def _refuse_own_sources(output: Path, index: SongIndex) -> None:
    folder = os.path.realpath(output)
    sources = (path for song in index.songs for track in song.tracks for path in track.source.paths)
    inside = [path for path in sources if Path(os.path.realpath(path)).is_relative_to(folder)]
    if inside:
        raise InputError(
            f"{output}: holds songs of this index ({inside[0].name}); choose another folder for the cache"
        )


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:60] or "song"
