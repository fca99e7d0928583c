"""WebDataset shards: pieces of songs in tar files, for streaming on a cluster. Chapter: Data."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from tqdm.auto import tqdm

from ...disk import why, write_whole
from ...inputs import InputError
from ...options import KINDS
from ..index import SongIndex
from ..sampling import Sampling
from ..segments import Windows, read_segment
from ..song_json import song_to_json
from ..songs import Problem, Song, Source, Track
from ..threads import in_order, thread_pool

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
VORBIS_LEVEL = 0.2  # about 220 kbit/s, a third of FLAC; the audio features hardly change
CHUNK = 2**16  # samples that an encoder gets at a time: libvorbis crashes on millions (xiph/vorbis#99)


def write_shards(
    index: SongIndex,
    output: str | Path,
    sampling: Sampling,
    *,
    split: str,
    kind: str,
    piece_seconds: int = 30,
    pieces_per_song: int | None = None,
    shard_bytes: float = 1e9,
    workers: int | None = None,
    progress: bool = False,
) -> Path:
    """Cut the songs of a split into pieces and pack them into shards: train-multitracks-000000.tar and so on.

    A sample is a piece: `000123.json` describes it as an index does, with license and attribution. Its
    sounding stems are `000123.00.flac` and so on, in 16 bits and scaled by their peak; `Track.gain` undoes
    the scaling. A reference is `000123.mix.ogg` in Vorbis. All are at `sampling.sample_rate`.

    Pieces in which no segment of `sampling` fits are left out. The others are shuffled once, so that each
    shard holds many songs.

    Args:
        index: Index of the songs.
        output: Folder of the shards.
        sampling: Settings with which segments will be drawn from the shards.
        split: "train", "validation" or "test".
        kind: "multitracks" or "references".
        piece_seconds: Length of a piece in whole seconds, at least that of a segment.
        pieces_per_song: Maximum of pieces per song, evenly spread; None: all pieces.
        shard_bytes: Size of a shard in bytes. A shard ends with the piece that reaches it.
        workers: Number of threads that decode and encode. Default: the number of cores.
        progress: Whether to show a progress bar.

    Returns:
        Path of the summary, train-multitracks.json in `output`: shards, samples, seconds, bytes, licenses,
        and what could not be read. The summary is written last. Shards without one come from an interrupted
        call, and the next call replaces them.

    Raises:
        InputError: When no piece is left, nothing can be written, or the shards are already finished.
        ValueError: For an unknown kind or split, and for lengths and numbers out of range.

    Example:
        >>> import diffmst_lib as dm, tempfile
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_shards(index, folder, Sampling(), split="train", kind="references")
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['train-references-000000.tar', 'train-references.json']
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if piece_seconds % 1 or piece_seconds < sampling.seconds:
        raise ValueError(
            f"piece_seconds must be whole and at least {sampling.seconds:g}, not {piece_seconds:g}"
        )
    if pieces_per_song is not None and pieces_per_song < 1:
        raise ValueError(f"pieces_per_song must be at least 1, not {pieces_per_song}")
    output, workers, piece_seconds = Path(output), workers or os.cpu_count() or 1, int(piece_seconds)
    songs = index.multitracks(split) if kind == "multitracks" else index.references(split)
    songs = [replace(song, mix=None) if kind == "multitracks" else replace(song, stems=[]) for song in songs]
    pieces = [
        (song, start_s)
        for song in songs
        for start_s in _starts(song, sampling, piece_seconds, pieces_per_song)
    ]
    if not pieces:
        raise InputError(f"none of {len(songs)} {kind} for {split} has {sampling.seconds:g} s to learn from")
    pieces = [pieces[i] for i in np.random.default_rng(0).permutation(len(pieces))]
    name = f"{split}-{kind}"
    summary = output / f"{name}.json"
    if summary.exists():
        raise InputError(
            f"{summary}: these shards are finished; remove this file to write them again, or name another folder"
        )
    contents = {
        "version": VERSION,
        "split": split,
        "kind": kind,
        "sample_rate": sampling.sample_rate,
        "samples": 0,
        "seconds": 0.0,
        "bytes": 0,
        "licenses": Counter(),
        "shards": [],
        "problems": [],
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        for old in [*output.glob(f"{name}-*.tar"), *output.glob(f".{name}-*.tar.*")]:
            old.unlink()
        with thread_pool(workers) as pool:
            cut = ((number, _cut(*piece, piece_seconds, sampling)) for number, piece in enumerate(pieces))
            packed = in_order(pool, _pack, cut, ahead=2 * workers)
            samples = _counted(tqdm(packed, total=len(pieces), unit="piece", disable=not progress), contents)
            for first in samples:
                shard = output / f"{name}-{len(contents['shards']):06d}.tar"
                of_shard = itertools.chain([first], samples)
                write_whole(shard, partial(_write_shard, samples=of_shard, shard_bytes=shard_bytes))
                contents["shards"].append(shard.name)
                contents["bytes"] += shard.stat().st_size
        if not contents["shards"]:
            first = ": ".join(contents["problems"][0])
            raise InputError(f"{output}: none of {len(pieces)} pieces could be read ({first})")
        text = json.dumps(contents, indent=1) + "\n"
        write_whole(summary, lambda part: part.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{output}: {why(error)}; the shards are not complete") from None
    return summary


def _starts(song: Song, sampling: Sampling, piece_seconds: int, pieces_per_song: int | None) -> list[int]:
    """List the starts of the pieces of a song in which a segment fits."""
    starts = [
        start_s
        for start_s in range(0, math.ceil(song.duration_s), piece_seconds)
        if piece_windows(_cut(song, start_s, piece_seconds, sampling), sampling)
    ]
    count = min(len(starts), pieces_per_song or len(starts))
    return [starts[int((i + 0.5) * len(starts) / count)] for i in range(count)]


def piece_windows(piece: Song, sampling: Sampling) -> Windows | None:
    """Find the windows of a piece in which segments may lie; None where none fits."""
    if not piece.tracks:
        return None
    windows = sampling.windows(piece, min_tracks=sampling.min_tracks if piece.stems else 0)
    return windows if len(windows.starts) else None


def _cut(song: Song, start_s: int, piece_seconds: int, sampling: Sampling) -> Song:
    """Make a piece as a song of its own, with the files of the whole song and without stems silent in it."""
    seconds, now = min(piece_seconds, song.duration_s - start_s), slice(start_s, start_s + piece_seconds)

    def cut_track(track: Track) -> Track:
        return replace(
            track,
            sample_rate=sampling.sample_rate,
            num_samples=round(seconds * sampling.sample_rate),
            loudness_lufs=track.loudness_lufs[now],
        )

    stems = [cut_track(stem) for stem in song.stems]
    return replace(
        song,
        stems=[stem for stem in stems if (stem.loudness_lufs >= sampling.silence_lufs).any()],
        mix=song.mix and cut_track(song.mix),
        power_db=song.power_db[now],
        signature="",
        offset_s=start_s,
    )


def _pack(number: int, piece: Song) -> dict[str, Any] | Problem:
    """Pack a piece as a sample: its key, its song as JSON, its encoded files."""
    files: dict[str, bytes] = {}

    def pack(track: Track, name: str) -> Track:
        audio = read_segment(track, piece.offset_s, track.duration_s, sample_rate=track.sample_rate).numpy()
        peak, gain = float(np.abs(audio).max()), 1.0
        if name.endswith(".flac"):
            gain = max(peak, 1e-6) * 32768 / 32767
            files[name] = _encoded(audio / gain, track.sample_rate, format="FLAC", subtype="PCM_16")
        else:
            files[name] = _encoded(
                audio, track.sample_rate, format="OGG", subtype="VORBIS", compression_level=VORBIS_LEVEL
            )
        return replace(track, source=Source(Path(name)), channels=len(audio), peak=peak, gain=gain)

    try:
        stems = [pack(stem, f"{i:02d}.flac") for i, stem in enumerate(piece.stems)]
        mix = piece.mix and pack(piece.mix, "mix.ogg")
    except InputError as error:
        return Problem(f"{piece.name}, piece from {piece.offset_s} s", str(error))
    content = {"version": VERSION, "song": song_to_json(replace(piece, stems=stems, mix=mix), Path())}
    return {"__key__": f"{number:06d}", "json": content, **files}


def _encoded(audio: np.ndarray, sample_rate: int, **codec: Any) -> bytes:
    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", sample_rate, len(audio), **codec) as file:
        for start in range(0, audio.shape[1], CHUNK):
            file.write(audio[:, start : start + CHUNK].T)
    return data.getvalue()


def _counted(packed: Iterable[dict | Problem], contents: dict[str, Any]) -> Iterator[dict]:
    """Yield the samples. Count them, and list what could not be read, in `contents`."""
    for sample in packed:
        if isinstance(sample, Problem):
            contents["problems"].append([sample.path, sample.reason])
            continue
        song = sample["json"]["song"]
        track = song["mix"] or song["stems"][0]
        contents["samples"] += 1
        contents["seconds"] += track["num_samples"] / track["sample_rate"]
        contents["licenses"][song["license"]] += 1
        yield sample


def _write_shard(path: Path, samples: Iterable[dict], shard_bytes: float) -> None:
    with open(path, "wb") as file, webdataset_package().TarWriter(file, mtime=0) as tar:
        for sample in samples:
            tar.write(sample)
            if file.tell() >= shard_bytes:
                break


def shard_arithmetic(
    songs: int,
    seconds_per_song: float,
    bytes_per_second: float,
    *,
    examples_per_s: float,
    draws: int = 4,
    piece_seconds: int = 30,
    shard_bytes: float = 1e9,
) -> pd.DataFrame:
    """Compute the size of a data set as shards, and the rate at which it must be read.

    MTG-Jamendo has 55,701 songs, 3,777 hours (508 GB of MP3 as published). The 21 references of the open set
    take 27.3 kB per second of audio as shards. The example assumes 8 GPUs that use 16 examples per second
    each.

    Args:
        songs: Number of songs.
        seconds_per_song: Mean length of a song in seconds.
        bytes_per_second: Size of one second of audio in bytes: `bytes` / `seconds` of the summary that
            `write_shards` writes for a small set.
        examples_per_s: Number of examples that all GPUs together use per second.
        draws: Number of examples drawn from each piece.
        piece_seconds: Length of a piece in seconds.
        shard_bytes: Size of a shard in bytes.

    Returns:
        Table with one row for all pieces and one row for three pieces per song.

    Example:
        >>> shard_arithmetic(55_701, 3777 * 3600 / 55_701, 27.3e3, examples_per_s=8 * 16).astype(int)
                      pieces  hours   GB  shards  MB_per_s  hours_per_pass
        all           453240   3777  371     372        26               3
        three a song  167103   1392  136     137        26               1
    """
    import pandas as pd

    pieces = pd.Series({"all": songs * seconds_per_song / piece_seconds, "three a song": 3.0 * songs})
    piece_bytes = piece_seconds * bytes_per_second
    return pd.DataFrame(
        {
            "pieces": pieces,
            "hours": pieces * piece_seconds / 3600,
            "GB": pieces * piece_bytes / 1e9,
            "shards": np.ceil(pieces * piece_bytes / shard_bytes),
            "MB_per_s": examples_per_s / draws * piece_bytes / 1e6,
            "hours_per_pass": pieces * draws / examples_per_s / 3600,
        }
    )


def webdataset_package() -> ModuleType:
    """Import the package webdataset, which only shards need. Raise InputError where it is missing."""
    try:
        import webdataset
    except ImportError:
        raise InputError("shards need the package webdataset: pip install webdataset") from None
    return webdataset
