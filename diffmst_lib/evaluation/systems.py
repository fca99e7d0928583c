"""The systems that are compared: the same song and record in, a mix out. Chapter: How good is a mix?"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from ..audio.loading import load_audio, save_audio
from ..audio.loudness import loudness, normalize_loudness
from ..audio.multitrack import Multitrack, check_song, check_stereo
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import knob_index
from ..disk import data_dir, why
from ..inputs import InputError, InputNote
from ..mixing.baselines import equal_loudness, unity
from ..mixing.bus import hold_bus
from ..mixing.keeping import KEEP
from ..mixing.optimize import optimize_mix
from ..mixing.result import MixResult, check_mix, check_reference, render_mix
from ..mixing.start import neutral_params
from ..model import DiffMST
from ..registry import Registry
from ..training.random_consoles import random_params
from ..training.recipes import VARIANTS
from .rules import rules_mix
from .task import Task

Mix = MixResult | torch.Tensor

STEPS = 50  # of the systems that fit
MODELS = 4  # kept loaded: each is a few MB
CONSOLES = 64  # mean consoles that are kept
WHERE_HUMAN = "data/human_mixes/NAME.ogg, or human_mix.* in the song's folder"


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
    return _one(name, about, partial(_optimize, steps=steps, keep=keep), fits=True)


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


# The systems


def _equal(task: Task, *, panned: bool) -> Mix:
    return equal_loudness(task.song, panned=panned, reference=task.record)


def _sum(task: Task) -> Mix:
    return unity(task.song, reference=task.record)


def _rules(task: Task) -> Mix:
    return rules_mix(task.song, reference=task.record)


def _random(task: Task) -> Mix:
    song = task.song
    params = random_params(len(song.names), np.random.default_rng(task.seed), sample_rate=song.sample_rate)
    return _render(task, ConsoleParams(*_tensors(params), names=song.names, sample_rate=song.sample_rate))


def _mean(task: Task) -> Mix:
    return _render(task, mean_console("small", task.song), trimmed=True)


def _optimize(task: Task, *, steps: int, keep: float) -> Mix:
    return optimize_mix(task.song, task.record, steps=steps, keep=keep)


def _network(task: Task, *, model: str, steps: int = 0, keep: float = KEEP) -> Mix:
    return load_model(model).mix(task.song, task.record, refine_steps=steps, keep=keep)


def _matchering(task: Task) -> Mix:
    _check_matchering()
    import matchering

    with tempfile.TemporaryDirectory(prefix="diffmst-") as folder:
        files = {name: Path(folder) / f"{name}.wav" for name in ("sum", "record", "result")}
        rate = task.song.sample_rate
        plain_sum = normalize_loudness(task.song.audio.sum(dim=0), sample_rate=rate)
        save_audio(files["sum"], plain_sum, sample_rate=rate)
        save_audio(files["record"], task.record, sample_rate=rate)
        target, record, result = (str(path) for path in files.values())
        try:
            matchering.process(target, record, [matchering.Result(result, "FLOAT")])
        except Exception as error:  # its own kind of exception is not in its public API
            raise InputError(f"matchering: {why(error) or type(error).__name__}") from None
        return load_audio(files["result"], sample_rate=rate)


def _human(task: Task) -> Mix:
    if task.human is None:
        raise InputError(
            f"{task.song.title or 'the song'}: no human mix of this part ({WHERE_HUMAN})", about="song"
        )
    return task.human


# What they share


def _tensors(params: ConsoleParams) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return params.tracks, params.fx_bus_values, params.master_bus_values


def _render(task: Task, params: ConsoleParams, *, trimmed: bool = False) -> MixResult:
    """Render a console, the song at -20 LUFS before the master bus; `trimmed`: its trims fit the song."""
    song, console = task.song, MixingConsole(task.song.sample_rate)
    levels, record = check_song(song), check_reference(task.record, sample_rate=song.sample_rate)
    if not trimmed:
        trim = knob_index("input_gain_db")
        params.tracks[:, trim] = neutral_params(song, levels=levels).tracks[:, trim]
    params = hold_bus(console, song, params)
    return check_mix(render_mix(song, params, console=console, reference=record, levels=levels))


@lru_cache(maxsize=MODELS)
def load_model(name: str) -> DiffMST:
    """Load a model, once a process.

    Args:
        name: As in `DiffMST.from_pretrained`.

    Returns:
        The model.

    Raises:
        InputError: Where its weights are missing.
    """
    return DiffMST.from_pretrained(name)


_MEANS: dict[tuple[str, str], ConsoleParams] = {}  # by model and song, the last few


def mean_console(model: str, song: Multitrack) -> ConsoleParams:
    """Average the consoles that a network sets for a song, over the six records in `data/references`.

    Each knob's mean is taken in the unit interval. What is left when the record says nothing: a network that
    is no better than its mean console does not listen.

    Args:
        model: The name of the model.
        song: The stems.

    Returns:
        The console: always the same for the same stems, in whatever order songs come. It is kept for the
        next record.

    Raises:
        InputError: As `DiffMST.analyze` does.
    """
    heard = hashlib.sha256(song.audio.contiguous().numpy(force=True).tobytes())
    key = model, f"{song.names} {song.sample_rate} {heard.hexdigest()}"
    if key not in _MEANS:
        with warnings.catch_warnings():  # notes about records that the caller did not choose
            warnings.simplefilter("ignore", InputNote)
            consoles = [load_model(model).analyze(song, record) for record in _records(song.sample_rate)]
        parts = zip(*(params.to_unit() for params in consoles), strict=True)
        means = [torch.stack(part).mean(dim=0) for part in parts]
        if len(_MEANS) >= CONSOLES:
            del _MEANS[next(iter(_MEANS))]
        _MEANS[key] = ConsoleParams.from_unit(*means, names=consoles[0].names, sample_rate=song.sample_rate)
    return _MEANS[key].clone()


@lru_cache(maxsize=1)
def _records(sample_rate: int) -> list[torch.Tensor]:
    paths = sorted((data_dir() / "references").glob("*.ogg"))
    return [load_audio(path, sample_rate=sample_rate) for path in paths]


def _check_matchering() -> None:
    if importlib.util.find_spec("matchering") is None:
        raise InputError('matchering is not installed: pip install "diffmst-lib[eval]"')


# Their list


def _one(
    name: str, about: str, function: Callable[[Task], Mix], *, listens: bool = True, fits: bool = False
) -> System:
    return System(name, about, partial(mix_quietly, function), listens, fits)


def _of_model(name: str, about: str, model: str, *, steps: int = 0, keep: float = KEEP) -> System:
    mix = partial(mix_quietly, partial(_network, model=model, steps=steps, keep=keep))
    return System(name, about, mix, fits=steps > 0, ready=partial(load_model, model))


def _ours(steps: int) -> dict[str, System]:
    """List our systems, in the order of the tables, with fits of so many steps."""
    taken = "the paper's variant in the size of small, its console taken as it is"
    systems = [
        _one(
            "equal-loudness",
            "all stems equally loud, in mono: the paper's lowest anchor",
            partial(_equal, panned=False),
            listens=False,
        ),
        _one(
            "equal-loudness-stereo",
            "all stems equally loud, each with its stereo image",
            partial(_equal, panned=True),
            listens=False,
        ),
        _one("sum", "the artist's own balance: the plain sum of the stems", _sum, listens=False),
        _one("rules", "levels, pans and compressors by role, as textbooks say", _rules, listens=False),
        _one("random", "a console at random, of the task's seed", _random, listens=False),
        System(
            "mean",
            "the mean of the consoles that small sets for this song, over six records",
            partial(mix_quietly, _mean),
            listens=False,
            ready=partial(load_model, "small"),
        ),
        optimize_system(steps, keep=0.0),
        optimize_system(steps),
        _of_model("small", "the network of this library", "small"),
        _of_model("small-refined", f"small, and {steps} steps of a fit after it", "small", steps=steps),
        *(_of_model(name, f"{name}: {taken}", name, keep=0.0) for name in VARIANTS),
        own_system(
            "matchering",
            "the plain sum mastered after the record by Matchering 2 (GPL-3, extra eval)",
            _matchering,
            ready=_check_matchering,
        ),
        own_system("human", "the mix that a person made of this song", _human, listens=False),
    ]
    return {one.name: one for one in systems}


SYSTEMS = _ours(STEPS)
REGISTRY = Registry("system", own=SYSTEMS)
