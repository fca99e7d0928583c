"""Measurement of songs: the levels of every second. Chapter: Data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from ..audio.loudness import OFFSET_DB, filter_block, k_weighting
from ..audio.remarks import KINDS, START
from ..audio.stem_sound import even_blocks
from ..disk import why
from ..options import SAMPLE_RATE
from .songs import Problem, Source, Track

MONO_DB = -60.0  # two channels are mono when their difference is this far below their sum


class _FileMeter:
    """Meter of one file, which measures second by second."""

    def __init__(self, name: str, source: Source) -> None:
        self.name, self.source = name, source
        self.num_samples, self.peak = 0, 0.0
        self.powers: list[float] = []  # K-weighted, by second
        self.difference, self.total = 0.0, 0.0  # energy of left - right and of left + right
        self._weighting = k_weighting(SAMPLE_RATE)
        self._file = source.open()
        if not 1 <= self._file.channels <= 2:
            self._file.close()
            raise ValueError(f"{self._file.channels} channels; a stem is mono or stereo")

    def seconds(self) -> Iterator[np.ndarray]:
        """Measure and yield blocks (channels, 44100) at 44.1 kHz; the last one may be shorter."""
        state = np.zeros((2, self._file.channels, 2))
        for block in even_blocks(self._file.resampled(SAMPLE_RATE), SAMPLE_RATE):
            self.num_samples += block.shape[1]
            self.peak = max(self.peak, float(np.abs(block).max()))
            weighted, state = filter_block(block, self._weighting, state)
            self.powers.append(np.square(weighted).sum() / SAMPLE_RATE)
            if self._file.channels == 2:
                self.difference += np.square(block[0] - block[1]).sum(dtype=np.float64)
                self.total += np.square(block[0] + block[1]).sum(dtype=np.float64)
            yield block
        if self.num_samples == 0:
            raise ValueError("no audio in it (length 0)")

    def problems(self) -> list[Problem]:
        """List what is not right with the file, although it could be read."""
        remarks = self._file.remarks
        return [
            _problem(self.source, f"{kind} ({remarks[kind]})")
            for kind in KINDS
            if kind in remarks and kind != START
        ]

    def track(self) -> Track:
        """Return the track with its measurements."""
        mono = bool(self._file.channels == 1 or self.difference <= 10 ** (MONO_DB / 10) * self.total)
        num_samples = round(self.num_samples / SAMPLE_RATE * self._file.sample_rate)
        return Track(
            self.name,
            self.source,
            self._file.sample_rate,
            num_samples,
            self._file.channels,
            mono,
            self.peak,
            decibels(self.powers) + OFFSET_DB,
        )

    def __enter__(self) -> _FileMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def measure(sources: dict[str, Source]) -> tuple[list[Track], np.ndarray, list[Problem]]:
    """Measure the files of a song together.

    About one second of each file is in memory at a time. When a file turns out to be broken, the others are
    measured again without it.

    Args:
        sources: Files by name.

    Returns:
        Tracks, the power of their sum in each second in dB, and the files that could not be used, or of which
        something is missing.
    """
    sources, problems = dict(sources), []
    while sources:
        with ExitStack() as opened:
            meters, powers = {}, []
            for name, source in list(sources.items()):
                try:
                    meters[name] = opened.enter_context(_FileMeter(name, source))
                except (ValueError, OSError) as error:
                    problems.append(_problem(sources.pop(name), why(error)))
            streams = {name: meter.seconds() for name, meter in meters.items()}
            while streams:
                mix = np.zeros((2, SAMPLE_RATE), np.float32)
                for name in list(streams):
                    try:
                        block = next(streams[name], None)
                    except (ValueError, OSError) as error:
                        problems.append(_problem(sources.pop(name), why(error)))
                        block = None
                    if block is None:
                        del streams[name]
                    else:
                        mix[:, : block.shape[1]] += block
                if streams:
                    powers.append(np.square(mix, dtype=np.float64).mean())
            if len(sources) == len(meters):
                problems += [problem for meter in meters.values() for problem in meter.problems()]
                return [meter.track() for meter in meters.values()], decibels(powers), problems
    return [], decibels([]), problems


def decibels(powers: Sequence[float] | np.ndarray) -> np.ndarray:
    """Convert powers to dB, float32, with -inf for 0."""
    with np.errstate(divide="ignore"):
        return (10 * np.log10(np.asarray(powers, np.float64))).astype(np.float32)


def _problem(source: Source, reason: str) -> Problem:
    stream = f" (stream {source.stream})" if source.stream else ""
    return Problem(f"{source.path}{stream}", reason)
