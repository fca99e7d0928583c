"""A song as named stems, and the checks of a song and a reference. Chapter: A first mix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..disk import composed
from ..inputs import InputError, note
from ..options import SAMPLE_RATE
from .loudness import loudness, loudness_each
from .polarity import opposite_pairs
from .remarks import few
from .sources import Source, StemSources
from .sums import sums_of_others

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Multitrack", "Source", "check_song", "check_stereo"]

# A peak this far above full scale is no loud mix: float files hold integers, such as 16-bit samples.
INTEGER_PEAK = 100.0
CONSTANT = 1e-3  # of its peak: what moves less is no sound
MOST_STEMS = 64  # of a song
LOUDEST_LUFS = 76.0  # of a song: trim and output gain of the console take away 96 dB


@dataclass(repr=False)
class Multitrack:
    """A song as stems.

    Attributes:
        names: A name for each stem.
        audio: Audio (N, 2, num_samples), float32 or float64. A mono stem has two equal channels.
        sample_rate: Sample rate in Hz.
        title: The song's name, for people.
        roles: What stems are, said by hand: {name: role}, "voice", "drums", "bass", "keys", "guitar" or "other".
            It overrules what names and sound say, see `roles`.

    Raises:
        ValueError: For names and audio that do not fit each other, and for two stems of one name.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> song.audio.shape[:2] == (len(song.names), 2)
        True
    """

    names: list[str]
    audio: torch.Tensor
    sample_rate: int = SAMPLE_RATE
    title: str = ""
    roles: dict[str, str] = field(default_factory=dict, repr=False)
    _known: StemSources | None = field(default=None, init=False, repr=False, compare=False)
    _whole: tuple[Multitrack, int] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.audio, torch.Tensor) or self.audio.dtype not in (torch.float32, torch.float64):
            kind = getattr(self.audio, "dtype", type(self.audio).__name__)
            raise ValueError(f"audio must be a float32 tensor (num_stems, 2, num_samples), got {kind}")
        if self.audio.ndim != 3 or self.audio.shape[:2] != (len(self.names), 2):
            raise ValueError(
                f"{len(self.names)} names need audio ({len(self.names)}, 2, num_samples), "
                f"got {tuple(self.audio.shape)}"
            )
        names = [composed(name) for name in self.names]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"several stems are named {', '.join(doubles)}")

    def __repr__(self) -> str:
        return f"Multitrack({self.title or 'untitled'}: {', '.join(self.names)}; {self.duration_s:.1f} s)"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.audio.shape[-1] / self.sample_rate

    @property
    def stems(self) -> dict[str, torch.Tensor]:
        """The stems: {name: (2, num_samples)}."""
        return dict(zip(self.names, self.audio, strict=True))

    @property
    def sources(self) -> dict[str, Source | None]:
        """Where each stem lies on disk: {name: (path, start_s) or None}.

        None where no file holds the stem as it is here: it was made from arrays or edited, its file has two
        stems, or only one of its sides, or is damaged, or has changed since. Whoever makes a song by hand may
        set this. Every sample is looked at, to see whether the stems are still those that were read.

        Raises:
            ValueError: When it is set with the name of a stem that is not there.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").select("kick", "alt_hats")
            >>> song.audio[0] *= 0.5
            >>> {name: source and (source.path.name, source.start_s) for name, source in song.sources.items()}
            {'alt_hats': None, 'kick': ('kick.ogg', 0.0)}
        """
        if self._whole is not None:
            return dict(zip(self.names, self._sources_of_excerpt(*self._whole), strict=True))
        known = [None] * len(self.names) if self._known is None else self._known.of(self.audio)
        return dict(zip(self.names, known, strict=True))

    @sources.setter
    def sources(self, sources: Mapping[str, Source | None]) -> None:
        if unknown := [name for name in sources if name not in self.names]:
            raise ValueError(f"no stem {', '.join(unknown)}: there are {', '.join(self.names)}")
        rows = [sources.get(name) for name in self.names]
        self._known, self._whole = StemSources([row and Source(*row) for row in rows], self.audio), None

    def _sources_of_excerpt(self, whole: Multitrack, first: int) -> list[Source | None]:
        """Shift the sources of the song that this is a part of, where its stems still are this one's."""
        last, start_s = first + self.audio.shape[-1], first / self.sample_rate
        known, there = list(whole.sources.values()), whole.audio[..., first:last]
        if len(known) != len(self.names) or there.shape != self.audio.shape:
            return [None] * len(self.names)
        return [
            source._replace(start_s=source.start_s - start_s) if source and torch.equal(a, b) else None
            for source, a, b in zip(known, there, self.audio, strict=True)
        ]

    def is_mono(self) -> list[bool]:
        """Tell of each stem whether its two channels are equal."""
        return [torch.equal(left, right) for left, right in self.audio]

    def as_channels(self) -> tuple[list[str], torch.Tensor]:
        """List the stems as the paper takes them: every channel of a stereo stem is a track of its own.

        Returns:
            Names, "x.L" and "x.R" of a stereo stem x and "x" of a mono one, and audio (M, num_samples).

        Example:
            >>> kick = torch.ones(2, 8)
            >>> pad = torch.tensor([[1.0], [-1.0]]) * kick
            >>> Multitrack(["kick", "pad"], torch.stack([kick, pad])).as_channels()[0]
            ['kick', 'pad.L', 'pad.R']
        """
        names, rows = [], []
        for name, stem, mono in zip(self.names, self.audio, self.is_mono(), strict=True):
            names += [name] if mono else [f"{name}.L", f"{name}.R"]
            rows += [stem[0]] if mono else [*stem]
        return names, torch.stack(rows)

    def excerpt(self, start_s: float, duration_s: float) -> Multitrack:
        """Cut a part out of the song.

        Args:
            start_s: Where it begins, in seconds.
            duration_s: Its length in seconds; it is shorter when the song ends earlier.

        Returns:
            A song whose audio is a view of this one's.

        Raises:
            ValueError: When the song has nothing there.
        """
        first, length = round(start_s * self.sample_rate), round(duration_s * self.sample_rate)
        audio = self.audio[..., first : first + length] if first >= 0 and length > 0 else self.audio[..., :0]
        if audio.shape[-1] == 0:
            raise ValueError(f"nothing at {start_s} s in a song of {self.duration_s:.1f} s")
        part = Multitrack(list(self.names), audio, self.sample_rate, self.title, dict(self.roles))
        part._whole = self, first
        return part

    def select(self, *stems: str) -> Multitrack:
        """Keep only some stems, in the song's order.

        Args:
            stems: Their names.

        Returns:
            A song with these stems.

        Raises:
            KeyError: With the names of the stems that are missing.

        Example:
            >>> import diffmst_lib as dm
            >>> dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").select("kick", "alt_hats").names
            ['alt_hats', 'kick']
        """
        names, wanted = [composed(name) for name in self.names], [composed(name) for name in stems]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise KeyError(f"no stem {', '.join(missing)}: there are {', '.join(names)}")
        keep = [i for i, name in enumerate(names) if name in wanted]
        names = [self.names[i] for i in keep]
        roles = {name: role for name, role in self.roles.items() if name in names}
        song = Multitrack(names, self.audio[keep], self.sample_rate, self.title, roles)
        sources = self.sources
        if any(sources.values()):
            song.sources = {name: sources[name] for name in song.names}
        return song

    def levels(self) -> pd.DataFrame:
        """Measure the stems.

        Returns:
            A table, one row per stem: `channels`, `loudness_lufs`, `peak_dbfs`, `crest_factor_db`; for
            silence the levels are -inf.
        """
        import pandas as pd

        rows = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for (name, stem), mono in zip(self.stems.items(), self.is_mono(), strict=True):
                peak, power = _peak(stem), stem.square().mean().item()
                rows[name] = {
                    "channels": 1 if mono else 2,
                    "loudness_lufs": loudness(stem, sample_rate=self.sample_rate),
                    "peak_dbfs": float(20 * np.log10(peak)),
                    "crest_factor_db": float(20 * np.log10(peak) - 10 * np.log10(power)),
                }
        return pd.DataFrame(rows).T.astype({"channels": int}).rename_axis("stem")


