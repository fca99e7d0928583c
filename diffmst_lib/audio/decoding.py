"""Sound files, whole or in parts: libsndfile reads nearly all of them, PyAV the rest, such as m4a. Chapter: Data."""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

PREROLL_S = 0.25  # decoded before a part and thrown away: a lossy codec needs some past to come out right
PREROLL_FRAMES = 10
LAST_PAGE_S = 4.0
CHUNK = 2**18


class AudioFile:
    """An open sound file: `sample_rate`, `channels`, and its samples as float32 (channels, num_samples).

    `path` may also be the file's content as an io.BytesIO. `stream` counts the audio streams of files that hold several.
    Raises ValueError for what cannot be decoded, also later while reading, and OSError for a missing file.

    >>> from diffmst_lib import data_dir
    >>> with AudioFile(data_dir() / "references" / "vibe_ace.ogg") as file:
    ...     file.read(44100, 1000).shape
    (2, 1000)
    """

    def __init__(self, path: str | Path | io.BytesIO, stream: int = 0):
        if isinstance(path, io.BytesIO):
            name = io.BytesIO(path.getbuffer())  # with a position of its own
        else:
            with open(path, "rb") as file:  # says why it cannot be read, better than decoders
                if not file.read(1):
                    raise ValueError("an empty file")
            name = (
                os.fsencode(path) if os.name == "posix" else str(path)
            )  # a name that is no UTF-8 is read as well
        try:
            if stream or _guesses_length(name):
                raise soundfile.SoundFileError
            self._file = _Sndfile(name)
        except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
            if isinstance(name, io.BytesIO):
                name.seek(0)
            try:
                self._file = _Av(os.fsdecode(name) if isinstance(name, bytes) else name, stream)
            except (av.FFmpegError, IndexError, ValueError, AttributeError):
                why = f"no audio stream {stream}" if stream else _reason(error)
                raise ValueError(why) from None
        self.sample_rate, self.channels = self._file.sample_rate, self._file.channels

    def read(self, start: int = 0, length: int | None = None) -> np.ndarray:
        """`length` samples from `start` on, or all of them; fewer where the file ends."""
        parts = list(self._decode(start, length))
        return np.concatenate(parts, axis=1) if parts else np.zeros((self.channels, 0), np.float32)

    def blocks(self, length: int) -> Iterator[np.ndarray]:
        """The whole file in blocks of `length` samples, the last one shorter."""
        parts, held = [], 0
        for part in self._decode():
            parts, held = [*parts, part], held + part.shape[1]
            if held >= length:
                together = np.concatenate(parts, axis=1)
                whole = held - held % length
                yield from np.split(together[:, :whole], whole // length, axis=1)
                parts, held = [together[:, whole:]], held - whole
        if held:
            yield np.concatenate(parts, axis=1)

    def resampled(self, sample_rate: int) -> Iterator[np.ndarray]:
        """The whole file at another rate, in blocks of about a second. ValueError for NaN or infinite samples."""
        resampler = soxr.ResampleStream(
            self.sample_rate, sample_rate, self.channels, dtype="float32", quality="HQ"
        )
        for block in self.blocks(self.sample_rate):
            if not np.isfinite(block).all():
                raise ValueError("holds NaN or infinite samples")
            yield block if self.sample_rate == sample_rate else resampler.resample_chunk(block.T).T
        if self.sample_rate != sample_rate:
            yield resampler.resample_chunk(np.zeros((0, self.channels), np.float32), last=True).T

    def _decode(self, start: int = 0, length: int | None = None) -> Iterator[np.ndarray]:
        missing = sys.maxsize if length is None else length
        try:
            for part in self._file.decode(start, missing):
                yield part[:, :missing]
                missing -= part.shape[1]
                if missing <= 0:
                    break
        except (soundfile.SoundFileError, RuntimeError, av.FFmpegError) as error:
            raise ValueError(f"broken off while reading ({_reason(error)})") from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class _Sndfile:
    def __init__(self, name: bytes | str | io.BytesIO):
        self._file = soundfile.SoundFile(name)
        self.sample_rate, self.channels = self._file.samplerate, self._file.channels

    def decode(self, start: int, length: int) -> Iterator[np.ndarray]:
        # soundfile jumps at every read. After a jump MP3 and Vorbis come out wrong for a while, and in the last page of
        # Vorbis at the wrong place.
        lossy = self._file.format in ("MP3", "MPEG", "OGG")
        preroll = int(PREROLL_S * self.sample_rate) if lossy else 0
        last = self._file.frames - (
            int(LAST_PAGE_S * self.sample_rate) if self._file.subtype == "VORBIS" else 0
        )
        while start < self._file.frames and length > 0:
            skip = min(start, max(preroll, start - last))
            self._file.seek(start - skip)
            part = self._file.read(min(CHUNK, length) + skip, dtype="float32", always_2d=True)[skip:]
            if not len(part):
                return
            yield np.ascontiguousarray(part.T)
            start, length = start + len(part), length - len(part)

    def close(self) -> None:
        self._file.close()


class _Av:
    def __init__(self, name: str | io.BytesIO, stream: int):
        self._container = av.open(name)
        try:
            self._stream = self._container.streams.audio[stream]
            self.sample_rate, self.channels = self._stream.rate, self._stream.channels
            if not (self.sample_rate and self.channels and self._stream.time_base):
                raise ValueError("no sound in it")
        except BaseException:
            self._container.close()
            raise

    def decode(self, start: int, length: int) -> Iterator[np.ndarray]:
        rate, base, first = self.sample_rate, self._stream.time_base, self._stream.start_time or 0
        exact = "mp4" in self._container.format.name  # the only one with a table of contents to the sample
        target = first + int(Fraction(start - int(PREROLL_S * rate), rate) / base) if exact else first
        self._container.seek(target, stream=self._stream)
        frames = self._container.decode(self._stream)
        head = list(itertools.islice(frames, PREROLL_FRAMES))
        position = self._place(head, first) if exact else 0
        convert = av.AudioResampler(format="fltp")
        for frame in itertools.chain(head, frames):
            for out in convert.resample(frame):
                part = out.to_ndarray()[:, max(0, start - position) :]
                position += out.samples
                if part.shape[1]:
                    yield part

    def _place(self, frames: list[av.AudioFrame], first: int) -> int:
        """Where the first of these frames begins, in samples: by most of them, since single time stamps may jitter."""
        before = itertools.accumulate((frame.samples for frame in frames), initial=0)
        seconds_per_tick = self._stream.time_base
        places = [
            round((frame.pts - first) * seconds_per_tick * self.sample_rate) - count
            for frame, count in zip(frames, before)
            if frame.pts is not None
        ]
        return int(np.median(places)) if places else 0

    def close(self) -> None:
        self._container.close()


def _guesses_length(name: bytes | str | io.BytesIO) -> bool:
    """Whether this is an MP3 without a table at its beginning: libsndfile would cut it at a length that it guesses."""
    with io.BytesIO(name.getbuffer()) if isinstance(name, io.BytesIO) else open(name, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0))))
        else:
            file.seek(0)
        frame = file.read(2048)
    is_mp3 = len(frame) > 1 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2
    return is_mp3 and not any(table in frame for table in (b"Xing", b"Info", b"VBRI"))


def _reason(error: Exception) -> str:
    return str(error).rsplit(": ", 1)[-1].strip().rstrip(".")
