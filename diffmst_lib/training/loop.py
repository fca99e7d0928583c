"""The training loop: examples in, weights out. On one device or many, from the start or from a checkpoint. Chapter: Training at scale."""

from __future__ import annotations

import math
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import soundfile
import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..console.engines.memory import keep_large_blocks
from ..data.examples import Batch, Method1, Method2, loader
from ..data.index import SongIndex
from ..inputs import InputError, InputNote
from ..model import DiffMST, NotFinite
from ..network.checkpoint import WEIGHTS
from .checkpoint import CHECKPOINT, Progress, description, load_state, save_state
from .logs import LOG, VALIDATION, Logs
from .methods import distance_from_neutral, make_task, task_loss
from .recipes import Recipe
from .validation import constants, held_out, judge, summary

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOG_EVERY = 10  # steps
EXAMPLES_KEPT = 2  # examples of a validation whose sound is kept
SKIPPED_AT_LEAST = {
    "float32": 1,
    "bf16": 1,
    "fp16": 10,
}  # so many updates may be skipped at first, then 1 % of them
PRECISIONS = ("float32", "bf16", "fp16")


@dataclass
class Run:
    """A finished training: the model in eval mode, the tables of `log.csv` and `validation.csv`, its folder."""

    model: DiffMST
    log: pd.DataFrame
    validation: pd.DataFrame
    folder: Path


class Stopped(Exception):
    """A training was interrupted; what it had done is in its checkpoint."""


def examples_of(
    recipe: Recipe,
    index: SongIndex,
    references: SongIndex | None = None,
    *,
    split: str = "train",
    seed: int = 0,
) -> Dataset:
    """The data set of a recipe: `Method1` or `Method2` on one split of an index, references from their own if given.

    >>> import diffmst_lib as dm
    >>> index = dm.data.SongIndex.load(dm.data_dir())
    >>> examples_of(dm.training.recipe("af-16", "tiny"), index)[0].reference.shape
    torch.Size([2, 88200])
    """
    songs, records = index.multitracks(split), (references or index).references(split)
    for what, found, all_found in (
        ("songs with stems", songs, index.multitracks()),
        ("references", records, (references or index).references()),
    ):
        if not found and (recipe.method == 2 or found is songs):
            why = f"the {split} split has none of the {len(all_found)} {what}: `diffmst data index --about` sets splits"
            raise InputError(why if all_found else f"there are no {what}")
    if recipe.method == 1:
        return Method1(songs, recipe.sampling, seed=seed)
    return Method2(songs, records, recipe.sampling, seed=seed)