def check_song(song: Multitrack) -> list[float]:
    """Check that a song can be mixed, and measure its stems.

    Stems with a DC offset that makes up more than 1 % of a channel's power are reported in an InputNote, and
    stems whose peak is so far above full scale that their samples must be integers, pairs of stems of opposite
    polarity, and stems that are a mix of others.

    Args:
        song: The song to check.

    Returns:
        Loudness of each stem in LUFS, -inf for silence.

    Raises:
        InputError: About the "song", for more than `MOST_STEMS` stems, for NaN or infinite samples and for levels
            that no sound has, with the name of the stem, when every stem is silent, that is below -70 LUFS, and
            when the stems cancel each other.
    """
    called = song.title or "the song"
    if len(song.names) > MOST_STEMS:
        raise InputError(
            f"{called}: {len(song.names)} stems, at most {MOST_STEMS} can be mixed: sum some of them first, such as "
            "the microphones of one instrument",
            about="song",
        )
    levels = loudness_each(song.audio, song.sample_rate)
    for name, level in zip(song.names, levels, strict=True):
        if math.isnan(level):
            raise InputError(f"stem {name} holds NaN or infinite samples", about="song")
    if not any(math.isfinite(level) for level in levels):
        raise InputError(f"{called}: all {len(song.names)} stems are silent", about="song")
    together = loudness(song.audio.sum(dim=0), sample_rate=song.sample_rate)
    if max(together, *levels) > LOUDEST_LUFS:
        name = song.names[levels.index(max(levels))]
        peak = _peak(song.stems[name])
        raise InputError(
            f"stem {name} peaks at {peak:.2g} times full scale, too loud for any console: is its file damaged, "
            "or are its samples integers?",
            about="song",
        )
    if not math.isfinite(together):
        raise InputError(
            f"{called}: the stems cancel, their sum is silent: is one of them a copy of opposite polarity?",
            about="song",
        )
    _tell_odd_levels(song)
    return levels


