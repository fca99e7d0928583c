"""The systems that are compared, by their names, and yours beside them. Chapter: Results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..inputs import InputError
from ..mixing.keeping import KEEP
from ..registry import Registry
from ..training.recipes import VARIANTS
from . import mixers
from .system_kind import Mix, System, mix_quietly, own_system
from .task import Task

STEPS = 50  # of the systems that fit


def system(name: str, *, steps: int = STEPS) -> System:
    """Find a system by its name.

    Args:
        name: One of `SYSTEMS`, or a name given to `register_system`.
        steps: Steps of our systems that fit, 1 or more.

    Returns:
        The system.

    Raises:
        InputError: For a name that nobody knows, with those that are known.

    Example:
        >>> system("sum").about
        "the artist's own balance: the plain sum of the stems"
        >>> system("optimize", steps=200).fits
        True
    """
    if name == "mst" and name not in REGISTRY.added:
        raise InputError("mst is a program that you fetch: name its folder, as in --program mst=FOLDER")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps of a fit must be a whole number from 1, not {steps!r}")
    found = REGISTRY.get(name)
    return _ours(steps)[name] if found.fits and name in SYSTEMS else found


def optimize_system(steps: int = STEPS, *, keep: float = KEEP) -> System:
    """Make a system that fits a console to the record, as `optimize_mix` does.

    Args:
        steps: Gradient steps.
        keep: Weight of what holds the song; 0: nothing does, the paper's way.

    Returns:
        The system: "optimize", or "optimize-free" with `keep=0`.

    Example:
        >>> optimize_system(20).name, optimize_system(20, keep=0).name
        ('optimize', 'optimize-free')
    """
    how = "held to the song (ours)" if keep else "held by nothing (the paper's way)"
    name = "optimize" if keep else "optimize-free"
    about = f"a console fitted to the record in {steps} steps, {how}"
    return _one(name, about, partial(mixers.mix_optimize, steps=steps, keep=keep), fits=True)


def register_system(
    name: str, function: Callable[[Task], Mix], *, about: str = "", listens: bool = True, fits: bool = False
) -> None:
    """Add a system of your own, which evaluations then call by its name.

    Args:
        name: A word such as "my_system".
        function: `function(task)` returns a `MixResult`, which is taken as it is, or a stereo sound as long as
            the song, which is brought to -16 LUFS.
        about: What it does, in one line.
        listens: Whether it uses the record.
        fits: Whether it takes many steps for each mix.

    Raises:
        InputError: For a name that is no word, that is ours, or that another system has, and for a function
            that cannot be called.

    Example:
        >>> register_system("swapped", lambda task: task.song.audio.sum(dim=0).flip(0), listens=False)
        >>> system("swapped").listens
        False
    """
    if not callable(function):
        raise InputError(f"a system is a function of a task, not {type(function).__name__}")
    about = " ".join(about.split()) or "a system of your own"
    REGISTRY.register(name, own_system(name, about, function, listens=listens, fits=fits))


def _one(
    name: str, about: str, function: Callable[[Task], Mix], *, listens: bool = True, fits: bool = False
) -> System:
    return System(name, about, partial(mix_quietly, function), listens, fits)


def _of_model(name: str, about: str, model: str, *, steps: int = 0, keep: float = KEEP) -> System:
    mix = partial(mix_quietly, partial(mixers.mix_network, model=model, steps=steps, keep=keep))
    return System(name, about, mix, fits=steps > 0, ready=partial(mixers.load_model, model))


def _ours(steps: int) -> dict[str, System]:
    """List our systems, in the order of the tables, with fits of so many steps."""
    taken = "the paper's variant in the size of small, its console taken as it is"
    systems = [
        _one(
            "equal-loudness",
            "all stems equally loud, in mono: the paper's lowest anchor",
            partial(mixers.mix_equal, panned=False),
            listens=False,
        ),
        _one(
            "equal-loudness-stereo",
            "all stems equally loud, each with its stereo image",
            partial(mixers.mix_equal, panned=True),
            listens=False,
        ),
        _one("sum", "the artist's own balance: the plain sum of the stems", mixers.mix_sum, listens=False),
        _one(
            "rules", "levels, pans and compressors by role, as textbooks say", mixers.mix_rules, listens=False
        ),
        _one("random", "a console at random, of the task's seed", mixers.mix_random, listens=False),
        System(
            "mean",
            "the mean of the consoles that small sets for this song, over six records",
            partial(mix_quietly, mixers.mix_mean),
            listens=False,
            ready=partial(mixers.load_model, "small"),
        ),
        optimize_system(steps, keep=0.0),
        optimize_system(steps),
        _of_model("small", "the network of this library", "small"),
        _of_model("small-refined", f"small, and {steps} steps of a fit after it", "small", steps=steps),
        *(_of_model(name, f"{name}: {taken}", name, keep=0.0) for name in VARIANTS),
        own_system(
            "matchering",
            "the plain sum mastered after the record by Matchering 2 (GPL-3, extra eval)",
            mixers.mix_matchering,
            ready=mixers.check_matchering,
        ),
        own_system("human", "the mix that a person made of this song", mixers.mix_human, listens=False),
    ]
    return {one.name: one for one in systems}


SYSTEMS = _ours(STEPS)
REGISTRY = Registry("system", own=SYSTEMS)