def train(
    recipe: Recipe,
    index: SongIndex,
    output: str | Path,
    *,
    references: SongIndex | None = None,
    init: DiffMST | None = None,
    resume: bool = False,
    seed: int = 0,
    workers: int = 0,
    accelerator: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    precision: str = "float32",
    compiled: bool = False,
    validation_examples: int = 16,
    progress: bool = False,
) -> Run:
    """Train a model by a recipe on the "train" split of an index; judge it on the "validation" split.

    Args:
        recipe: what to do, see `recipe`.
        index: songs with stems and, for method 2, finished songs as references.
        output: folder for everything: config.json and model.safetensors (`DiffMST.from_pretrained` loads the folder),
            log.csv, validation.csv, TensorBoard's log, examples, and the checkpoint.
        references: an index of their own for the references.
        init: the model to start from, changed in place; otherwise `recipe.model` with random weights.
        resume: go on from the checkpoint in `output`; from the beginning where there is none.
        seed: of the weights and of everything drawn.
        workers: processes of each device that read examples ahead.
        accelerator: "cpu", "cuda" or "auto".
        devices, num_nodes: GPUs (or, on the CPU, processes) of a machine, and machines.
        precision: "float32", or "bf16" or "fp16" for the network; the console and the losses stay in float32.
        compiled: pass CNN encoders through `torch.compile`, which takes minutes and then saves a fifth of the time or more;
            the statistics of "small" and "tiny" have nothing to gain, ValueError.
        validation_examples: how many, at least 2.
        progress: show a progress bar.

    On CPU, a training that was stopped anywhere and resumed gives the same weights as one that was not. Ctrl-C and
    SIGTERM end the step under way and save a checkpoint, then `Stopped` is raised. Updates whose gradient is not finite
    are skipped and counted. Raises InputError in one line when more than 1 % of them are, for an output that holds a
    model or a training already, for a checkpoint of another recipe or seed, and for data without a segment that fits.
    Where the "validation" split has none, the model is judged on what it is trained on, told in an `InputNote`.

    >>> import diffmst_lib as dm, tempfile
    >>> index = dm.data.SongIndex.load(dm.data_dir())
    >>> short = dm.training.recipe("af-16", "tiny", steps=2, batch_size=1, seconds=1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = dm.training.train(short, index, folder, validation_examples=2)
    ...     dm.DiffMST.from_pretrained(folder).config.name, list(run.validation.columns)[:4]
    ('tiny', ['step', 'seconds', 'right', 'right_median'])
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if validation_examples < 2:
        raise ValueError(
            f"validation needs at least 2 examples, a right and a wrong reference, not {validation_examples}"
        )
    if compiled and recipe.config.encoder != "cnn":
        raise ValueError(f"compiled is for CNN encoders, not for {recipe.config.encoder}")
    if init and init.config != recipe.config:
        raise ValueError(f"init is a model of another configuration than the recipe's ({recipe.config.name})")
    folder = _folder(output, resume)
    resume = resume and (folder / CHECKPOINT).exists()
    if recipe.starts_from and init is None and not resume:
        raise InputError(
            f"{recipe.name} goes on from a model trained as {recipe.starts_from}: give it as init"
        )
    from .devices import anybody, make_fabric  # takes a second, which only those who train should wait for

    fabric = make_fabric(accelerator, devices, num_nodes, precision)
    examples = examples_of(recipe, index, references, seed=seed)
    progress = progress and fabric.is_global_zero
    judged = held_out(
        _validation(recipe, index, references, seed + 1),
        recipe,
        validation_examples,
        seed=seed + 1,
        progress="to judge by" if progress else None,
    )
    if len({example.reference for example in judged}) == 1:
        warnings.warn(
            f'validation has one reference, {judged[0].reference}: "wrong" is another moment of it',
            InputNote,
            stacklevel=2,
        )
    model = init or _new_model(recipe, examples, seed, look=not resume, progress=progress)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    if compiled:
        for encoder in (model.track_encoder, model.mix_encoder):
            encoder.embed = torch.compile(encoder.embed)
    network, optimizer = fabric.setup(model, optimizer)
    names = [song.name for songs in (index, references or []) for song in songs]
    begun = description(recipe, seed, names, fabric.world_size)
    done = load_state(folder, model, optimizer, begun) if resume else Progress()
    if done.scaler:
        fabric.strategy.precision.load_state_dict(done.scaler)
    logs = Logs(folder, done.step) if fabric.is_global_zero else None
    batches = _read(
        loader(
            examples,
            recipe.batch_size,
            steps=recipe.steps * recipe.accumulate,
            workers=workers,
            first_step=done.step * recipe.accumulate,
            rank=fabric.global_rank,
            ranks=fabric.world_size,
            pin_memory=fabric.device.type == "cuda",
        )
    )

    bar = tqdm(total=recipe.steps, initial=done.step, unit="step", disable=not progress)

    def validate() -> None:
        model.eval()
        table, mixes = judge(model, judged)
        network.train()
        logs.add(VALIDATION, {"step": done.step, "seconds": round(done.seconds, 1)} | summary(table))
        for number, (example, (mix, params)) in enumerate(zip(judged[:EXAMPLES_KEPT], mixes), start=1):
            logs.add_example(number, example, mix, params, done.step)

    def save() -> None:
        done.scaler = fabric.strategy.precision.state_dict()
        save_state(folder, model, optimizer, begun, done)
        model.save_pretrained(folder)

    try:
        with _stop_request() as stop, keep_large_blocks(), bar:
            if logs and not done.step:
                validate()
            elif logs:
                model.save_pretrained(folder)  # which the run before may not have come to
            while done.step < recipe.steps and not anybody(fabric, stop.is_set()):
                began = time.perf_counter()
                loss, norm = update(fabric, network, optimizer, recipe, batches, done.step, seed)
                done.add(loss, norm, time.perf_counter() - began)
                if done.step % LOG_EVERY == 0 or done.step == recipe.steps:
                    row = done.row(recipe.rate(done.step - 1), norm)
                    row["loss"] = float(fabric.all_reduce(torch.tensor(row["loss"]), reduce_op="mean"))
                    if logs:
                        logs.add(LOG, row)
                    bar.set_postfix(loss=f"{row['loss']:.4f}", refresh=False)
                bar.update()
                if logs and (done.step % recipe.validate_every == 0 or done.step == recipe.steps):
                    validate()
                    save()
                if done.skipped > max(SKIPPED_AT_LEAST[precision], 0.01 * done.step):
                    raise InputError(
                        f"{done.skipped} of {done.step} updates had gradients that are not finite: lower the "
                        "learning rate, or train in float32"
                    )
            if done.step < recipe.steps:
                if logs:
                    save()
                raise Stopped(f"stopped after step {done.step} of {recipe.steps}; {folder} can be resumed")
    except NotFinite as error:
        raise InputError(f"step {done.step + 1}: {error}; a lower learning rate may keep it finite") from None
    except soundfile.SoundFileError as error:
        raise InputError(f"{folder}: not written ({error})") from None
    except RuntimeError:
        if not stop.is_set():
            raise  # otherwise a signal has ended the processes that read ahead, maybe in the middle of an update
        raise Stopped(
            f"stopped in step {done.step + 1} of {recipe.steps}; {folder} can be resumed from the checkpoint"
        ) from None
    finally:
        batches.close()  # and with them the processes that read ahead
        if logs:
            logs.close()
    return Run(
        model.eval(), *(logs.frame(name) if logs else pd.DataFrame() for name in (LOG, VALIDATION)), folder
    )


def update(
    fabric: Fabric,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    batches: Iterator[Batch],
    step: int,
    seed: int,
) -> tuple[float, float]:
    """One update of the weights from `recipe.accumulate` batches. Returns loss and length of the gradient.

    A gradient that is not finite leaves the weights as they were.
    """
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(step)
    optimizer.zero_grad()
    listens = 1 + step % max(1, recipe.config.listens)  # the first console and its corrections take turns
    total = 0.0
    for part in range(recipe.accumulate):
        batch = next(batches).to(fabric.device, non_blocking=True)
        first = (
            (step * recipe.accumulate + part) * fabric.world_size + fabric.global_rank
        ) * recipe.batch_size
        task = make_task(batch, recipe, range(first, first + recipe.batch_size), seed)
        last = part + 1 == recipe.accumulate
        with fabric.no_backward_sync(network, enabled=not last and fabric.world_size > 1):
            mix, params = network(
                task.tracks, task.reference, sides=task.sides, mask=task.mask, listens=listens
            )
            loss = task_loss(mix, task, recipe) / recipe.accumulate
            apart = distance_from_neutral(params, task.sides, task.mask) / recipe.accumulate
            fabric.backward(loss + recipe.pull * apart)
        total += loss.item()
    norm = float(
        fabric.clip_gradients(
            network, optimizer, max_norm=recipe.clip_norm or math.inf, error_if_nonfinite=False
        )
    )
    if (
        math.isfinite(norm) or fabric.strategy.precision.state_dict()
    ):  # in fp16 the scaler skips, and learns from it
        optimizer.step()
    return total, norm


def _validation(recipe: Recipe, index: SongIndex, references: SongIndex | None, seed: int) -> Dataset:
    try:
        return examples_of(recipe, index, references, split="validation", seed=seed)
    except InputError as error:
        warnings.warn(f"judged on what it is trained on ({error})", InputNote, stacklevel=3)
        return examples_of(recipe, index, references, seed=seed)


def _read(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; an error of a process that reads ahead comes with its traceback, of which the last line is for users."""
    try:
        yield from batches
    except InputError as error:
        raise InputError(str(error).strip().splitlines()[-1].split("InputError: ")[-1]) from None


def _folder(output: str | Path, resume: bool) -> Path:
    """The output folder; InputError when nothing can be written there, or when it holds a training already."""
    if not str(output):
        raise InputError("the output has an empty name")
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".diffmst-"):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror or error})") from None
    if (folder / CHECKPOINT).exists() and not resume:
        raise InputError(f"{folder}: holds a training; go on with it (resume), or name another folder")
    if not (folder / CHECKPOINT).exists() and (folder / WEIGHTS).exists():
        raise InputError(f"{folder}: holds a model, name another folder")
    return folder


def _new_model(recipe: Recipe, examples: Dataset, seed: int, *, look: bool, progress: bool) -> DiffMST:
    """Random weights, and the standardizing constants from a first look at what they will see."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = DiffMST(recipe.config)
    if look and (recipe.config.style or recipe.config.encoder == "statistics"):
        first = held_out(
            examples, recipe, recipe.first_look, seed=seed, progress="first look" if progress else None
        )
        model.standardize(*constants(first))
    return model


@contextmanager
def _stop_request() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that a step is never cut in two; a second Ctrl-C is as always."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number, frame) -> None:
        signal.signal(number, before[number])
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
