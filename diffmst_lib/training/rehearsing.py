"""The loop of a rehearsal: songs are heard once, then a model learns from their powers.

Chapters: Method 1, Training at scale.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..data.index import SongIndex
from ..inputs import InputError
from ..model import DiffMST, NotFinite
from ..options import MOMENTS, REHEARSAL_STEPS
from .checkpoint import Progress, identity_of, load_checkpoint, save_checkpoint, steps_done
from .examples import note_mono
from .first_look import check_init, untrained
from .hearing import hear
from .logs import LOG, add_row, rows_until
from .loop import Run, finished_run
from .output import training_folder
from .recipes import Recipe
from .rehearsal import KNOWN, Rehearsal, check_config
from .same_sounds import refuse_stems_among
from .seeding import seeded
from .stopping import Stopped, stop_request

BATCH = 32
LOG_EVERY, SAVE_EVERY = 100, 500


def rehearse(
    like: Recipe,
    index: SongIndex,
    output: str | Path,
    *,
    references: SongIndex | None = None,
    init: DiffMST | None = None,
    steps: int = REHEARSAL_STEPS,
    moments: int = MOMENTS,
    resume: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> Run:
    """Teach a model without sound, before `train` goes on from it with sound.

    Songs and records of the "train" split are heard first, which takes minutes, and again when a rehearsal is
    resumed. Apart from that, one that was stopped anywhere and resumed gives the same weights and the same losses
    as one that was not. After Ctrl-C or SIGTERM the current step is finished and a checkpoint is saved.

    Args:
        like: The recipe of the training to come: its model, learning rate, schedule, clipping, pull, keep and
            soft limit hold here as well; its loss does not. Moments last three times as long as its segments.
        index: Songs with stems, and finished songs as references.
        output: Folder for config.json and model.safetensors (`DiffMST.from_pretrained` loads the folder),
            log.csv and the checkpoint.
        references: A separate index of the references; None: those of `index`.
        init: As in `train`: the model to start from, changed in place, with the input constants that it has;
            None: `like.model` with random weights, and constants from what is heard. A model of a class of
            your own is given here, and again when its rehearsal is resumed.
        steps: Number of updates, each of 32 tasks.
        moments: Pairs of moments of each song that are heard, 1 or more.
        resume: Whether to continue from the checkpoint in `output`, if there is one. There may be more steps
            than before.
        seed: Seed of the weights and of all random choices, also those of parts of your own.
        progress: Whether to show progress bars.

    Returns:
        The model and its log: mean losses of the tasks with a known answer and of those with a record.

    Raises:
        InputError: In one line, for a folder that holds something else, for a model or data that a rehearsal
            cannot use, and for losses that run away.
        ValueError: For numbers out of range, and for an `init` that is not the recipe's model.
        Stopped: After Ctrl-C or SIGTERM.

    Example:
        >>> import diffmst_lib as dm, tempfile
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> like = dm.training.recipe("af-16", "tiny", seconds=1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = rehearse(like, index, folder, steps=2, moments=2)
        >>> list(run.log.columns)
        ['step', 'seconds', 'known', 'record']
    """
    check_config(like.config)
    check_init(init, like)
    if moments < 1:
        raise ValueError(f"moments cannot be {moments}")
    recipe = replace(
        like, name="rehearsal", steps=steps, batch_size=BATCH, accumulate=1, known=KNOWN, starts_from=None
    )
    with training_folder(output, resume=resume) as (folder, resumed):
        identity = identity_of(recipe, seed, [*index, *(references or [])], 1) | {"moments": moments}
        if resumed and steps_done(folder, recipe, identity) == steps:
            return finished_run(recipe, folder, init)
        refuse_stems_among((references or index).references(), index.multitracks())
        model = (init or untrained(recipe, seed)).train()
        note_mono(recipe, index)
        heard = hear(model, recipe, index, references, seed=seed, moments=moments, progress=progress)
        constants = {name: value.clone() for name, value in model.named_buffers()}
        rehearsal = Rehearsal(model, *heard)  # which standardizes the model on what was heard
        if init:
            model.load_state_dict(constants, strict=False)  # weights of another training fit these
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        state = load_checkpoint(folder, model, optimizer) if resumed else Progress()
        rows = rows_until(folder / LOG, state.step)
        with (
            stop_request() as stop,
            tqdm(total=steps, initial=state.step, desc="rehearse", unit="step", disable=not progress) as bar,
        ):
            while state.step < steps:
                _update(rehearsal, optimizer, recipe, state, seed)
                if state.step % LOG_EVERY == 0 or state.step == steps:
                    add_row(folder / LOG, rows, _row(state))
                    bar.set_postfix(known=rows[-1]["known"], record=rows[-1]["record"], refresh=False)
                bar.update()
                if state.step % SAVE_EVERY == 0 or state.step == steps or stop.is_set():
                    save_checkpoint(folder, model, optimizer, identity, state)
                    model.save_pretrained(folder)
                if stop.is_set() and state.step < steps:
                    raise Stopped(f"stopped after step {state.step} of {steps}; {folder} can be resumed")
        return Run(model.eval(), pd.DataFrame(rows), pd.DataFrame(), folder)


def _update(
    rehearsal: Rehearsal, optimizer: torch.optim.Optimizer, recipe: Recipe, state: Progress, seed: int
) -> None:
    """Update the weights once, unless the gradient is not finite, and count the step."""
    began, step = time.perf_counter(), state.step
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(step)
    tasks = rehearsal.draw(BATCH, np.random.default_rng([seed, 3, step]))
    passes = 1 + step % max(1, recipe.config.passes)
    optimizer.zero_grad()
    try:
        with seeded(seed, step):
            losses = rehearsal.losses(tasks, recipe, passes)
            losses.mean().backward()
    except NotFinite as error:
        raise InputError(f"step {step + 1}: {error}; a lower learning rate may keep it finite") from None
    longest = recipe.clip_norm or math.inf
    norm = float(torch.nn.utils.clip_grad_norm_(rehearsal.model.parameters(), longest))
    if math.isfinite(norm):
        optimizer.step()
    values = losses.detach()
    known, record = (float(values[kind].mean()) for kind in (tasks.known, ~tasks.known))  # NaN where none is
    state.add(known, norm, time.perf_counter() - began)
    state.losses.append(record)
    state.check_skipped("float32")


def _row(state: Progress) -> dict[str, float]:
    """Make a row of the log, with the mean losses since the last row: every step has left a pair of them."""
    known, record = torch.tensor(state.losses).view(-1, 2).nanmean(dim=0).tolist()
    state.losses.clear()
    return {"step": state.step, "seconds": round(state.seconds, 1), "known": known, "record": record}