def _tell_odd_levels(song: Multitrack) -> None:
    offsets, integers = [], []
    for name, stem in song.stems.items():
        if (offset := _offset(stem)) is not None:
            offsets.append(f"{name} ({offset:.2g})")
        if (peak := _peak(stem)) > INTEGER_PEAK:
            integers.append(f"{name} ({peak:.0f})")
    if offsets:
        note(f"with a DC offset, which takes headroom; a high-pass filter removes it: {few(offsets)}")
    if opposite := opposite_pairs(song.names, song.audio):
        note(f"of opposite polarity, and so they cancel each other: {few(opposite)}; invert one of them")
    if sums := sums_of_others(song.names, song.audio):
        note(f"a mix of other stems, which are heard twice that way: {few(sums)}; leave one or the other out")
    if integers:
        note(f"peaks far above full scale, as of integers in a float file; used as they are: {few(integers)}")


def _offset(audio: torch.Tensor) -> float | None:
    """Return the DC offset of a sound (2, num_samples) that makes up over 1 % of a channel's power."""
    offset = audio.mean(dim=-1)
    power = torch.linalg.vector_norm(audio, dim=-1).square() / audio.shape[-1]  # needs no copy
    if bool((offset.square() > 0.01 * power).any()):
        return offset.abs().max().item()
    return None


def _peak(audio: torch.Tensor) -> float:
    """Return the largest magnitude of a sound, without a copy of it."""
    return torch.linalg.vector_norm(audio, ord=math.inf).item()


def check_stereo(
    audio: torch.Tensor, what: str = "the reference", *, sample_rate: float = SAMPLE_RATE
) -> tuple[torch.Tensor, float]:
    """Check that audio is a stereo mix that can serve as a reference, and measure it.

    A DC offset that makes up more than 1 % of a channel's power is reported in an InputNote.

    Args:
        audio: Audio (2, num_samples) or (1, 2, num_samples), floating point.
        what: What messages call it.
        sample_rate: Sample rate in Hz.

    Returns:
        The audio (2, num_samples), not copied, and its loudness in LUFS.

    Raises:
        InputError: About the "reference", in one line, when it is not a tensor, not floating point, not
            stereo, silent, constant or not finite.
    """
    if not isinstance(audio, torch.Tensor):
        raise _unfit(f"{what} is a {type(audio).__name__}; a tensor (2, num_samples) is needed")
    if not audio.dtype.is_floating_point:
        kind = str(audio.dtype).removeprefix("torch.")
        raise _unfit(f"{what} is {kind}; floating point in [-1, 1] is needed")
    if audio.ndim == 3:
        if audio.shape[0] != 1:
            raise _unfit(f"{what} is a batch of {audio.shape[0]} sounds; one is needed")
        audio = audio[0]
    if audio.ndim not in (1, 2):
        raise _unfit(f"{what} has the shape {tuple(audio.shape)}; (2, num_samples) is needed")
    if audio.ndim == 1 or audio.shape[0] != 2:
        channels = 1 if audio.ndim == 1 else audio.shape[0]
        hint = ", so transpose it" if audio.ndim == 2 and audio.shape[1] == 2 else ""
        raise _unfit(f"{what} has {channels} channel{'s' * (channels != 1)}; a stereo mix is needed{hint}")
    lufs = loudness(audio, sample_rate=sample_rate)
    if math.isnan(lufs):
        raise _unfit(f"{what} holds NaN or infinite samples")
    if math.isinf(lufs):
        raise _unfit(f"{what} is silent")
    if audio.std(dim=-1).max() < CONSTANT * _peak(audio):
        raise _unfit(f"{what} is nothing but a DC offset")
    if (offset := _offset(audio)) is not None:
        note(
            f"{what} has a DC offset of {offset:.2g}, which nobody hears but the features count; "
            "subtract its mean to remove it"
        )
    return audio, lufs


def _unfit(message: str) -> InputError:
    return InputError(message, about="reference")
