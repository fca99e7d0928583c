"""The training loop: examples in, weights out. On one device or many, from the start or from a checkpoint.

Chapter: Training at scale.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from ..data.batches import Batch
from ..data.index import SongIndex
from ..inputs import InputError
from ..mixing.bus import plain_sum
from ..model import DiffMST, NotFinite
from .checkpoint import Identity, Progress, identity_of, load_checkpoint, steps_done
from .examples import examples_of, examples_to_judge_by, note_mono, read_batches
from .first_look import check_init, new_model, untrained
from .hardware import Hardware
from .logs import LOG, VALIDATION, rows_until
from .losses import step_loss, task_loss
from .output import training_folder
from .recipes import Recipe
from .recorder import Recorder
from .same_sounds import refuse_stems_among
from .seeding import seeded
from .stopping import Stopped, stop_request
from .tasks import make_task
from .validation import HeldOut

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ONE_DEVICE = Hardware()


@dataclass
class Run:
    """A finished training.

    Attributes:
        model: In eval mode.
        log: The table of `log.csv`.
        validation: The table of `validation.csv`.
        folder: The output folder.
    """

    model: DiffMST
    log: pd.DataFrame
    validation: pd.DataFrame
    folder: Path


def train(
    recipe: Recipe,
    index: SongIndex,
    output: str | Path,
    *,
    references: SongIndex | None = None,
    init: DiffMST | None = None,
    resume: bool = False,
    seed: int = 0,
    hardware: Hardware = ONE_DEVICE,
    validation_examples: int = 16,
    progress: bool = False,
) -> Run:
    """Train a model by a recipe on the "train" split of an index; judge it on the "validation" split.

    On a CPU, a training that was stopped anywhere and resumed gives the same weights as one that was not.
    After Ctrl-C or SIGTERM the current step is finished and a checkpoint is saved. Updates whose gradient is
    not finite are skipped and counted. When the "validation" split has no example, the model is judged on the
    data that it is trained on, with an `InputNote`.

    Args:
        recipe: The recipe, see `recipe`.
        index: Songs with stems and, for method 2, finished songs as references.
        output: Folder for everything: config.json and model.safetensors (`DiffMST.from_pretrained` loads the
            folder), log.csv, validation.csv, TensorBoard's log, examples, and the checkpoint.
        references: A separate index of the references; None: those of `index`.
        init: The model to start from, changed in place, with the input constants that it has
            (`DiffMST.standardize`); None: `recipe.model` with random weights. A model of a class of your own
            is given here, and again when its training is resumed.
        resume: Whether to continue from the checkpoint in `output`, if there is one. The recipe may have more
            steps than before.
        seed: Seed of the weights and of all random choices.
        hardware: Devices, precision, processes that read ahead.
        validation_examples: Number of examples that judge the model, at least 2.
        progress: Whether to show a progress bar.

    Returns:
        The model and the logs.

    Raises:
        InputError: In one line, when `output` already holds a model or a training, for a checkpoint of
            another recipe, seed, data set or class of models, for data without a suitable segment, for stems
            among the references, for an own loss that is no scalar or not finite, and when more than 1 % of the
            updates are skipped.
        ValueError: For arguments that do not fit each other.
        Stopped: After Ctrl-C or SIGTERM.

    Example:
        >>> import diffmst_lib as dm, tempfile
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> short = dm.training.recipe("af-16", "tiny", steps=2, batch_size=1, seconds=1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = dm.training.train(short, index, folder, validation_examples=2)
        ...     dm.DiffMST.from_pretrained(folder).config.name, list(run.validation.columns)[:4]
        ('tiny', ['step', 'seconds', 'right', 'right_median'])
    """
    _check(recipe, init, hardware, validation_examples)
    with training_folder(output, resume=resume) as (folder, resumed):
        if recipe.starts_from and init is None and not resumed:
            raise InputError(
                f"{recipe.name} goes on from a model trained as {recipe.starts_from}: give it as init"
            )
        songs = [*index, *(references or [])]
        identity = identity_of(recipe, seed, songs, hardware.devices * hardware.num_nodes)
        if resumed and steps_done(folder, recipe, identity) == recipe.steps:
            return finished_run(recipe, folder, init)
        if recipe.method == 2:
            refuse_stems_among((references or index).references(), index.multitracks())
        training = _set_up(
            recipe,
            index,
            folder,
            references=references,
            init=init,
            resumed=resumed,
            identity=identity,
            seed=seed,
            hardware=hardware,
            validation_examples=validation_examples,
            progress=progress,
        )
        state = training.state
        try:
            with stop_request() as stop:
                _take_steps(training, recipe, hardware, folder, seed, stop)
        except NotFinite as error:
            raise InputError(
                f"step {state.step + 1}: {error}; a lower learning rate may keep it finite"
            ) from None
        except RuntimeError:
            if not stop.is_set():
                raise  # otherwise the signal has ended the processes that read ahead, perhaps during an update
            raise Stopped(
                f"stopped in step {state.step + 1} of {recipe.steps}; {folder} can be resumed from the checkpoint"
            ) from None
        finally:
            training.batches.close()  # and with them the processes that read ahead
            training.recorder.close()
        frames = (training.recorder.frame(name) for name in (LOG, VALIDATION))
        return Run(training.model.eval(), *frames, folder)


def update(
    fabric: Fabric,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    batches: Iterator[Batch],
    step: int,
    seed: int,
) -> tuple[float, float]:
    """Update the weights once, from `recipe.accumulate` batches.

    A gradient that is not finite leaves the weights as they were.

    Args:
        fabric: The processes of the training.
        network: The model, set up by `fabric`.
        optimizer: The optimizer of its weights, set up by `fabric`.
        recipe: The recipe.
        batches: The batches of the training.
        step: Number of the step, from 0 on.
        seed: Seed of the tasks, and of random numbers that parts of one's own draw, such as dropout.

    Returns:
        The loss, and the norm of the gradient before clipping.
    """
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(step)
    optimizer.zero_grad()
    # The first console and its corrections take turns, with either kind of task.
    passes = 1 + (step // 2) % max(1, recipe.config.passes)
    total = 0.0
    for part in range(recipe.accumulate):
        batch = next(batches).to(fabric.device, non_blocking=True)
        task = make_task(batch, recipe, seed)
        more = part + 1 < recipe.accumulate
        with (
            fabric.no_backward_sync(network, enabled=more and fabric.world_size > 1),
            seeded(seed, step, part, fabric.global_rank, device=fabric.device),
        ):
            loss = step_loss(network, task, recipe, passes) / recipe.accumulate
            fabric.backward(loss)
        total += loss.item()
    longest = recipe.clip_norm or math.inf
    norm = float(fabric.clip_gradients(network, optimizer, max_norm=longest, error_if_nonfinite=False))
    scaled = bool(fabric.strategy.precision.state_dict())  # in fp16 the scaler skips the step and adapts
    if math.isfinite(norm) or scaled:
        optimizer.step()
    return total, norm


@dataclass
class _Training:
    """What the loop of `train` works with."""

    fabric: Fabric
    model: DiffMST
    network: torch.nn.Module  # the model, set up by `fabric`
    optimizer: torch.optim.Optimizer
    batches: Generator[Batch, None, None]
    state: Progress
    recorder: Recorder


def _take_steps(
    training: _Training, recipe: Recipe, hardware: Hardware, folder: Path, seed: int, stop: threading.Event
) -> None:
    """Run all steps that are left; Stopped after the step in which `stop` was set."""
    from .devices import any_process  # importing lightning takes a second

    state, recorder, first = training.state, training.recorder, training.state.step
    recorder.start()
    for step in range(first, recipe.steps):
        if any_process(training.fabric, stop.is_set()):
            recorder.save()
            raise Stopped(f"stopped after step {step} of {recipe.steps}; {folder} can be resumed")
        began = time.perf_counter()
        loss, norm = update(
            training.fabric, training.network, training.optimizer, recipe, training.batches, step, seed
        )
        if step == first:
            _check_finite(loss, recipe, f"in step {step + 1}")
        state.add(loss, norm, time.perf_counter() - began)
        recorder.log(norm)
        if state.step % recipe.validate_every == 0 or state.step == recipe.steps:
            recorder.validate()
            recorder.save()
        state.check_skipped(hardware.precision)


def _set_up(
    recipe: Recipe,
    index: SongIndex,
    folder: Path,
    *,
    references: SongIndex | None,
    init: DiffMST | None,
    resumed: bool,
    identity: Identity,
    seed: int,
    hardware: Hardware,
    validation_examples: int,
    progress: bool,
) -> _Training:
    """Start the processes, and make everything that `train` needs, new or from the checkpoint in `folder`."""
    from .devices import start_processes

    fabric = start_processes(hardware)
    progress = progress and fabric.is_global_zero
    examples = examples_of(recipe, index, references, seed=seed)
    note_mono(recipe, index)
    judged = examples_to_judge_by(
        recipe, index, references, validation_examples, seed=seed + 1, progress=progress
    )
    _try_loss(recipe, judged[0], fabric.device)
    model = init or new_model(recipe, examples, seed, look=not resumed, progress=progress)
    model.train()
    adam = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    if hardware.compiled:
        for encoder in (model.track_encoder, model.mix_encoder):
            encoder.embed = torch.compile(encoder.embed)
    network, optimizer = fabric.setup(model, adam)
    state = load_checkpoint(folder, model, optimizer) if resumed else Progress()
    if state.scaler:
        fabric.strategy.precision.load_state_dict(state.scaler)
    recorder = Recorder(
        fabric,
        recipe,
        folder,
        model,
        optimizer,
        identity=identity,
        state=state,
        judged=judged,
        progress=progress,
    )
    batches = read_batches(examples, recipe, hardware, fabric, state.step)
    return _Training(fabric, model, network, optimizer, batches, state, recorder)


def _try_loss(recipe: Recipe, example: HeldOut, device: torch.device) -> None:
    """Compute a user's loss or features of a plain sum, before anything is built or written."""
    if not recipe.is_own:
        return
    task = replace(example.task, target=example.task.target.to(device))
    mix = plain_sum(task.tracks, task.pans, task.mask).to(device).requires_grad_()
    loss, where = task_loss(mix, task, recipe), f"for the plain sum of {example.song}"
    _check_finite(loss.item(), recipe, where)
    (gradient,) = torch.autograd.grad(loss, mix)
    if not bool(gradient.isfinite().all()):
        raise InputError(f"the gradient of the loss {recipe.loss_name} is not finite {where}")


def _check_finite(loss: float, recipe: Recipe, when: str) -> None:
    if recipe.is_own and not math.isfinite(loss):
        raise InputError(f"the loss {recipe.loss_name} is {loss} {when}")


def finished_run(recipe: Recipe, folder: Path, init: DiffMST | None = None) -> Run:
    """Return a training whose steps are all done, and write the model, in case the last run was killed.

    Args:
        recipe: The recipe.
        folder: Folder of the training, with its checkpoint.
        init: The model that gets the weights; None: a new one.

    Returns:
        The model and the logs.
    """
    model = init or untrained(recipe)
    state = load_checkpoint(folder, model)
    model.eval().save_pretrained(folder)
    log, validation = (pd.DataFrame(rows_until(folder / name, state.step)) for name in (LOG, VALIDATION))
    return Run(model, log, validation, folder)


def _check(recipe: Recipe, init: DiffMST | None, hardware: Hardware, validation_examples: int) -> None:
    if validation_examples < 2:
        raise ValueError(
            f"validation needs at least 2 examples, a right and a wrong reference, not {validation_examples}"
        )
    if hardware.compiled and recipe.config.encoder != "cnn":
        raise ValueError(f"compiled is for CNN encoders, not for {recipe.config.encoder}")
    check_init(init, recipe)
