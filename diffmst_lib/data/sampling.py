"""Random draws of segments of songs, for Method 1 and Method 2 of section 3. Chapter: Data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..audio.loudness import BUS_LUFS, MIX_LUFS, level_stems, loudness_each, normalize_tracks
from ..audio.spreading import spread_pans
from ..inputs import InputError, check_limits, limited, one_of
from ..options import BALANCES, SAMPLE_RATE
from .batches import Example
from .names import same_song
from .segments import ENERGY, GRID, SILENCE_LUFS, Windows, find_windows, read_segment
from .songs import Song, Track

DRAWS = 50  # segments tried before an error says that nothing fits

SongWindows = tuple[Song, Windows]  # a song and the windows in which its segments may lie


@dataclass(frozen=True)
class Sampling:
    """Settings with which segments are drawn.

    Args:
        track_lufs: None: a track is a stem of two channels, and the stems of an example keep their balance.
            -100 to 0 LUFS: a track is a mono channel, each at this level, as in the paper (-48). It is the
            same as in the model's config.
        balance: Balance of the stems, whose sum is at `BUS_LUFS`. "delivered": as in the files. "equal": all
            stems equally loud. It has no meaning for channels.
        seconds: Length of a segment and of a reference in seconds, at least 1.
        min_tracks: Minimum of tracks in an example, at least 1.
        max_tracks: Maximum of tracks in an example. The number is drawn between `min_tracks` and
            `max_tracks`. A stereo stem is one track, or two where tracks are channels.
        mixed_songs: Probability (0 to 1) that the stems of an example come from several songs. Each song is
            first brought to `BUS_LUFS` in its own window, by the index, so that every stem has the place in
            the mix that it has in its song.
        nearby_s: None: a segment is continuous. Otherwise its two halves are two moments of the song that do not
            overlap, at most this many seconds apart, with the stems that sound in both.
        energy: Mean square that the mix of a segment must reach, above 0; 0.001 in the paper.
        silence_lufs: Loudness below which a stem is skipped in a segment.
        reference_lufs: Level of references, -100 to 0 LUFS. The paper writes "-16 dBFS" and means LUFS.
        sample_rate: Sample rate in Hz.

    Raises:
        ValueError: For values out of these ranges.

    Example:
        >>> Sampling(seconds=3).max_tracks
        16
    """

    track_lufs: float | None = limited(-100, 0, optional=True, default=None)
    balance: str = one_of(BALANCES, default="delivered")
    seconds: float = limited(1, default=10.0)
    min_tracks: int = limited(1, whole=True, default=4)
    max_tracks: int = limited(1, whole=True, default=16)
    mixed_songs: float = limited(0, 1, default=0.0)
    nearby_s: float | None = limited(0, optional=True, default=None)
    energy: float = limited(0, above=True, default=ENERGY)
    silence_lufs: float = limited(default=SILENCE_LUFS)
    reference_lufs: float = limited(-100, 0, default=MIX_LUFS)
    sample_rate: int = limited(0, above=True, whole=True, default=SAMPLE_RATE)

    def __post_init__(self) -> None:
        check_limits(self)
        if self.min_tracks > self.max_tracks:
            raise ValueError(f"min_tracks cannot be {self.min_tracks} with max_tracks {self.max_tracks}")

    @property
    def moment_s(self) -> float:
        """The length of what is read at once, in seconds: the segment, or its half."""
        return self.seconds if self.nearby_s is None else self.seconds / 2

    @property
    def as_channels(self) -> bool:
        """Whether a track is a mono channel, as in the paper, and not a stem."""
        return self.track_lufs is not None

    def windows(self, song: Song, *, min_tracks: int = 0) -> Windows:
        """Find the windows of a song in which segments may lie.

        Args:
            song: Song of an index.
            min_tracks: Minimum of sounding tracks in a segment.

        Returns:
            Windows. There are none where no segment fits.
        """
        return find_windows(
            song,
            self.moment_s,
            energy=self.energy,
            silence_lufs=self.silence_lufs,
            min_tracks=min_tracks,
            as_channels=self.as_channels,
        )


@dataclass(frozen=True)
class _Part:
    """A stem of an example: its name there, the starts of its moments in seconds, and its gain in dB."""

    name: str
    stem: Track
    starts_s: tuple[float, ...]
    gain_db: float = 0.0


def draw(
    songs: list[SongWindows],
    sampling: Sampling,
    rng: np.random.Generator,
    references: list[SongWindows] | None = None,
) -> Example:
    """Draw an example from songs and, for Method 2, from references.

    Args:
        songs: Songs with stems, each with its windows.
        sampling: Settings of the draw.
        rng: Random number generator.
        references: Finished songs with their windows; None for Method 1.

    Returns:
        Example of a song and, for Method 2, of a reference.

    Raises:
        InputError: When no example was found in `DRAWS` draws.
    """
    for _ in range(DRAWS):
        others, reference = songs, None
        if references is not None:
            reference, reference_windows = references[rng.integers(len(references))]
            others = [(song, windows) for song, windows in songs if not same_song(song, reference)]
            if not others:
                continue
        song, windows = others[rng.integers(len(others))]
        mixed = rng.random() < sampling.mixed_songs
        example = draw_example(song, windows, sampling, rng, others if mixed else None)
        if len(example.names) < sampling.min_tracks:
            continue
        if reference is None:
            return example
        audio, start_s = draw_reference(reference, reference_windows, sampling, rng)
        if audio is not None:
            return replace(example, reference=audio, reference_song=reference.name, reference_start_s=start_s)
    also = " or a reference of another song that is not silent" if references is not None else ""
    raise InputError(f"{DRAWS} draws in a row without {sampling.min_tracks} tracks that sound{also}")


def draw_example(
    song: Song,
    windows: Windows,
    sampling: Sampling,
    rng: np.random.Generator,
    others: list[SongWindows] | None = None,
) -> Example:
    """Draw one segment of a song, with tracks chosen at random.

    Args:
        song: Song that the segment comes from.
        windows: Windows in which its segments may lie.
        sampling: Settings of the draw.
        rng: Random number generator.
        others: Songs from which the stems come, each stem with a start of its own. None: the stems of `song`.

    Returns:
        Example without a reference. It may have fewer than `min_tracks` tracks: a stem that sounds in the
        window can be silent in the segment, and a channel can be silent although its stem sounds.
    """
    starts_s, sounding, _ = _draw_moments(song, windows, sampling, rng)
    if others:
        parts = [_draw_part(others, sampling, rng) for _ in range(2 * sampling.max_tracks)]
    else:
        parts = [
            _Part(stem.name, stem, starts_s) for stem, now in zip(song.stems, sounding, strict=True) if now
        ]
        rng.shuffle(parts)
    wanted = int(rng.integers(sampling.min_tracks, sampling.max_tracks + 1))
    chosen = _choose_parts(parts, wanted, sampling)
    sounds = [
        torch.cat(
            [
                read_segment(part.stem, start_s, sampling.moment_s, sample_rate=sampling.sample_rate)
                for start_s in part.starts_s
            ],
            dim=-1,
        )
        for part in chosen
    ]
    make = _as_channels if sampling.as_channels else _as_stems
    names, tracks, pans = make(chosen, sounds, sampling)
    return Example(tracks, torch.tensor(pans), names, song.name, song.offset_s + starts_s[0])


def _choose_parts(parts: list[_Part], wanted: int, sampling: Sampling) -> list[_Part]:
    """Choose parts for `wanted` tracks, or one less where a stereo stem does not fit; none if too few fit."""
    chosen: dict[str, _Part] = {}
    count = 0
    for limit, enough in ((wanted, wanted), (sampling.max_tracks, sampling.min_tracks)):
        for part in parts:
            size = 2 if sampling.as_channels and not part.stem.mono else 1
            if part.name not in chosen and count < enough and count + size <= limit:
                chosen[part.name] = part
                count += size
    return list(chosen.values()) if count >= sampling.min_tracks else []


def _as_stems(
    parts: list[_Part], sounds: list[torch.Tensor], sampling: Sampling
) -> tuple[list[str], torch.Tensor, list[float]]:
    """Make stems (N, 2, T) in their balance. Return their names, their audio and their pans."""
    rate, length = sampling.sample_rate, round(sampling.seconds * sampling.sample_rate)
    stems = torch.stack([sound.expand(2, -1) for sound in sounds]) if sounds else torch.zeros(0, 2, length)
    loud = [level >= sampling.silence_lufs for level in loudness_each(stems, rate)]
    parts = [part for part, is_loud in zip(parts, loud, strict=True) if is_loud]
    gains = torch.tensor([10.0 ** (part.gain_db / 20.0) for part in parts])
    stems, _ = level_stems(stems[loud] * gains[:, None, None], sampling.balance, sample_rate=rate)
    pans = spread_pans([part.stem.name for part in parts], stems, sample_rate=rate)
    return [part.name for part in parts], stems, pans


def _as_channels(
    parts: list[_Part], sounds: list[torch.Tensor], sampling: Sampling
) -> tuple[list[str], torch.Tensor, list[float]]:
    """Make mono channels (N, T), all at one level, as in the paper. Return the same as `_as_stems`."""
    names = []
    for part in parts:
        names += [part.name] if part.stem.mono else [f"{part.name}.L", f"{part.name}.R"]
    length = round(sampling.seconds * sampling.sample_rate)
    channels = torch.cat(sounds) if sounds else torch.zeros(0, length)
    tracks, gains_db = normalize_tracks(channels, sampling.track_lufs, sample_rate=sampling.sample_rate)
    loud = sampling.track_lufs - gains_db >= sampling.silence_lufs  # False for NaN, silence
    names = [name for name, is_loud in zip(names, loud, strict=True) if is_loud]
    return names, tracks[loud], [0.5] * len(names)


def draw_reference(
    song: Song, windows: Windows, sampling: Sampling, rng: np.random.Generator
) -> tuple[torch.Tensor | None, float]:
    """Draw a segment of a finished song.

    Args:
        song: Song with its mix.
        windows: Windows in which its segments may lie.
        sampling: Settings of the draw.
        rng: Random number generator.

    Returns:
        Audio (2, num_samples) at `reference_lufs`, without its DC offset, and its start in the song in
        seconds. The audio is None where the segment is silent.
    """
    _, start_s = draw_start(song, windows, sampling.seconds, rng)
    audio = read_segment(song.mix, start_s, sampling.seconds, sample_rate=sampling.sample_rate)
    audio = audio - audio.mean(dim=-1, keepdim=True)
    (level,) = loudness_each(audio[None], sampling.sample_rate)
    scaled = audio * 10.0 ** ((sampling.reference_lufs - level) / 20.0) if np.isfinite(level) else None
    return scaled, song.offset_s + start_s


def draw_start(song: Song, windows: Windows, seconds: float, rng: np.random.Generator) -> tuple[int, float]:
    """Draw the start of a segment.

    All starts on a grid of `1 / GRID` s are equally likely. They are whole samples at every usual sample
    rate.

    Args:
        song: Song that the segment comes from.
        windows: Windows in which its segments may lie.
        seconds: Length of the segment in seconds.
        rng: Random number generator.

    Returns:
        Number of the window, and the start in seconds.
    """
    while True:
        window, late = int(rng.integers(len(windows.starts))), int(rng.integers(GRID))
        start_s = float(windows.starts[window]) + late / GRID
        if late == 0 or late / GRID <= windows.slack_s[window] + 1e-6:
            return window, start_s


def _draw_moments(
    song: Song, windows: Windows, sampling: Sampling, rng: np.random.Generator
) -> tuple[tuple[float, ...], np.ndarray, int]:
    """Draw the moments of an example: their starts, the stems that sound in all, the first one's window."""
    window, start_s = draw_start(song, windows, sampling.moment_s, rng)
    sounding = windows.sounding[:, window]
    if sampling.nearby_s is None:
        return (start_s,), sounding, window
    apart = np.abs(windows.starts - start_s)
    near = np.flatnonzero((apart >= sampling.moment_s) & (apart <= sampling.nearby_s))
    if not len(near):
        return (start_s, start_s), np.zeros_like(sounding), window  # a song too short: draw again
    other = int(rng.choice(near))
    return (start_s, float(windows.starts[other])), sounding & windows.sounding[:, other], window


def _draw_part(others: list[SongWindows], sampling: Sampling, rng: np.random.Generator) -> _Part:
    """Draw a sounding stem of any song, with the gain that brings the song's window to `BUS_LUFS`."""
    for _ in range(100 * DRAWS):
        song, windows = others[rng.integers(len(others))]
        starts_s, sounding, window = _draw_moments(song, windows, sampling, rng)
        if sounding.any():
            stem = song.stems[rng.choice(np.flatnonzero(sounding))]
            gain_db = BUS_LUFS - float(windows.level_lufs[window])
            return _Part(f"{song.name}/{stem.name}", stem, starts_s, gain_db)
    raise InputError(
        f"no song has two moments of {sampling.moment_s:g} s, at most {sampling.nearby_s:g} s apart"
    )
