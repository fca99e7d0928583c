"""How the systems that are compared mix: each a function of a task. Chapter: Results."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..audio.loading import load_audio, save_audio
from ..audio.loudness import normalize_loudness
from ..audio.multitrack import Multitrack, check_song
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import knob_index
from ..disk import data_dir, why
from ..inputs import InputError, InputNote
from ..mixing.baselines import equal_loudness, unity
from ..mixing.bus import hold_bus
from ..mixing.keeping import KEEP
from ..mixing.optimize import optimize_mix
from ..mixing.references import check_reference
from ..mixing.result import MixResult, check_mix, render_mix
from ..mixing.start import neutral_params
from ..model import DiffMST
from ..training.random_consoles import random_params
from .rules import rules_mix
from .system_kind import Mix
from .task import Task

MODELS = 4  # kept loaded: each is a few MB
CONSOLES = 64  # mean consoles that are kept
WHERE_HUMAN = "data/human_mixes/NAME.ogg, or human_mix.* in the song's folder"


def mix_equal(task: Task, *, panned: bool) -> Mix:
    """Make every stem equally loud."""
    return equal_loudness(task.song, panned=panned, reference=task.record)


def mix_sum(task: Task) -> Mix:
    """Take the artist's own balance."""
    return unity(task.song, reference=task.record)


def mix_rules(task: Task) -> Mix:
    """Follow the rules of thumb."""
    return rules_mix(task.song, reference=task.record)


def mix_random(task: Task) -> Mix:
    """Draw a console, of the task's seed."""
    song = task.song
    params = random_params(len(song.names), np.random.default_rng(task.seed), sample_rate=song.sample_rate)
    return _render(task, ConsoleParams(*_tensors(params), names=song.names, sample_rate=song.sample_rate))


def mix_mean(task: Task) -> Mix:
    """Take the mean console of `small`."""
    return _render(task, mean_console("small", task.song), trimmed=True)


def mix_optimize(task: Task, *, steps: int, keep: float) -> Mix:
    """Fit a console to the record."""
    return optimize_mix(task.song, task.record, steps=steps, keep=keep)


def mix_network(task: Task, *, model: str, steps: int = 0, keep: float = KEEP) -> Mix:
    """Ask a network."""
    return load_model(model).mix(task.song, task.record, refine_steps=steps, keep=keep)


def mix_matchering(task: Task) -> Mix:
    """Master the plain sum after the record, by Matchering."""
    check_matchering()
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


def mix_human(task: Task) -> Mix:
    """Take the mix that a person made."""
    if task.human is None:
        raise InputError(
            f"{task.song.title or 'the song'}: no human mix of this part ({WHERE_HUMAN})", about="song"
        )
    return task.human


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


def check_matchering() -> None:
    """Raise InputError where Matchering is missing."""
    if importlib.util.find_spec("matchering") is None:
        raise InputError('matchering is not installed: pip install "diffmst-lib[eval]"')
