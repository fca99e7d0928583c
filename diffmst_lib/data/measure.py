"""Measuring a song once: levels of every second are kept, samples forgotten. Chapter: Data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from ..audio.decoding import AudioFile
from ..audio.loudness import OFFSET_DB, SAMPLE_RATE, filter_block, k_weighting
from ..disk import why
from .songs import Problem, Source, Track

MONO_DB = -60.0  # two channels whose difference lies that far below their sum are one


class _FileMeter:
    """Measures one file, second by second."""

    def __init__(self, name: str, source: Source) -> None:
        self.name, self.source = name, source
        self.num_samples, self.peak = 0, 0.0
        self.powers: list[float] = []  # K-weighted, by second
        self.difference, self.total = 0.0, 0.0  # energy of left - right and of left + right
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
            weighted, state = filter_block(block, self._weighting, state)
            self.powers.append(np.square(weighted).sum() / SAMPLE_RATE)
            if self._file.channels == 2:
                self.difference += np.square(block[0] - block[1]).sum(dtype=np.float64)
                self.total += np.square(block[0] + block[1]).sum(dtype=np.float64)
            yield block
        if self.num_samples == 0:
            raise ValueError("no audio in it (length 0)")

    def track(self) -> Track:
        """The track with all that was measured."""
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


def _rebuffered(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in blocks of a second, the last one shorter."""
    rest = None
    for block in blocks:
        rest = block if rest is None else np.concatenate([rest, block], axis=1)
        while rest.shape[1] >= SAMPLE_RATE:
            yield rest[:, :SAMPLE_RATE]
            rest = rest[:, SAMPLE_RATE:]
    if rest is not None and rest.shape[1]:
        yield rest


def measure(sources: dict[str, Source]) -> tuple[list[Track], np.ndarray, list[Problem]]:
    """Measure files that sound together.

    Memory stays at about a second of each file, however long they are. A file that turns out to be broken is
    left out, and the others are measured again without it.

    Args:
        sources: The files by name.

    Returns:
        The tracks, the power of their sum by second in dB, and the files that could not be used.
    """
    sources, problems = dict(sources), []
    while sources:
        with ExitStack() as opened:
            meters, powers = {}, []
            for name, source in list(sources.items()):
                try:
                    meters[name] = opened.enter_context(_FileMeter(name, source))
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


def decibels(powers: Sequence[float] | np.ndarray) -> np.ndarray:
    """Turn powers into dB, float32, -inf for 0."""
    with np.errstate(divide="ignore"):
        return (10 * np.log10(np.asarray(powers, np.float64))).astype(np.float32)


def _problem(source: Source, error: Exception) -> Problem:
    stream = f" (stream {source.stream})" if source.stream else ""
    return Problem(f"{source.path}{stream}", why(error))
