"""Measuring a song once: every file decoded in blocks of a second, levels kept, samples forgotten. Chapter: Data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import scipy.signal

from ..audio.decoding import AudioFile
from ..audio.loudness import SAMPLE_RATE, k_weighting
from .songs import Problem, Source, Track

MONO_DB = -60.0  # two channels whose difference lies that far below their sum are one


class _Meter:
    """One file, second by second."""

    def __init__(self, name: str, source: Source):
        self.name, self.source = name, source
        self.num_samples, self.peak, self.powers, self.difference, self.total = 0, 0.0, [], 0.0, 0.0
        self._weighting = k_weighting(SAMPLE_RATE)
        self._file = AudioFile(source.path, source.stream)
        if not 1 <= self._file.channels <= 2:
            self._file.close()
            raise ValueError(f"{self._file.channels} channels; a stem is mono or stereo")

    def seconds(self) -> Iterator[np.ndarray]:
        """Blocks (channels, 44100) at 44.1 kHz, the last one shorter; what passes is measured."""
        state = np.zeros((2, self._file.channels, 2))
        for block in _rebuffered(self._file.resampled(SAMPLE_RATE)):
            self.num_samples += block.shape[1]
            self.peak = max(self.peak, float(np.abs(block).max()))
            weighted, state = scipy.signal.sosfilt(self._weighting, block, zi=state)
            self.powers.append(np.square(weighted).sum() / SAMPLE_RATE)
            if self._file.channels == 2:
                self.difference += np.square(block[0] - block[1]).sum(dtype=np.float64)
                self.total += np.square(block[0] + block[1]).sum(dtype=np.float64)
            yield block
        if self.num_samples == 0:
            raise ValueError("no audio in it (length 0)")

    def track(self) -> Track:
        """What was measured."""
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
            decibels(self.powers) - 0.691,
        )

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()


def _rebuffered(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in blocks of a second, the last one shorter."""
    held = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] >= SAMPLE_RATE:
            yield held[:, :SAMPLE_RATE]
            held = held[:, SAMPLE_RATE:]
    if held is not None and held.shape[1]:
        yield held


def measure(sources: dict[str, Source]) -> tuple[list[Track], np.ndarray, list[Problem]]:
    """Files that sound together: tracks, the power of their sum by second in dB, and what could not be used.

    Memory stays at about a second of each file, however long they are. A file that turns out to be broken is left out,
    and the others are measured again without it.
    """
    sources, problems = dict(sources), []
    while sources:
        with ExitStack() as opened:
            meters, powers = {}, []
            for name, source in list(sources.items()):
                try:
                    meters[name] = opened.enter_context(_Meter(name, source))
                except (ValueError, OSError) as error:
                    problems.append(_problem(sources.pop(name), error))
            streams = {name: meter.seconds() for name, meter in meters.items()}
            while streams:
                mix = np.zeros((2, SAMPLE_RATE), np.float32)
                for name in list(streams):
                    try:
                        block = next(streams[name], None)
                    except (ValueError, OSError) as error:
                        problems.append(_problem(sources.pop(name), error))
                        block = None
                    if block is None:
                        del streams[name]
                    else:
                        mix[:, : block.shape[1]] += block
                if streams:
                    powers.append(np.square(mix, dtype=np.float64).mean())
            if len(sources) == len(meters):
                return [meter.track() for meter in meters.values()], decibels(powers), problems
    return [], decibels([]), problems


def decibels(powers: list[float] | np.ndarray) -> np.ndarray:
    """10 log10 as float32, -inf for nothing."""
    with np.errstate(divide="ignore"):
        return (10 * np.log10(np.asarray(powers, np.float64))).astype(np.float32)


def _problem(source: Source, error: Exception) -> Problem:
    stream = f" (stream {source.stream})" if source.stream else ""
    return Problem(f"{source.path}{stream}", getattr(error, "strerror", None) or str(error))
