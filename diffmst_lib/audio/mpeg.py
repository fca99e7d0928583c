"""MP3 and its elder layers, frame by frame: all that a file holds, whatever its table says. Chapter: Data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import av
import numpy as np

from .chunks import read_chunks, size_of
from .remarks import CUT, DAMAGED, RATE, START, seconds
from .resampling import RateKeeper

# Bit rates in kbit/s by (MPEG-1, layer), and sample rates of MPEG-1 in Hz.
_BITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_BITS[False, 3] = _BITS[False, 2]
_RATES = (44100, 48000, 32000)
DECODER_DELAY = 529  # samples that every decoder of layer 3 adds to the delay of the encoder


class Header(NamedTuple):
    """The first four bytes of a frame: its kind (version, layer, rate), size in bytes, samples, channels."""

    kind: tuple[int, int, int]
    size: int
    samples: int
    channels: int


class Frame(NamedTuple):
    """A frame: its place, its header, whether it is whole, and frames (at first bytes) missing before it."""

    position: int
    header: Header
    whole: bool
    missing: int


@dataclass
class Section:
    """A run of frames with one table, such as each of two MP3s that were joined.

    Attributes:
        frames: The frames, without the one that holds the table.
        promised: Number of frames that the table counts, or None.
        delay: Samples that the encoder put in front; None where the table does not tell.
        padding: Samples that it put behind.
    """

    frames: list[Frame] = field(default_factory=list)
    promised: int | None = None
    delay: int | None = None
    padding: int = 0

    @property
    def rate(self) -> int:
        """The sample rate of the first frame in Hz."""
        return self.frames[0].header.kind[2]

    @property
    def count(self) -> int:
        """The number of frames, those included that are missing."""
        return sum(1 + frame.missing for frame in self.frames)

    @property
    def samples(self) -> int:
        """The number of samples, without what is dropped."""
        return sum((1 + frame.missing) * frame.header.samples for frame in self.frames) - sum(self.trims)

    @property
    def trims(self) -> tuple[int, int]:
        """How many samples to drop in front and behind, as far as the table tells and is right."""
        if self.delay is None:
            return 0, 0
        layer3 = DECODER_DELAY if self.frames[0].header.kind[1] == 3 else 0
        right = self.promised is not None and abs(self.promised - self.count) <= 1
        return self.delay + layer3, max(0, self.padding - layer3) if right else 0


def read_header(four: bytes) -> Header | None:
    r"""Read the header of a frame.

    Args:
        four: Four bytes.

    Returns:
        What they say, or None where no frame begins.

    Example:
        >>> read_header(b"\xff\xfb\x90\x64")
        Header(kind=(3, 3, 44100), size=417, samples=1152, channels=2)
    """
    if len(four) < 4 or four[0] != 0xFF or four[1] & 0xE0 != 0xE0:
        return None
    version, layer = four[1] >> 3 & 3, 4 - (four[1] >> 1 & 3)
    bits, rate = four[2] >> 4, four[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    hz = _RATES[rate] >> (0 if version == 3 else 1 if version == 2 else 2)
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    slot = 4 if layer == 1 else 1
    kbit = _BITS[version == 3, layer][bits - 1]
    size = (samples // 8 * kbit * 1000 // hz // slot + (four[2] >> 1 & 1)) * slot
    return Header((version, layer, hz), size, samples, 1 if four[3] >> 6 == 3 else 2)


def mpeg_range(file: BinaryIO) -> tuple[int, int] | None:
    """Find out whether a file is MP3, also within a WAV.

    Args:
        file: The file.

    Returns:
        Where the frames begin and end, tags included; None for other files.
    """
    end = size_of(file)
    file.seek(0)
    if file.read(4) in (b"RIFF", b"RF64"):
        is_mpeg = False
        for chunk in read_chunks(file):
            if chunk.name == "fmt ":
                file.seek(chunk.start)
                is_mpeg = file.read(2) in (b"\x55\0", b"\x50\0")
            elif chunk.name == "data" and is_mpeg:
                return chunk.start, min(end, chunk.start + chunk.size)
        return None
    file.seek(0)
    start = _skip_tags(file, 0)
    file.seek(start)
    first = read_header(file.read(4))
    if first is None or start + first.size > end:
        return None
    file.seek(start + first.size)
    four = file.read(4)
    second = read_header(four)
    follows = second is not None and second.kind == first.kind
    return (start, end) if follows or four[:3] in (b"", b"TAG", b"APE", b"ID3") else None


def looks_like_mpeg(file: BinaryIO) -> bool:
    """Tell whether a file begins like MP3 or AAC without a container, even if nothing follows.

    Args:
        file: The file.
    """
    file.seek(_skip_tags(file, 0))
    four = file.read(4)
    free = len(four) == 4 and four[2] < 16  # of a bit rate that the header does not name
    return len(four) > 1 and four[0] == 0xFF and four[1] & 0xE0 == 0xE0 and not free


def _skip_tags(file: BinaryIO, position: int) -> int:
    """Return where the tags end that begin at a position."""
    while True:
        file.seek(position)
        size = _tag_size(file.read(32))
        if not size:
            return position
        position += size


def _tag_size(head: bytes) -> int:
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 128:
        size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        return size + (20 if head[5] & 0x10 else 10)
    if head[:8] == b"APETAGEX" and len(head) == 32:
        return int.from_bytes(head[12:16], "little") + (32 if head[23] & 0x20 else 0)
    return 128 if head[:3] == b"TAG" else 0


class MpegDecoder:
    """MPEG audio that is decoded frame by frame with FFmpeg's decoders.

    Args:
        file: The open file.
        start: Position of the first frame.
        stop: Position of the end.

    Attributes:
        sample_rate: Sample rate of the first frame in Hz.
        channels: Its number of channels.
        remarks: What is not right with the file, see `remarks`.

    Raises:
        ValueError: When there is no whole frame.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int):
        self._file, self.remarks = file, dict[str, str]()
        self._gaps: dict[float, float] = {}  # length by position, in seconds
        file.seek(start)
        self._sections, self._broken_off = _sections(file.read(stop - start), start)
        if not self._sections:
            raise ValueError("an MP3 without one whole frame, damaged or cut short: fetch or export it again")
        first = self._sections[0].frames[0].header
        self.sample_rate, self.channels = first.kind[2], first.channels
        self._look()

    @property
    def expected(self) -> int:
        """Number of samples that are likely to come."""
        return sum(section.samples * self.sample_rate // section.rate for section in self._sections)

    def _look(self) -> None:
        """Compare the frames with what the tables say of them."""
        first, last = self._sections[0], self._sections[-1]
        frames = [frame for section in self._sections for frame in section.frames]
        there = sum((1 + frame.missing) * frame.header.samples / frame.header.kind[2] for frame in frames)
        self.seconds = there
        missing = (last.promised or 0) - last.count
        if missing > 1:
            more = missing * last.frames[0].header.samples / last.rate
            self.remarks[CUT] = f"{seconds(there)} of {seconds(there + more)} are there"
        elif self._broken_off:
            self.remarks[CUT] = f"breaks off at {seconds(there)}"
        time = 0.0
        for frame in frames:
            samples, rate = frame.header.samples, frame.header.kind[2]
            if frame.missing:
                self._gap(time, frame.missing * samples / rate)
            time += frame.missing * samples / rate
            if rate != self.sample_rate and RATE not in self.remarks:
                self.remarks[RATE] = f"from {self.sample_rate} to {rate} Hz at {seconds(time)}"
            time += samples / rate
        if first.delay is None:
            self.remarks[START] = ""

    def _gap(self, time: float, length: float) -> None:
        self._gaps[time] = length
        silent = sum(self._gaps.values())
        self.remarks[DAMAGED] = (
            f"at {seconds(min(self._gaps))} of {seconds(self.seconds)}, {seconds(silent)} silent"
        )

    def decode(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all chunks and where they begin."""
        keeper, position, time = RateKeeper(self.sample_rate, self.channels), 0, 0.0
        for section in self._sections:
            front, left = section.trims[0], section.samples
            for samples, rate in self._decoded(section, time):
                time += samples.shape[1] / rate
                kept = samples[:, front : front + left]
                front, left = max(0, front - samples.shape[1]), left - kept.shape[1]
                chunk = keeper.take(kept, rate)
                if chunk.shape[1]:
                    yield position, chunk
                    position += chunk.shape[1]
        yield position, keeper.rest()

    def _decoded(self, section: Section, time: float) -> Iterator[tuple[np.ndarray, int]]:
        """Yield the samples of each frame and their rate, silence for what is missing or damaged."""
        layer = section.frames[0].header.kind[1]
        decoder: av.CodecContext | None = None
        for position, header, whole, missing in section.frames:
            rate = header.kind[2]
            if missing:
                decoder = None
                yield np.zeros((header.channels, missing * header.samples), np.float32), rate
                time += missing * header.samples / rate
            if decoder is None:  # anew after a gap: with half of what it needs it would give noise
                decoder = av.CodecContext.create(f"mp{layer}float", "r")
            self._file.seek(position)
            parts = []
            with suppress(av.FFmpegError):
                if whole:
                    parts = decoder.decode(av.Packet(self._file.read(header.size)))
            if parts:
                yield np.concatenate([part.to_ndarray() for part in parts], axis=1), rate
            else:
                decoder = None
                self._gap(time, header.samples / rate)
                yield np.zeros((header.channels, header.samples), np.float32), rate
            time += header.samples / rate

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _sections(data: bytes, offset: int) -> tuple[list[Section], bool]:
    """Find all frames, and tell whether the last one is cut."""
    sections, position, lost = [Section()], 0, 0
    kind, broken_off, end = None, False, len(data)
    while position < end:
        header = read_header(data[position : position + 4])
        if header and (header.kind == kind or _is_frame(data, position, header)):
            if position + header.size > end:
                broken_off = True
                break
            table = _table(data[position : position + header.size], header)
            if table and not lost:
                sections.append(table)
            else:
                if lost and sections[-1].frames:  # what came just before was hit as well
                    sections[-1].frames[-1] = sections[-1].frames[-1]._replace(whole=False)
                if _ends(sections[-1], header):
                    sections.append(Section())
                sections[-1].frames.append(Frame(offset + position, header, True, lost))
            kind, lost = header.kind, 0
            position += header.size
        elif tag := _tag_size(data[position : position + 32]):
            position += tag
        else:
            found = _next_frame(data, position + 1, kind)
            lost += found - position
            position = found
    sections = [section for section in sections if section.frames]
    for section in sections:
        _fill(section, broken_off and section is sections[-1])
    return sections, broken_off


def _ends(section: Section, header: Header) -> bool:
    """Tell whether a frame belongs to another file than the section before it."""
    if not section.frames:
        return False
    last = section.frames[-1].header
    at_end = len(section.frames) == section.promised and header.channels != last.channels
    return header.kind != last.kind or at_end


def _fill(section: Section, broken_off: bool) -> None:
    """Estimate how many frames are missing in each gap; where bytes are missing, the table tells."""
    frames = section.frames
    size = sum(frame.header.size for frame in frames) / len(frames)
    for place, frame in enumerate(frames):
        if frame.missing:
            frames[place] = frame._replace(missing=round(frame.missing / size))
    hit = [place for place in range(1, len(frames)) if not frames[place - 1].whole]
    missing = (section.promised or 0) - section.count
    if hit and 0 < missing <= len(frames) and not broken_off:
        place = max(hit, key=lambda place: frames[place].missing)
        frames[place] = frames[place]._replace(missing=frames[place].missing + missing)


def _is_frame(data: bytes, position: int, header: Header) -> bool:
    """Tell whether another frame of this kind follows, or the end, or a tag."""
    after = position + header.size
    following = read_header(data[after : after + 4])
    if following:
        return following.kind == header.kind
    return after == len(data) or _tag_size(data[after : after + 32]) > 0


def _next_frame(data: bytes, position: int, kind: tuple[int, int, int] | None) -> int:
    """Search for the next frame or tag."""
    while (position := data.find(b"\xff", position)) >= 0:
        header = read_header(data[position : position + 4])
        if header and kind in (None, header.kind) and _is_frame(data, position, header):
            return position
        position += 1
    return len(data)


def _table(frame: bytes, header: Header) -> Section | None:
    """Read the table in a frame, of LAME or others (Xing, Info) or of Fraunhofer (VBRI)."""
    version, layer, _ = header.kind
    if layer != 3:
        return None
    if frame[36:40] == b"VBRI":
        return Section(promised=int.from_bytes(frame[50:54], "big"))
    side = (32 if header.channels == 2 else 17) if version == 3 else (17 if header.channels == 2 else 9)
    place = next((p for p in (4 + side, 6 + side) if frame[p : p + 4] in (b"Xing", b"Info")), None)
    if place is None:
        return None
    flags, place, section = int.from_bytes(frame[place + 4 : place + 8], "big"), place + 8, Section()
    if flags & 1:
        section.promised = int.from_bytes(frame[place : place + 4], "big")
    place += sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    both = int.from_bytes(frame[place + 21 : place + 24], "big")
    if both:
        section.delay, section.padding = both >> 12, both & 0xFFF
    return section
