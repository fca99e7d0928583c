"""One pair and its systems: mix, measure, embed; a failure becomes a row. Chapter: Results."""

from __future__ import annotations

import ctypes
import math
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from ..audio.loudness import normalize_loudness
from ..data.songs import Song, Track
from ..disk import write_whole
from ..inputs import InputError, InputNote
from ..mixing.result import MixResult
from ..options import SAMPLE_RATE
from .excerpts import Sounds
from .metrics import METRICS, measure
from .pairs import Pair
from .programs import program
from .system_kind import System
from .systems import system
from .task import Task

PROTOCOLS: dict[
    str, dict[str, Any]
] = {  # how mix and record are compared: loudness in LUFS, preset of the loss
    "default": {"mix_lufs": -16.0, "record_lufs": -16.0, "preset": "default"},
    "paper": {"mix_lufs": -22.0, "record_lufs": -16.0, "preset": "reference"},
}
KEPT_LUFS = -23.0  # of the sounds that are kept: mixes of any crest factor fit below full scale
ABOUT = ("pair", "song", "start_s", "seconds", "stems", "record", "record_start_s", "system", "protocol")
COST = ("seconds_used", "memory_mb", "error")
COLUMNS = (*ABOUT, *METRICS, "af_wrong", *COST)
RECORD = "record"  # in place of a system's name: the record itself

Embedding = Callable[[torch.Tensor, int], Any]


@dataclass(frozen=True)
class Setup:
    """What all workers of an evaluation are given.

    Attributes:
        songs: Songs with stems by name.
        records: Finished songs by name.
        humans: Human mixes by the song's name.
        seconds: Length of a moment.
        protocol: A key of `PROTOCOLS`.
        steps: Steps of the systems that fit.
        max_stems: Most stems of a moment; None: all.
        seed: Seed of the systems that draw.
        wrong: Whether systems that listen are shown the wrong record as well.
        programs: Command lines by the name of their system.
        embedding: Function (audio, sample_rate) -> (patches, features); None: no embeddings.
        audio_folder: Folder for records and mixes; None: they are not kept.
    """

    songs: Mapping[str, Song]
    records: Mapping[str, Song]
    humans: Mapping[str, Track]
    seconds: float = 10.0
    protocol: str = "default"
    steps: int = 50
    max_stems: int | None = None
    seed: int = 0
    wrong: bool = False
    programs: Mapping[str, str] = field(default_factory=dict)
    embedding: Embedding | None = None
    audio_folder: Path | None = None


@dataclass(frozen=True)
class Job:
    """A pair, and the systems that are to mix it. Without systems, a record of the set that is only embedded."""

    pair: Pair
    systems: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What came of one system: a row of the table, and embeddings by system's name or "record"."""

    number: int
    row: dict[str, Any] | None = None
    embeddings: dict[str, np.ndarray] = field(default_factory=dict)


