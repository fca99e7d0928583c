"""Random draws of segments of songs, for Method 1 and Method 2 of section 3. Chapter: Data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..audio.loudness import MIX_LUFS, SAMPLE_RATE, loudness_each, normalize_tracks
from ..audio.multitrack import Multitrack
from ..inputs import InputError, check_limits, limited
from .batches import Example
from .names import same_song
from .segments import ENERGY, GRID, SILENCE_LUFS, Windows, find_windows, read_segment
from .songs import Song, Track

DRAWS = 50  # segments tried before an error says that nothing fits

SongWindows = tuple[Song, Windows]  # a song and the windows in which its segments may lie
StemStart = tuple[Song, Track, float]  # a song, one of its stems, and the start of a segment in seconds


@dataclass(frozen=True)
class Sampling:
    """Settings with which segments are drawn.

    Args:
        track_lufs: Level of every track, -100 to 0 LUFS, as in the model's config: -48 in the paper, -30 in
            `small` and `tiny`.
        seconds: Length of a segment and of a reference in seconds, at least 1.
        min_tracks: Minimum of tracks in an example, at least 1.
        max_tracks: Maximum of tracks in an example. A stereo stem counts as two tracks. The number is drawn
            between `min_tracks` and `max_tracks`.
        mixed_songs: Probability (0 to 1) that the stems of an example come from several songs.
        energy: Mean square that the mix of a segment must reach, above 0; 0.001 in the paper.
        silence_lufs: Loudness below which a stem is skipped in a segment.
        reference_lufs: Level of references, -100 to 0 LUFS. The paper writes "-16 dBFS" and means LUFS.
        sample_rate: Sample rate in Hz.

    Raises:
        ValueError: For values out of these ranges.

    Example:
        >>> Sampling(track_lufs=-30).max_tracks
        16
    """

    track_lufs: float = limited(-100, 0)
    seconds: float = limited(1, default=10.0)
    min_tracks: int = limited(1, whole=True, default=4)
    max_tracks: int = limited(1, whole=True, default=16)
    mixed_songs: float = limited(0, 1, default=0.0)
    energy: float = limited(0, above=True, default=ENERGY)
    silence_lufs: float = limited(default=SILENCE_LUFS)
    reference_lufs: float = limited(-100, 0, default=MIX_LUFS)
    sample_rate: int = limited(0, above=True, whole=True, default=SAMPLE_RATE)

    def __post_init__(self) -> None:
        check_limits(self)
        if self.min_tracks > self.max_tracks:
            raise ValueError(f"min_tracks cannot be {self.min_tracks} with max_tracks {self.max_tracks}")

    def windows(self, song: Song, *, min_tracks: int = 0) -> Windows:
        """Find the windows of a song in which segments may lie.

        Args:
            song: Song of an index.
            min_tracks: Minimum of sounding tracks in a segment.

        Returns:
            Windows. There are none where no segment fits.
        """
        return find_windows(
            song, self.seconds, energy=self.energy, silence_lufs=self.silence_lufs, min_tracks=min_tracks
        )


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
        Example without a reference. It may have fewer than `min_tracks` tracks: a channel can be silent
        although its stem sounds.
    """
    window, start_s = draw_start(song, windows, sampling.seconds, rng)
    stems: list[StemStart]
    if others:
        stems = [_draw_stem(others, sampling.seconds, rng) for _ in range(2 * sampling.max_tracks)]
    else:
        sounding = windows.sounding[:, window]
        stems = [(song, stem, start_s) for stem, sounds in zip(song.stems, sounding, strict=True) if sounds]
        rng.shuffle(stems)
    wanted = int(rng.integers(sampling.min_tracks, sampling.max_tracks + 1))
    tracks: dict[str, tuple[torch.Tensor, str]] = {}  # name -> audio, channel
    for name, stem, stem_start_s in _choose_stems(stems, wanted, sampling, bool(others)):
        channels = {name: "mono"} if stem.mono else {f"{name}.L": "left", f"{name}.R": "right"}
        audio = read_segment(stem, stem_start_s, sampling.seconds, sample_rate=sampling.sample_rate)
        for (track_name, channel), track in zip(channels.items(), audio, strict=True):
            tracks[track_name] = (track, channel)
    names = list(tracks)
    if not names:
        nothing = torch.zeros(0, round(sampling.seconds * sampling.sample_rate))
        return Example(nothing, torch.zeros(0), [], song.name, song.offset_s + start_s)
    audio, gains_db = normalize_tracks(
        torch.stack([track for track, _ in tracks.values()]),
        sampling.track_lufs,
        sample_rate=sampling.sample_rate,
    )
    loud = sampling.track_lufs - gains_db >= sampling.silence_lufs  # False for NaN, silence
    names = [name for name, is_loud in zip(names, loud, strict=True) if is_loud]
    sides = Multitrack(names, audio[loud], sampling.sample_rate, [tracks[name][1] for name in names]).sides()
    return Example(audio[loud], torch.tensor(sides), names, song.name, song.offset_s + start_s)


def _choose_stems(
    stems: list[StemStart], wanted: int, sampling: Sampling, mixed: bool
) -> list[tuple[str, Track, float]]:
    """Choose stems for `wanted` tracks, or one less where a stereo stem does not fit; none if too few fit."""
    chosen: dict[str, tuple[str, Track, float]] = {}
    count = 0
    for limit, enough in ((wanted, wanted), (sampling.max_tracks, sampling.min_tracks)):
        for song, stem, start_s in stems:
            name, size = f"{song.name}/{stem.name}" if mixed else stem.name, 1 if stem.mono else 2
            if name not in chosen and count < enough and count + size <= limit:
                chosen[name] = (name, stem, start_s)
                count += size
    return list(chosen.values()) if count >= sampling.min_tracks else []


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


def _draw_stem(others: list[SongWindows], seconds: float, rng: np.random.Generator) -> StemStart:
    """Draw a sounding stem of any song."""
    song, windows = others[rng.integers(len(others))]
    window, start_s = draw_start(song, windows, seconds, rng)
    return song, song.stems[rng.choice(np.flatnonzero(windows.sounding[:, window]))], start_s
