"""A song as named tracks, and the checks of a song and a reference. Chapter: A first mix."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..inputs import InputError, note
from .loudness import SAMPLE_RATE, loudness

if TYPE_CHECKING:
    import pandas as pd

MONO_SIDE = 0.5  # side of mono stems when stereo stems sound as well


@dataclass
class Multitrack:
    """A song as mono tracks.

    A stereo stem is two tracks, "name.L" and "name.R", as in the paper.

    Attributes:
        names: A name for each track.
        audio: Audio (num_tracks, num_samples), float32 or float64.
        sample_rate: Sample rate in Hz.
        channels: For each track "left", "right" or "mono"; by default what its name says.
        title: The song's name, for people.

    Raises:
        ValueError: For names, audio and channels that do not fit each other, and for two tracks of one name.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> song.audio.shape[0] == len(song.names)
        True
    """

    names: list[str]
    audio: torch.Tensor
    sample_rate: int = SAMPLE_RATE
    channels: list[str] = field(default_factory=list)
    title: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.audio, torch.Tensor) or self.audio.dtype not in (torch.float32, torch.float64):
            kind = getattr(self.audio, "dtype", type(self.audio).__name__)
            raise ValueError(f"audio must be a float32 tensor (num_tracks, num_samples), got {kind}")
        if self.audio.ndim != 2 or self.audio.shape[0] != len(self.names):
            raise ValueError(
                f"{len(self.names)} names need audio ({len(self.names)}, num_samples), "
                f"got {tuple(self.audio.shape)}"
            )
        doubles = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubles:
            raise ValueError(f"several tracks are named {', '.join(doubles)}")
        if not self.channels:
            sides = {".L": "left", ".R": "right"}
            self.channels = [sides.get(name[-2:], "mono") for name in self.names]
        if len(self.channels) != len(self.names) or not set(self.channels) <= {"left", "right", "mono"}:
            raise ValueError(f"channels must be {len(self.names)} of left, right, mono, got {self.channels}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.audio.shape[-1] / self.sample_rate

    @property
    def stems(self) -> dict[str, torch.Tensor]:
        """The stems, mono or stereo as loaded: {name: (1 or 2, num_samples)}."""
        stems: dict[str, list[torch.Tensor]] = {}
        for name, track in zip(self.stem_of_track(), self.audio, strict=True):
            stems.setdefault(name, []).append(track)
        return {name: torch.stack(tracks) for name, tracks in stems.items()}

    def stem_of_track(self) -> list[str]:
        """Return the name of the stem of each track."""
        pairs = zip(self.names, self.channels, strict=True)
        return [name if channel == "mono" else name[:-2] for name, channel in pairs]

    def spread_pans(self) -> list[float]:
        """Return pans from 0 (left) to 1 (right), for a mix with some width to start from.

        Left and right channels go to their sides. Mono stems alternate in the alphabetical order of their
        names.
        """
        left = self._every_other_mono()
        return [
            0.18 if channel == "left" or name in left else 0.82
            for name, channel in zip(self.names, self.channels, strict=True)
        ]

    def sides(self) -> list[float]:
        """Return the side of each track from -1 (left) to 1 (right), as an input for a network.

        Channels of stereo stems are -1 and 1. Two or more mono stems alternate in the alphabetical order of
        their names: half of the way to the sides when stereo stems sound as well, otherwise all the way. If
        all of them were in the middle, a network could not tell which to pan to which side.
        """
        sounding = {
            channel for channel, track in zip(self.channels, self.audio, strict=True) if bool(track.any())
        }
        sides = {"left": -1.0, "mono": 0.0, "right": 1.0}
        if self.channels.count("mono") < 2:
            return [sides[channel] for channel in self.channels]
        left, away = self._every_other_mono(), MONO_SIDE if sounding & {"left", "right"} else 1.0
        return [
            sides[channel] or (-away if name in left else away)
            for name, channel in zip(self.names, self.channels, strict=True)
        ]

    def _every_other_mono(self) -> set[str]:
        pairs = zip(self.names, self.channels, strict=True)
        return set(sorted(name for name, channel in pairs if channel == "mono")[::2])

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
        audio = self.audio[:, first : first + length] if first >= 0 and length > 0 else self.audio[:, :0]
        if audio.shape[-1] == 0:
            raise ValueError(f"nothing at {start_s} s in a song of {self.duration_s:.1f} s")
        return Multitrack(list(self.names), audio, self.sample_rate, list(self.channels), self.title)

    def select(self, *stems: str) -> Multitrack:
        """Keep only some stems, in the song's order.

        Args:
            stems: Their names.

        Returns:
            A song with the tracks of these stems.

        Raises:
            KeyError: With the names of the stems that are missing.

        Example:
            >>> import diffmst_lib as dm
            >>> dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").select("kick").names
            ['kick.L', 'kick.R']
        """
        owners = self.stem_of_track()
        missing = [name for name in stems if name not in owners]
        if missing:
            raise KeyError(f"no stem {', '.join(missing)}: there are {', '.join(dict.fromkeys(owners))}")
        keep = [i for i, name in enumerate(owners) if name in stems]
        return Multitrack(
            [self.names[i] for i in keep],
            self.audio[keep],
            self.sample_rate,
            [self.channels[i] for i in keep],
            self.title,
        )

    def levels(self) -> pd.DataFrame:
        """Measure the stems.

        Returns:
            A table, one row per stem: `channels`, `loudness_lufs`, `peak_dbfs`, `crest_factor_db`; for
            silence the levels are -inf.
        """
        import pandas as pd

        rows = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, stem in self.stems.items():
                peak, power = stem.abs().max().item(), stem.square().mean().item()
                rows[name] = {
                    "channels": stem.shape[0],
                    "loudness_lufs": loudness(stem, sample_rate=self.sample_rate),
                    "peak_dbfs": float(20 * np.log10(peak)),
                    "crest_factor_db": float(20 * np.log10(peak) - 10 * np.log10(power)),
                }
        return pd.DataFrame(rows).T.astype({"channels": int}).rename_axis("stem")


def check_song(song: Multitrack) -> None:
    """Raise InputError when a song cannot be mixed.

    Args:
        song: The song to check.

    Raises:
        InputError: About the "song", for NaN or infinite samples, with the name of the track, and when every
            track is silent, that is below -70 LUFS.
    """
    for name, track in zip(song.names, song.audio, strict=True):
        if not bool(torch.isfinite(track).all()):
            raise InputError(f"track {name} holds NaN or infinite samples", about="song")
    if not any(math.isfinite(loudness(track, sample_rate=song.sample_rate)) for track in song.audio):
        raise InputError(f"{song.title or 'the song'}: all {len(song.names)} tracks are silent", about="song")


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
            stereo, silent or not finite.
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
    offset = audio.mean(dim=-1)
    if bool((offset.square() > 0.01 * audio.square().mean(dim=-1)).any()):
        note(
            f"{what} has a DC offset of {offset.abs().max():.2g}, which nobody hears but the features count; "
            "subtract its mean to remove it"
        )
    return audio, lufs


def _unfit(message: str) -> InputError:
    return InputError(message, about="reference")
