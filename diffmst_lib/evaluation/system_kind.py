"""What a system is, and how one is called that is not of this library. Chapter: Results."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from ..audio.loudness import loudness, normalize_loudness
from ..audio.multitrack import check_song, check_stereo
from ..inputs import InputError, InputNote
from ..mixing.result import MixResult
from .task import Task

Mix = MixResult | torch.Tensor


@dataclass(frozen=True)
class System:
    """A way to mix a song after a record.

    Attributes:
        name: Its name in tables and on the command line.
        about: What it does, in one line.
        mix: `mix(task)` gives a `MixResult`, or a sound (2, num_samples) at -16 LUFS. It is quiet, and raises
            InputError in one line when it cannot mix.
        listens: Whether the record changes the mix.
        fits: Whether it takes many steps for each mix, and so is slow.
        ready: `ready()` raises InputError where weights, a package or a program is missing, before any work;
            None: nothing can be missing.
    """

    name: str
    about: str
    mix: Callable[[Task], Mix]
    listens: bool = True
    fits: bool = False
    ready: Callable[[], object] | None = None


def own_system(
    name: str,
    about: str,
    function: Callable[[Task], Mix],
    *,
    listens: bool = True,
    fits: bool = False,
    ready: Callable[[], object] | None = None,
) -> System:
    """Make a system whose task and whose mix are checked: one that is not of this library.

    Args:
        name: Its name.
        about: What it does, in one line.
        function: As in `register_system`.
        listens: Whether it uses the record.
        fits: Whether it takes many steps for each mix.
        ready: As in `System`.

    Returns:
        The system.
    """
    return System(name, about, partial(mix_checked, name, function), listens, fits, ready)


def mix_checked(name: str, function: Callable[[Task], Mix], task: Task) -> Mix:
    """Mix with what is not of this library: check the task and what comes back, and bring sounds to -16 LUFS.

    Args:
        name: What messages call the system.
        function: It, a function of a task.
        task: Song and record.

    Returns:
        The mix.

    Raises:
        InputError: For a song or a record that is silent or not finite, and for a mix that is no stereo sound
            as long as the song, that is silent, or not finite.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        check_song(task.song)
        check_stereo(task.record, sample_rate=task.song.sample_rate)
        mix = function(task)
        audio = mix.audio if isinstance(mix, MixResult) else mix
        wanted = (2, task.song.audio.shape[-1])
        if not isinstance(audio, torch.Tensor) or not audio.dtype.is_floating_point or audio.shape != wanted:
            kind = type(audio).__name__
            if isinstance(audio, torch.Tensor):
                kind = f"{str(audio.dtype).removeprefix('torch.')} {tuple(audio.shape)}"
            raise InputError(f"{name} gives {kind}, not a mix of floats {wanted}")
        level = loudness(audio, sample_rate=task.song.sample_rate)
        if not math.isfinite(level):
            what = "NaN or infinite samples" if math.isnan(level) else "silence"
            raise InputError(f"{name} gives {what}")
    if isinstance(mix, MixResult):
        return mix
    return normalize_loudness(audio.detach().cpu().float(), sample_rate=task.song.sample_rate)


def mix_quietly(function: Callable[[Task], Mix], task: Task) -> Mix:
    """Mix with what is of this library, and so checks for itself. Notes are left out: tables say what they would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        return function(task)
