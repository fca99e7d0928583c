"""Decoders of libsndfile and FFmpeg, which tell what was damaged or missing. Chapter: Data."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
import soundfile

from .boxes import edit_list
from .chunks import size_of
from .remarks import CUT, DAMAGED, LEFT_OUT, RATE, START, seconds
from .resampling import RateKeeper

CHUNK = 2**18  # samples decoded at once
# Encodings that can be read from any sample on; FLAC is among PCM.
SEEKABLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
Name = bytes | str | io.BytesIO
Converters = dict[tuple[str, str, int], av.AudioResampler]  # by kind of frame

# Codecs whose sound begins with their first sample, or that always tell where it does.
_TELL_START = ("pcm_", "adpcm_", "dsd_", "flac", "alac", "wavpack", "tta", "ape", "vorbis", "mlp", "truehd")
# Formats that know how long they are; the others are judged by their bit rate.
_KNOW_LENGTH = {
    "mov",
    "matroska",
    "asf",
    "wv",
    "tta",
    "ape",
    "caf",
    "flac",
    "ogg",
    "wav",
    "w64",
    "aiff",
    "au",
}
MOST_SILENCE_S = 3600.0  # before the sound of an MP4
_JUMP_S = 0.1  # time stamps may jitter by less
_NEAR_S = 0.005  # after damage, time stamps are believed
_MISSING_S = {True: 0.02, False: 0.1}  # a length may be rounded, and may count what an encoder put in front


class SndfileDecoder:
    """A file that libsndfile reads.

    Args:
        name: Name of the file, or its content.

    Attributes:
        sample_rate: Sample rate in Hz.
        channels: Number of channels.
        frames: Number of samples that the file says it has.
        remarks: What is not right with the file.

    Raises:
        soundfile.SoundFileError: For what libsndfile cannot read.
    """

    def __init__(self, name: Name):
        self._file = soundfile.SoundFile(_Content(name.getvalue()) if isinstance(name, io.BytesIO) else name)
        self.sample_rate, self.channels = self._file.samplerate, self._file.channels
        self.frames, self.remarks = self._file.frames, dict[str, str]()
        if self.frames > 2**62:
            raise soundfile.SoundFileRuntimeError("a file of unknown length")

    @property
    def expected(self) -> int:
        """Number of samples that are likely to come."""
        return self.frames

    def decode(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield chunks and where they begin, from `start` or before it to `stop` or the file's end."""
        position = min(start, self.frames) if self._file.subtype.startswith(SEEKABLE) else 0
        self._file.seek(position)
        while position < stop:
            chunk = self._file.read(min(CHUNK, stop - position), dtype="float32", always_2d=True)
            if not len(chunk):
                break
            yield position, chunk.T
            position += len(chunk)
        if self._file.format == "FLAC" and position < min(stop, self.frames):
            raise soundfile.SoundFileRuntimeError("ends before its end")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Content(io.BytesIO):
    """Content that libsndfile reads, whom a broken header may lead before its beginning."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


class FfmpegDecoder:
    """A file that FFmpeg reads.

    Args:
        name: Name of the file, or its content.
        stream: Number of the audio stream.

    Attributes:
        sample_rate: Sample rate in Hz.
        channels: Number of channels.
        format: FFmpeg's name of the format.
        remarks: What is not right with the file.

    Raises:
        av.FFmpegError: For what FFmpeg cannot read.
        IndexError: Without such a stream.
        ValueError: For a stream without sound.
    """

    def __init__(self, name: str | io.BytesIO, stream: int):
        self._name, self._number, self.remarks = name, stream, dict[str, str]()
        with self._open() as container:
            audio = container.streams.audio[stream]
            self.sample_rate, self.channels = audio.rate, audio.channels
            if not (self.sample_rate and self.channels and audio.time_base):
                raise ValueError("no sound in it")
            self.format = container.format.name
            self._promised_s = self._length(container, audio)
            codec = audio.codec_context.name
            tells = codec.startswith(_TELL_START) or (codec.endswith("opus") and self.format != "mpegts")
            self._slack_s = _MISSING_S[codec.startswith(_TELL_START)]
            tells |= "iTunSMPB" in container.metadata
        with io.BytesIO(name.getvalue()) if isinstance(name, io.BytesIO) else open(name, "rb") as file:
            self._bytes, edits = size_of(file), edit_list(file, stream)
        silent_s = edits.silent_s if edits else 0.0
        if silent_s > MOST_SILENCE_S:
            raise ValueError(f"claims to begin after {seconds(silent_s)} of silence")
        self._silent, self._read = round(silent_s * self.sample_rate), 0  # samples, bytes
        self._tells_start = tells or edits is not None
        self._stopped = False  # whether FFmpeg gave up

    def _open(self) -> av.container.InputContainer:
        name = self._name
        return av.open(io.BytesIO(name.getvalue()) if isinstance(name, io.BytesIO) else name, "r")

    @property
    def expected(self) -> int:
        """Number of samples that are likely to come, 0 where nothing tells."""
        return round((self._promised_s or 0.0) * self.sample_rate)

    def _length(self, container: av.container.InputContainer, audio: av.AudioStream) -> float | None:
        """Return the length that the file promises, in seconds."""
        if not _KNOW_LENGTH & set(self.format.split(",")):
            return None
        if audio.duration:
            return float(audio.duration * audio.time_base)
        alone = len(container.streams) == 1
        return container.duration / av.time_base if container.duration and alone else None

    def decode(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all chunks and where they begin, with silence where the sound is damaged."""
        keeper = RateKeeper(self.sample_rate, self.channels)
        position, gaps, failed, silent = 0, 0, 0, self._silent
        origin: float | None = None
        with self._open() as container:  # opened anew: some formats lose a frame when they seek to the start
            for samples, rate, time in self._frames(container):
                if samples is None:  # a packet that cannot be decoded
                    failed += rate
                    continue
                if origin is None:
                    origin, failed = (time or 0.0), 0
                    if silent:
                        yield 0, np.zeros((self.channels, silent), np.float32)
                        position = silent
                    origin -= position / self.sample_rate
                gap = self._gap(failed, None if time is None else time - origin, position)
                if time is not None and abs(time - origin - (position + gap) / self.sample_rate) > _JUMP_S:
                    origin = time - (position + gap) / self.sample_rate  # another file begins
                if gap:
                    gaps += gap
                    self._note_damage(position, gaps)
                    yield position, np.zeros((self.channels, gap), np.float32)
                    position += gap
                failed = 0
                if rate != self.sample_rate:
                    at = seconds(position / self.sample_rate)
                    self.remarks.setdefault(RATE, f"from {self.sample_rate} to {rate} Hz at {at}")
                chunk = keeper.take(samples, rate)
                if chunk.shape[1]:
                    yield position, chunk
                    position += chunk.shape[1]
        yield position, keeper.rest()
        if origin is None:
            raise ValueError(
                "damaged, nothing in it can be decoded" if failed else "no audio in it (length 0)"
            )
        self._look_back(position / self.sample_rate, failed)

    def _gap(self, failed: int, time: float | None, position: int) -> int:
        """Return how many samples are missing before a frame."""
        if time is None:
            return self._plausible(failed, position)
        jump = time - position / self.sample_rate
        if failed:
            near = abs(jump - failed / self.sample_rate) < _NEAR_S
            gap = failed if near else round(jump * self.sample_rate) if jump > _NEAR_S else 0
        else:
            gap = round(jump * self.sample_rate) if jump >= _JUMP_S else 0
        within = self._promised_s is not None and time <= self._promised_s + _JUMP_S
        return self._plausible(gap if within else failed, position)

    def _plausible(self, gap: int, position: int) -> int:
        """Return a gap, or 0 where it is longer than what the file can hold; where it was left out is told."""
        if gap > 2 * position * self._bytes / max(1, self._read) + self.sample_rate:
            gap_s, at = seconds(gap / self.sample_rate), seconds(position / self.sample_rate)
            self.remarks[DAMAGED] = f"time stamps jump by {gap_s} at {at}, which was not followed"
            return 0
        return gap

    def _note_damage(self, position: int, gaps: int) -> None:
        rate = self.sample_rate
        of = f" of {seconds(self._promised_s)}" if self._promised_s else ""
        first = self.remarks.get(DAMAGED, f"at {seconds(position / rate)}{of}, ").rsplit(", ", 1)[0]
        self.remarks[DAMAGED] = f"{first}, {seconds(gaps / rate)} silent"

    def _look_back(self, there: float, failed: int) -> None:
        """Compare what was decoded with what the file promises."""
        if self._promised_s and there < self._promised_s - self._slack_s:
            if self._stopped:
                self.remarks[LEFT_OUT] = f"what follows {seconds(there)} of {seconds(self._promised_s)}"
            elif there < self._promised_s - _JUMP_S:
                self.remarks[CUT] = f"{seconds(there)} of {seconds(self._promised_s)} are there"
            else:
                self.remarks[LEFT_OUT] = f"its last {seconds(self._promised_s - there)}"
        elif failed and not self._promised_s:
            self.remarks[CUT] = f"breaks off at {seconds(there)}"

    def _frames(
        self, container: av.container.InputContainer
    ) -> Iterator[tuple[np.ndarray | None, int, float | None]]:
        """Yield samples, their rate and their time; None and a number of samples where they are damaged."""
        audio, usual, first = container.streams.audio[self._number], 0, True
        self._read, count, lost = 0, 0, self.format == "aac"
        converters: Converters = {}
        packets = container.demux(audio)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
            except (av.FFmpegError, IndexError):  # IndexError: a stream that vanishes
                self._stopped = True
                yield None, usual or 1, None
                return
            if first and packet.pts is not None:
                first = False
                if packet.pts >= 0 and not self._tells_start:
                    self.remarks[START] = ""
            try:
                frames = packet.decode()
            except av.FFmpegError:
                length = int((packet.duration or 0) * packet.time_base * self.sample_rate)
                yield None, usual or length or 1, None
                if lost and count:
                    yield None, usual * max(0, round(self._lost_bytes() * count / self._read)), None
                    lost = False
                continue
            self._read, count = self._read + packet.size, count + bool(packet.size)
            for frame in frames:
                usual = frame.samples
                time = None if frame.pts is None else float(frame.pts * frame.time_base)
                for converted in _as_floats(frame, converters):
                    yield converted.to_ndarray(), frame.sample_rate, time

    def _lost_bytes(self) -> int:
        """Count the bytes in which no packet is found, of a file that is nothing but packets."""
        with self._open() as container:
            return self._bytes - sum(packet.size for packet in container.demux(container.streams.audio[0]))

    def close(self) -> None:
        """Do nothing: no file stays open between two reads."""


def _as_floats(frame: av.AudioFrame, converters: Converters) -> list[av.AudioFrame]:
    """Convert a frame to planes of float32, with a converter for each kind of frame."""
    if frame.format.name == "fltp":
        return [frame]
    kind = frame.format.name, frame.layout.name, frame.sample_rate
    if kind not in converters:
        converters[kind] = av.AudioResampler("fltp", frame.layout, frame.sample_rate)
    return converters[kind].resample(frame)
