"""Sound files, whole or in parts: libsndfile reads nearly all, PyAV the rest, such as m4a. Chapter: Data."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from .resampling import QUALITY

CHUNK = 2**18  # samples decoded at once
# Encodings that can be read from any sample on; FLAC is among PCM.
SEEKABLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")


class AudioFile:
    """An open sound file.

    PCM and FLAC are read from where a part begins. Lossy files are decoded from their beginning, because what
    a decoder gives depends on what came before.

    Args:
        path: The file's path, or its content.
        stream: Number of the audio stream, from 0 on, in a file that holds several.

    Attributes:
        sample_rate: Sample rate in Hz.
        channels: Number of channels.

    Raises:
        ValueError: For what cannot be decoded, also later while reading.
        OSError: For a file that is missing or cannot be opened.

    Example:
        >>> from diffmst_lib import data_dir
        >>> with AudioFile(data_dir() / "references" / "vibe_ace.ogg") as file:
        ...     file.read(44100, 1000).shape
        (2, 1000)
    """

    sample_rate: int
    channels: int

    def __init__(self, path: str | Path | io.BytesIO, stream: int = 0):
        name: bytes | str | io.BytesIO
        if isinstance(path, io.BytesIO):
            name = io.BytesIO(path.getbuffer())  # with a position of its own
        else:
            with open(path, "rb") as file:  # says better than a decoder why a file cannot be read
                if not file.read(1):
                    raise ValueError("an empty file")
            # as bytes, so that a name that is not UTF-8 can be read as well
            name = os.fsencode(path) if os.name == "posix" else str(path)
        self._file: _Sndfile | _Av
        try:
            if stream or _guesses_length(name):
                raise soundfile.SoundFileError("an MP3 that cannot be decoded")
            self._file = _Sndfile(name)
        except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
            try:
                self._file = _Av(os.fsdecode(name) if isinstance(name, bytes) else name, stream)
            except (av.FFmpegError, IndexError, ValueError, AttributeError):
                why = f"no audio stream {stream}" if stream else _reason(error)
                raise ValueError(why) from None
        self.sample_rate, self.channels = self._file.sample_rate, self._file.channels

    def read(self, start: int = 0, length: int | None = None) -> np.ndarray:
        """Decode a part of the file.

        Args:
            start: The first sample.
            length: Number of samples; None for all up to the end.

        Returns:
            Audio (channels, num_samples), float32, shorter where the file ends.

        Raises:
            ValueError: When the file breaks off.
        """
        parts = list(self._decode(start, length))
        return np.concatenate(parts, axis=1) if parts else np.zeros((self.channels, 0), np.float32)

    def blocks(self, length: int) -> Iterator[np.ndarray]:
        """Decode the whole file in blocks of `length` samples, the last one shorter.

        Args:
            length: Length of a block, in samples.

        Yields:
            Audio (channels, length), float32.

        Raises:
            ValueError: When the file breaks off.
        """
        parts: list[np.ndarray] = []
        held = 0
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
        """Decode the whole file at another rate.

        Args:
            sample_rate: The rate wanted, in Hz.

        Yields:
            Audio (channels, num_samples), float32, in blocks of about a second.

        Raises:
            ValueError: When the file breaks off, and for NaN or infinite samples.
        """
        resampler = soxr.ResampleStream(
            self.sample_rate, sample_rate, self.channels, dtype="float32", quality=QUALITY
        )
        for block in self.blocks(self.sample_rate):
            if not np.isfinite(block).all():
                raise ValueError("holds NaN or infinite samples")
            yield block if self.sample_rate == sample_rate else resampler.resample_chunk(block.T).T
        if self.sample_rate != sample_rate:
            yield resampler.resample_chunk(np.zeros((0, self.channels), np.float32), last=True).T

    def _decode(self, start: int = 0, length: int | None = None) -> Iterator[np.ndarray]:
        """Decode a part of the file in pieces, as the decoder cuts it."""
        stop = sys.maxsize if length is None else start + length
        try:
            for position, chunk in self._file.decode(start, stop):
                part = chunk[:, max(0, start - position) : max(0, stop - position)]
                if part.shape[1]:
                    yield np.ascontiguousarray(part)
                if position + chunk.shape[1] >= stop:
                    break
        except (soundfile.SoundFileError, RuntimeError, av.FFmpegError) as error:
            raise ValueError(f"broken off while reading ({_reason(error)})") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Sndfile:
    """A file that libsndfile reads."""

    def __init__(self, name: bytes | str | io.BytesIO):
        self._file = soundfile.SoundFile(name)
        self.sample_rate, self.channels = self._file.samplerate, self._file.channels

    def decode(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield chunks and where they begin, from `start` or before it to `stop` or the file's end."""
        position = min(start, self._file.frames) if self._file.subtype.startswith(SEEKABLE) else 0
        self._file.seek(position)
        while position < stop:
            chunk = self._file.read(min(CHUNK, stop - position), dtype="float32", always_2d=True)
            if not len(chunk):
                return
            yield position, chunk.T
            position += len(chunk)

    def close(self) -> None:
        self._file.close()


class _Av:
    """A file that FFmpeg reads."""

    def __init__(self, name: str | io.BytesIO, stream: int):
        self._name, self._number = name, stream
        with self._open() as container:
            audio = container.streams.audio[stream]
            self.sample_rate, self.channels = audio.rate, audio.channels
            if not (self.sample_rate and self.channels and audio.time_base):
                raise ValueError("no sound in it")

    def _open(self) -> av.container.InputContainer:
        if isinstance(self._name, io.BytesIO):
            self._name.seek(0)
        return av.open(self._name, "r")

    def decode(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all chunks and where they begin."""
        position, convert = 0, av.AudioResampler(format="fltp")
        with self._open() as container:  # opened anew: some formats lose a frame when they seek to the start
            for frame in container.decode(container.streams.audio[self._number]):
                for chunk in convert.resample(frame):
                    yield position, chunk.to_ndarray()
                    position += chunk.samples

    def close(self) -> None:
        """Do nothing: no file stays open between two reads."""


def _guesses_length(name: bytes | str | io.BytesIO) -> bool:
    """Tell whether a file is an MP3 without a table at its beginning, which libsndfile cuts at a guess."""
    with io.BytesIO(name.getbuffer()) if isinstance(name, io.BytesIO) else open(name, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)))
        else:
            file.seek(0)
        frame = file.read(2048)
    is_mp3 = len(frame) > 1 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2
    return is_mp3 and not any(table in frame for table in (b"Xing", b"Info", b"VBRI"))


def _reason(error: Exception) -> str:
    return str(error).rsplit(": ", 1)[-1].strip().rstrip(".")