class Worker:
    """Does jobs one after another; models and the last sounds are kept.

    Args:
        setup: What the evaluation is like.
    """

    def __init__(self, setup: Setup):
        self.setup = setup
        self.sounds = Sounds(
            setup.songs,
            setup.records,
            setup.humans,
            seconds=setup.seconds,
            max_stems=setup.max_stems,
            seed=setup.seed,
        )
        self.systems: dict[str, System] = {}
        self.embedded: dict[tuple[str, float], np.ndarray] = {}

    def do(self, job: Job) -> Iterator[Outcome]:
        """Do a job: an outcome for each of its systems, in their order."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputNote)  # the table says what they would
            if not job.systems:
                with suppress(InputError):
                    yield Outcome(job.pair.number, embeddings=self._embed_record(job.pair))
            for name in job.systems:
                try:
                    yield self._run(job.pair, name)
                except Exception as error:  # whatever a system does, the others go on
                    row = failed(self.setup, job.pair, name, _in_a_line(error))
                    yield Outcome(job.pair.number, row)

    def _run(self, pair: Pair, name: str) -> Outcome:
        task = self.sounds.task(pair)
        one = self._system(name)
        settle_memory()
        started = time.perf_counter()
        mix = one.mix(task)
        seconds, memory = time.perf_counter() - started, memory_used_mb()
        levels = PROTOCOLS[self.setup.protocol]
        row = head(self.setup, pair, name)
        row |= {"seconds": task.song.duration_s, "stems": len(task.song.names)}
        row |= measure(mix, task, **levels)
        if self.setup.wrong and one.listens and pair.wrong:
            other = one.mix(replace(task, record=self.sounds.record(pair.wrong, pair.wrong_start_s)))
            row["af_wrong"] = measure(other, task, **levels)["af_mean"]
        row |= {"seconds_used": round(seconds, 3), "memory_mb": memory, "error": ""}
        audio = mix.audio if isinstance(mix, MixResult) else mix
        if self.setup.audio_folder is not None:
            self._keep(pair, name, task, audio)
        embeddings = self._embed_record(pair)
        if self.setup.embedding is not None:
            embeddings[name] = embedded(self.setup.embedding, audio, task.song.sample_rate)
        return Outcome(pair.number, row, embeddings)

    def _system(self, name: str) -> System:
        if name not in self.systems:
            self.systems[name] = find_system(name, self.setup.programs, self.setup.steps)
        return self.systems[name]

    def _embed_record(self, pair: Pair) -> dict[str, np.ndarray]:
        if self.setup.embedding is None:
            return {}
        key = pair.record, pair.record_start_s
        if key not in self.embedded:
            self.embedded[key] = embedded(self.setup.embedding, self.sounds.record(*key), SAMPLE_RATE)
        return {RECORD: self.embedded[key]}

    def _keep(self, pair: Pair, name: str, task: Task, audio: torch.Tensor) -> None:
        assert self.setup.audio_folder is not None
        folder = self.setup.audio_folder / f"{pair.number:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "record.flac").is_file():
            save_flac(folder / "record.flac", task.record, task.song.sample_rate)
        save_flac(folder / f"{name}.flac", audio, task.song.sample_rate)


def find_system(name: str, programs: Mapping[str, str], steps: int) -> System:
    """Find a system by its name, among the user's programs first.

    Args:
        name: Its name.
        programs: Command lines by the name of their system.
        steps: Steps of the systems that fit.

    Raises:
        InputError: For an unknown name, and for a command line that is none.
    """
    return program(name, programs[name]) if name in programs else system(name, steps=steps)


def embedded(embedding: Embedding, audio: torch.Tensor, sample_rate: int) -> np.ndarray:
    """Embed a sound (2, num_samples) at -16 LUFS, as float32 (patches, features): embeddings hear levels."""
    audio = normalize_loudness(audio.detach().cpu(), sample_rate=sample_rate)
    return np.atleast_2d(np.asarray(embedding(audio, sample_rate), dtype=np.float32))


def head(setup: Setup, pair: Pair, name: str) -> dict[str, Any]:
    """Begin the row of a pair and a system; what is not known yet is NaN."""
    about = (pair.number, pair.song, pair.start_s, setup.seconds, math.nan)
    about += (pair.record, pair.record_start_s, name, setup.protocol)
    return dict.fromkeys(COLUMNS, math.nan) | dict(zip(ABOUT, about, strict=True))


def failed(setup: Setup, pair: Pair, name: str, why: str) -> dict[str, Any]:
    """Make the row of a system that failed, with the reason in one line."""
    return head(setup, pair, name) | {"error": why}


def _in_a_line(error: Exception) -> str:
    line = " ".join(str(error).split())
    return line if isinstance(error, InputError) else f"{type(error).__name__}: {line}"[:300]


def save_flac(path: Path, audio: torch.Tensor, sample_rate: int) -> None:
    """Write a sound at -23 LUFS, or as loud as its peaks allow, in 24 bits; whole or not at all."""
    audio = normalize_loudness(audio.detach().cpu().float(), KEPT_LUFS, sample_rate=sample_rate)
    audio = audio / max(1.0, audio.abs().max().item() * 1.0001)
    samples = audio.numpy().T
    write_whole(path, lambda part: soundfile.write(part, samples, sample_rate, "PCM_24", format="FLAC"))


def settle_memory() -> None:
    """Return freed memory to the system, and begin to measure the peak anew, where the system can (Linux)."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        _before.append(_status_mb("VmRSS"))
        del _before[:-1]


def memory_used_mb() -> float:
    """Tell how far the memory of this process grew at its peak since `settle_memory`, in MB; NaN where unknown."""
    try:
        return round(_status_mb("VmHWM") - _before[-1], 1)
    except (OSError, IndexError, ValueError):
        return math.nan


_before: list[float] = []


def _status_mb(field_name: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{field_name}:")[1].split()[0]) * 1024 / 1e6
