"""Encoders and controllers that users add: how they are given a name, and what is checked when one is built.

Chapters: The encoder, The controller.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ..disk import why
from ..inputs import InputError
from ..registry import Registry
from .modes import evaluating

Build = Callable[..., nn.Module]
ENCODERS: Registry[Build | None] = Registry("encoder", own=dict.fromkeys(("cnn", "statistics")))
CONTROLLERS: Registry[Build | None] = Registry("controller", own=dict.fromkeys(("transformer",)))


def register_encoder(name: str, build: Build) -> None:
    """Give an encoder of your own a name, for models that name it: `ModelConfig(encoder=name)`.

    A model has two: f_t of the tracks and f_r of the two views of the reference. What is registered is what
    builds them, a class or a function. A model on disk keeps only the name, so whoever loads it imports the
    module that registers it first. A new encoder is tried on one and on two seconds of noise.

    An encoder that has `statistics(x)`, (B, ...) to (B, K), and `standardize`, a `Standardize` of K numbers,
    gets the constants of the examples before it is trained, as ours do.

    Args:
        name: A word; not the name of one of ours.
        build: build(config, signals=signals), for a `ModelConfig`, returns a module that takes sounds of any
            length, (B, T) for signals=1 or (B, 2, T) for signals=2, and gives embeddings (B, config.width).
            Stems come with two signals, half their mid and half their side, their plain sum at -20 LUFS;
            channels with one, at `config.track_lufs`; the views of the reference with one, at -16 LUFS.

    Raises:
        InputError: For a name that is taken, and for anything but such a function.

    Example:
        >>> import dataclasses
        >>> import diffmst_lib as dm
        >>> class Levels(nn.Module):                       # hears nothing but how loud a signal is
        ...     def __init__(self, config, signals):
        ...         super().__init__()
        ...         self.project = nn.Linear(signals, config.width)
        ...     def forward(self, x):
        ...         level_db = 10 * torch.log10(x.square().mean(dim=-1) + 1e-8)
        ...         return self.project(level_db.reshape(len(x), -1) / 20 + 1.5)
        >>> dm.register_encoder("levels", Levels)
        >>> config = dataclasses.replace(dm.ModelConfig.preset("tiny"), encoder="levels", name="deaf")
        >>> int(dm.DiffMST(config).parameter_counts()["mix_encoder"])
        64
    """
    ENCODERS.register(name, _checked("encoder", name, build, signals=1))


def register_controller(name: str, build: Build) -> None:
    """Give a controller of your own a name, for models that name it: `ModelConfig(controller=name)`.

    What is registered is what builds it, a class or a function. A model on disk keeps only the name, so whoever
    loads it imports the module that registers it first. A new controller is tried on three tracks of noise.

    Args:
        name: A word; not the name of one of ours.
        build: build(config, style_size=style_size, evidence_size=evidence_size), for a `ModelConfig`, returns a
            module that is called as `Controller.forward`, controller(tracks, mix, style=style, pans=pans,
            evidence=evidence, mask=mask):
            embeddings of tracks (B, N, width) and of the reference (B, 2, width); style features of the
            reference, with the gap to the present mix, (B, style_size); where pans start, (B, N), 0 to 1; what
            each stem can read about its setting, (B, N, evidence_size); and (B, N), True for real tracks. Style
            and evidence of size 0 are None, and so is a mask of real tracks only. It gives the logits of the
            knobs of strips (B, N, knobs), effects bus (B, knobs) and master bus (B, knobs), in the order of
            `param_table`. In a second pass its answer less `start_console` is added to the logits so far, so
            it should start at those.

    Raises:
        InputError: For a name that is taken, and for anything but such a function.

    Example:
        >>> import dataclasses
        >>> import diffmst_lib as dm
        >>> class Alone(nn.Module):                        # every stem for itself, by its evidence; no master
        ...     def __init__(self, config, style_size, evidence_size):
        ...         super().__init__()
        ...         self.console = config.console
        ...         self.strip = nn.Linear(evidence_size, len(dm.param_table("track", config.console)))
        ...     def forward(self, tracks, mix, *, style, pans, evidence, mask):
        ...         strips, *buses = dm.controller.start_console(pans, self.console)
        ...         return strips + self.strip(evidence), *(bus.expand(len(tracks), -1) for bus in buses)
        >>> dm.register_controller("alone", Alone)
        >>> config = dataclasses.replace(dm.ModelConfig.preset("tiny"), controller="alone", name="alone")
        >>> type(dm.DiffMST(config).controller).__name__
        'Alone'
    """
    CONTROLLERS.register(name, _checked("controller", name, build, style_size=0, evidence_size=0))


def _checked(kind: str, name: str, build: Build, **sizes: int) -> Build:
    """Raise InputError unless `build` can be called as build(config, **sizes)."""
    call = f"build(config, {', '.join(sizes)})"
    if not callable(build) or isinstance(build, nn.Module):
        given = type(build).__name__ if isinstance(build, nn.Module) else repr(build)
        raise InputError(f"the {kind} {name!r} must be given as what builds it, {call}, not {given}")
    try:
        inspect.signature(build).bind(None, **sizes)
    except TypeError:
        raise InputError(f"the {kind} {name!r} must be built by {call}") from None
    except ValueError:  # a built-in function without a signature
        pass
    return build


def try_encoder(name: str, encoder: Any, *, signals: int, width: int, sample_rate: int) -> None:
    """Try a new encoder on sounds of two lengths, unless only shapes are wanted (on the device "meta").

    Args:
        name: Its name, for messages.
        encoder: The encoder.
        signals: Signals of a sound, 1 or 2.
        width: Width of the embeddings.
        sample_rate: Hz.

    Raises:
        InputError: In one line, for anything but a module whose embeddings are floating point, finite and of
            the right shape, and for an error that it raises.
    """
    for seconds in (1, 2):
        sounds = 0.1 * _noise(2, *[2] * (signals == 2), seconds * sample_rate)
        _try("encoder", name, encoder, (sounds,), {}, [(2, width)])


def try_controller(
    name: str, controller: Any, *, width: int, style_size: int, evidence_size: int, knobs: Sequence[int]
) -> None:
    """Try a new controller on two songs of three tracks, unless only shapes are wanted.

    Args:
        name: Its name, for messages.
        controller: The controller.
        width: Width of the embeddings.
        style_size: Number of style features; 0 for none.
        evidence_size: Number of values in the evidence of each stem; 0 for none.
        knobs: Numbers of knobs of a strip, the effects bus and the master bus.

    Raises:
        InputError: As `try_encoder`.
    """
    given = {
        "style": _noise(2, style_size) if style_size else None,
        "pans": torch.full((2, 3), 0.5),
        "evidence": _noise(2, 3, evidence_size) if evidence_size else None,
        "mask": torch.tensor([[True, True, True], [True, True, False]]),
    }
    shapes = [(2, 3, knobs[0]), *((2, count) for count in knobs[1:])]
    _try("controller", name, controller, (_noise(2, 3, width), _noise(2, 2, width)), given, shapes)


def _noise(*shape: int) -> torch.Tensor:
    """Make the same noise each time, on the device on which modules are built."""
    noise = torch.randn(*shape, device="cpu", generator=torch.Generator().manual_seed(0))
    return noise.to(torch.empty(0).device)


def _try(
    kind: str,
    name: str,
    module: Any,
    inputs: Sequence[torch.Tensor],
    options: dict[str, torch.Tensor | None],
    shapes: Sequence[tuple[int, ...]],
) -> None:
    """Run a new module, and check that it gives finite floating point of these shapes."""
    if not isinstance(module, nn.Module):
        raise InputError(f"the {kind} {name!r} must be a torch.nn.Module, not {type(module).__name__}")
    if inputs[0].is_meta:
        return
    given = ", ".join(str(tuple(x.shape)) for x in inputs)
    try:
        with torch.no_grad(), evaluating(module.modules()):
            outputs = module(*inputs, **options)
    except Exception as error:
        raise InputError(f"the {kind} {name!r} fails on noise {given}: {why(error)}") from error
    outputs = [outputs] if len(shapes) == 1 else outputs
    wanted = ", ".join(map(str, shapes))
    if not isinstance(outputs, Sequence) or not all(isinstance(y, torch.Tensor) for y in outputs):
        raise InputError(f"the {kind} {name!r} must give tensors {wanted}")
    if (got := [tuple(y.shape) for y in outputs]) != list(shapes):
        raise InputError(
            f"the {kind} {name!r} must give {wanted} for {given}, got {', '.join(map(str, got))}"
        )
    for y in outputs:
        if not y.dtype.is_floating_point or not bool(torch.isfinite(y).all()):
            what = y.dtype if not y.dtype.is_floating_point else "NaN or infinity"
            raise InputError(f"the {kind} {name!r} must give floating point that is finite, got {what}")
