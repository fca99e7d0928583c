"""Sound files, whole or in parts: libsndfile reads nearly all, PyAV the rest, such as m4a. Chapter: Data."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soundfile
import soxr

from .boxes import has_no_index
from .chunks import Claim, claimed_sound, read_chunks, size_of
from .decoders import FfmpegDecoder, Name, SndfileDecoder
from .growing import GrowingSound
from .mpeg import MpegDecoder, looks_like_mpeg, mpeg_range
from .ogg import read_pages
from .remarks import CUT, LEFT_OUT, RATE, not_a_file, seconds
from .resampling import QUALITY, RateKeeper

SAMPLE_RATES = (4000, 768_000)  # lowest and highest, in Hz
_FLAC = b"fLaC\0\0\0\x22"  # how a FLAC file begins
_MISSING_S = 0.001  # a header may claim a few bytes too many
_SEARCH = 2**24
# What else people take for sound files: how it begins, and what it is.
_OTHERS = {
    b"<": "a web page or a text",
    b"{": "a text",
    b"version https://git-lfs": "the address of a file in Git LFS: fetch it with git lfs pull",
    b"MThd": "MIDI, which holds notes and no sound",
    b"PK": "a zip archive: unpack it",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\0\5\x16\7": "what macOS keeps beside a file, not the file itself",
}


class AudioFile:
    """An open sound file.

    PCM and FLAC are read from where a part begins. Lossy files are decoded from their beginning, because what
    a decoder gives depends on what came before. All that a file holds is read, whatever its header says, and
    what is damaged becomes silence.

    Args:
        path: The file's path, or its content.
        stream: Number of the audio stream, from 0 on, in a file that holds several.

    Attributes:
        sample_rate: Sample rate in Hz.
        channels: Number of channels.

    Raises:
        ValueError: For what cannot be decoded, also later while reading, and for a sample rate that no
            program uses.
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
        self._name: Name
        if isinstance(path, io.BytesIO):
            self._name = io.BytesIO(path.getvalue())  # with a position of its own
        else:
            what = not_a_file(path)
            if what and not os.path.isdir(path):
                raise ValueError(f"{what}, not a file")
            with open(path, "rb") as file:  # says better than a decoder why a file cannot be read
                if not file.read(1):
                    raise ValueError("an empty file")
            # as bytes, so that a name that is not UTF-8 can be read as well
            self._name = os.fsencode(path) if os.name == "posix" else str(path)
        self._claim: Claim | None = None
        self._parts: list[tuple[int, int]] | None = None  # the files that follow in this file
        self._file = self._decoder(stream)
        self.sample_rate, self.channels = self._file.sample_rate, self._file.channels
        if not SAMPLE_RATES[0] <= self.sample_rate <= SAMPLE_RATES[1]:
            self.close()
            raise ValueError(
                f"its sample rate is {self.sample_rate} Hz; {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]} Hz are read"
            )

    @property
    def remarks(self) -> dict[str, str]:
        """What was found so far that is not right with the file: details by kind, see `audio.remarks`."""
        return self._file.remarks

    @property
    def expected_s(self) -> float:
        """The length that the file says it has, in seconds; 0 where it does not tell."""
        return self._file.expected / self.sample_rate

    def _decoder(self, stream: int) -> SndfileDecoder | FfmpegDecoder | MpegDecoder:
        """Choose a decoder by the content."""
        with self._content() as file:
            found, is_mpeg = None if stream else mpeg_range(file), looks_like_mpeg(file)
            pages = read_pages(file)
            self._claim = claimed_sound(file)
            self._ended = pages is None or pages.ended
        if found:
            return MpegDecoder(self._content(), *found)
        try:
            if stream or is_mpeg or (pages and pages.damaged):
                raise soundfile.SoundFileRuntimeError("not for libsndfile")
            return SndfileDecoder(self._name)
        except (soundfile.SoundFileError, RuntimeError, TypeError):
            return self._ffmpeg(stream)

    def _ffmpeg(self, stream: int = 0) -> FfmpegDecoder | MpegDecoder:
        name = os.fsdecode(self._name) if isinstance(self._name, bytes) else self._name
        try:
            decoder = FfmpegDecoder(name, stream)
        except (av.FFmpegError, IndexError, ValueError, AttributeError):
            raise ValueError(self._why_not(stream)) from None
        if decoder.format == "mp3":  # behind bytes that are none
            file = self._content()
            return MpegDecoder(file, 0, size_of(file))
        return decoder

    def _why_not(self, stream: int) -> str:
        """Say what is wrong with a file that no decoder reads."""
        with self._content() as file:
            head = file.read(64).lstrip()
            if head[4:8] == b"ftyp" and has_no_index(file):
                return "cut short before the part that says where its sound lies: fetch or export it again"
            if looks_like_mpeg(file):
                return "an MP3 or AAC without one whole frame, damaged or cut short: fetch or export it again"
        if stream:
            return f"no audio stream {stream}"
        other = next((what for start, what in _OTHERS.items() if head.startswith(start)), "")
        return other or "damaged, or of a kind that is not known here: export it as WAV or FLAC"

    def _content(self) -> BinaryIO:
        if isinstance(self._name, io.BytesIO):
            return io.BytesIO(self._name.getvalue())
        return open(self._name, "rb")

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
        rest = self._file.expected - start
        sound = GrowingSound(self.channels, rest if length is None else min(rest, length))
        for part in self._decode(start, length):
            sound.append(part)
        return sound.whole()

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
        for position, chunk in self._pieces(start, stop):
            part = chunk[:, max(0, start - position) : max(0, stop - position)]
            if part.shape[1]:
                yield np.ascontiguousarray(part)
            if position + chunk.shape[1] >= stop:
                break

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the file, and after its end the files that follow in it."""
        end = min(start, self._file.frames) if isinstance(self._file, SndfileDecoder) else 0
        try:
            for position, chunk in self._file.decode(start, stop):
                yield position, chunk
                end = position + chunk.shape[1]
        except (soundfile.SoundFileError, RuntimeError):  # damaged: FFmpeg finds what comes behind
            self._file.close()
            self._file, begun = self._ffmpeg(), end
            for position, chunk in self._file.decode(start, stop):
                end = position + chunk.shape[1]
                if end > begun:
                    yield max(position, begun), chunk[:, max(0, begun - position) :]
        if end < stop:
            self._compare(end)
            yield from self._following(end, stop)

    def _compare(self, end: int) -> None:
        """Compare what was read with what the header claims."""
        claim, read = self._claim, end / self.sample_rate
        if not self._ended:
            self.remarks.setdefault(CUT, f"breaks off at {seconds(read)}")
        if claim and claim.claimed and claim.held:
            all_of_it = read * claim.claimed / claim.held
            if all_of_it > read + _MISSING_S:
                self.remarks.setdefault(CUT, f"{seconds(read)} of {seconds(all_of_it)} are there")
            if claim.behind:
                behind = seconds(read * claim.behind / claim.held)
                self.remarks[LEFT_OUT] = f"{behind} behind the end that its header names, {seconds(read)}"

    def _following(self, end: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the files that follow in this file, where several were joined."""
        if self._parts is None:
            with self._content() as file:
                starts = _joined(file, self._file)
                self._parts = list(pairwise([*starts, size_of(file)]))
        keeper = RateKeeper(self.sample_rate, self.channels)
        for first, last in self._parts:
            with self._content() as file:
                file.seek(first)
                content = io.BytesIO(file.read(last - first))
            at = seconds(end / self.sample_rate)
            try:
                with AudioFile(content) as part:
                    if part.sample_rate != self.sample_rate:
                        rates = f"from {self.sample_rate} to {part.sample_rate} Hz at {at}"
                        self.remarks.setdefault(RATE, rates)
                    for chunk in part._decode():
                        chunk = keeper.take(chunk, part.sample_rate)
                        yield end, chunk
                        end += chunk.shape[1]
                    for kind, detail in part.remarks.items():
                        self.remarks.setdefault(kind, f"behind {at}: {detail}")
            except ValueError:
                self.remarks[LEFT_OUT] = f"what follows its end at {at}"
                return
            if end >= stop:
                return
        yield end, keeper.rest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _joined(file: BinaryIO, decoder: SndfileDecoder | FfmpegDecoder | MpegDecoder) -> list[int]:
    """Find where other files begin in a file whose first one was read to its end."""
    file.seek(0)
    head = file.read(8)
    if head[:4] in (b"RIFF", b"RIFX", b"FORM"):
        return [chunk.start - 8 for chunk in read_chunks(file) if chunk.name.encode("latin-1") == head[:4]]
    if not isinstance(decoder, SndfileDecoder):  # the others read on
        return []
    if head[:4] == b"OggS":
        pages = read_pages(file)
        return pages.starts[1:] if pages else []
    return _find_all(file, _FLAC) if head[:4] == _FLAC[:4] else []


def _find_all(file: BinaryIO, what: bytes) -> list[int]:
    """Find all places of some bytes in a file, but for its beginning."""
    places, position, rest = [], 8, b""
    file.seek(position)
    while block := file.read(_SEARCH):
        block = rest + block
        place = -1
        while (place := block.find(what, place + 1)) >= 0:
            places.append(position - len(rest) + place)
        rest, position = block[1 - len(what) :], position + len(block) - len(rest)
    return places
