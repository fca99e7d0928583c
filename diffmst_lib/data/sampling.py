"""How segments of songs are drawn, for Method 1 and Method 2 of section 3. Chapter: Data."""

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

DRAWS = 50  # segments tried before a data set is called empty

SongWindows = tuple[Song, Windows]  # a song, and where segments of it may lie
StemStart = tuple[Song, Track, float]  # a song, a stem of it, and the second where a segment starts


@dataclass(frozen=True)
class Sampling:
    """How segments are drawn.

    Args:
        track_lufs: Level of every track, -100 to 0 LUFS, that of the model's config: -48 in the paper, -30 in
            `small` and `tiny`.
        seconds: Length of a segment and of a reference, at least 1 s.
        min_tracks: The fewest tracks of an example, at least 1.
        max_tracks: The most tracks; the number is drawn between the two, and a stereo stem is two tracks.
        mixed_songs: How often (0 to 1) stems of one example come from anywhere in the set and not from one
            song.
        energy: Mean square that the mix of a segment must reach, above 0; 0.001 in the paper.
        silence_lufs: Stems below it in a segment are skipped.
        reference_lufs: Level of references, -100 to 0; the paper's "-16 dBFS" are LUFS.
        sample_rate: Samples a second, in Hz.

    Raises:
        ValueError: For values out of these limits.

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
        """Find where segments of a song may lie.

        Args:
            song: A song of an index.
            min_tracks: Sounding tracks that a segment needs.

        Returns:
            The windows; none where no segment fits.
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
        sampling: How segments are drawn.
        rng: The source of chance.
        references: Finished songs with their windows; None for Method 1.

    Returns:
        The example.

    Raises:
        InputError: When `DRAWS` in a row were no use.
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
        song: The song.
        windows: Where its segments may lie.
        sampling: How segments are drawn.
        rng: The source of chance.
        others: Songs to take every stem from, each at a place of its own; None takes the stems of `song`.

    Returns:
        The example, without a reference. It may have fewer than `min_tracks` tracks: a channel can be silent
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
    """Stems that make `wanted` tracks, or one less where a stereo stem does not fit; none if too few fit."""
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
        song: The song, with its mix.
        windows: Where its segments may lie.
        sampling: How segments are drawn.
        rng: The source of chance.

    Returns:
        The audio (2, num_samples) without its offset at `reference_lufs`, None where the segment is silent,
        and the second of the song in which it starts.
    """
    _, start_s = draw_start(song, windows, sampling.seconds, rng)
    audio = read_segment(song.mix, start_s, sampling.seconds, sample_rate=sampling.sample_rate)
    audio = audio - audio.mean(dim=-1, keepdim=True)
    (level,) = loudness_each(audio[None], sampling.sample_rate)
    scaled = audio * 10.0 ** ((sampling.reference_lufs - level) / 20.0) if np.isfinite(level) else None
    return scaled, song.offset_s + start_s


def draw_start(song: Song, windows: Windows, seconds: float, rng: np.random.Generator) -> tuple[int, float]:
    """Draw where a segment starts: any start as likely as any other, on a grid of whole samples at any rate.

    Args:
        song: The song.
        windows: Where its segments may lie.
        seconds: Length of the segment.
        rng: The source of chance.

    Returns:
        The number of the window, and the start in seconds.
    """
    while True:
        window, late = int(rng.integers(len(windows.starts))), int(rng.integers(GRID))
        start_s = float(windows.starts[window]) + late / GRID
        if late == 0 or late / GRID <= windows.slack_s[window] + 1e-6:
            return window, start_s


def _draw_stem(others: list[SongWindows], seconds: float, rng: np.random.Generator) -> StemStart:
    """A sounding stem from anywhere."""
    song, windows = others[rng.integers(len(others))]
    window, start_s = draw_start(song, windows, seconds, rng)
    return song, song.stems[rng.choice(np.flatnonzero(windows.sounding[:, window]))], start_s
