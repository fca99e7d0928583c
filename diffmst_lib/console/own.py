"""A console with knobs and effects of one's own: registered once, then used by its name. Chapter: The console."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..inputs import FIRST_EDITION, PRESETS, InputError
from .specs import CONSOLES, PLACES, Console, Effect, ParamSpec
from .table import param_table

SHORT = 4096  # samples of the noise on which an effect is tried
UNCHANGED = 1e-4  # how much of it an effect with neutral knobs may change
RATE = 44100


def register_console(
    name: str, *, base: str = "default", strip: Sequence[Effect] = (), master: Sequence[Effect] = ()
) -> None:
    """Make a console with more effects in its strips and on its master bus, and give it a name.

    The name then works wherever a preset of the console does: `ConsoleParams`, `MixingConsole`, files of
    settings, `optimize_mix` (as `console=name`) and `ModelConfig`. Files hold the name only, so whoever reads
    them imports the module that registers it. Our knobs keep their columns, and the new ones come after them.

    Every effect is tried on a short noise: with neutral knobs it changes nothing, at the ends of their ranges
    it stays finite, and it is differentiable in sound and knobs. It does to two equal channels what it does
    to one of them.

    Chapter: The console

    Args:
        name: A word that is no preset of ours.
        base: The console that gets the effects: "default" (stems) or "reference" (the paper's mono channels).
        strip: Effects of every strip.
        master: Effects of the master bus.

    Raises:
        ValueError: For a name that is taken, and for an effect that does not fit, with the reason.

    Example:
        >>> import diffmst_lib as dm
        >>> def saturate(x, sample_rate, drive_db):
        ...     gain = 10 ** (drive_db / 20)[:, None, None]
        ...     return x + (1 - 1 / gain) * (torch.tanh(gain * x) - x)
        >>> drive = ParamSpec("drive_db", "saturator", "dB", 0.0, 24.0, "linear", 0.0, 3.0, aspect="tone")
        >>> dm.register_console("tape", strip=[Effect("saturator", (drive,), saturate)])
        >>> params = dm.ConsoleParams.neutral(["kick", "vox"], preset="tape")
        >>> params.track("vox")["drive_db"] = 6.0
        >>> dm.MixingConsole(44100, "tape")(0.1 * torch.randn(2, 2, 4410), params).mix.shape
        torch.Size([2, 4410])
    """
    if base not in PRESETS:
        raise InputError(f"base must be one of {', '.join(PRESETS)}, not {base!r}")
    if name == FIRST_EDITION:
        raise InputError(f"the console {name!r} is one of ours: register yours under another name")
    for effects in (strip, master):
        if not isinstance(effects, Sequence):
            raise InputError(f"strip and master take lists of effects, not {effects!r}")
    console = Console(base, tuple(strip), tuple(master))
    for section, effects in (("track", console.track), ("master_bus", console.master_bus)):
        taken = {spec.name for spec in param_table(section, base)}
        for effect in effects:
            _check(effect, PLACES[base][section], taken)
            taken |= {knob.name for knob in effect.knobs}
            _try(effect, mono=section == "track" and effect.after != "fader")
    CONSOLES.register(name, console)


def _check(effect: Effect, places: Sequence[str], taken: set[str]) -> None:
    """Raise InputError unless an effect is whole, at a place that there is, and its knobs have names of their own."""
    if not isinstance(effect, Effect):
        raise InputError(f"a console takes effects, Effect(name, knobs, run, after), not {effect!r}")
    if not callable(effect.run):
        raise InputError(f"{effect.name}: run must be a function, not {effect.run!r}")
    if effect.after not in places:
        raise InputError(f"{effect.name}: after must be one of {', '.join(places)}, not {effect.after!r}")
    knobs = effect.knobs
    if not isinstance(knobs, tuple) or not knobs or not all(isinstance(knob, ParamSpec) for knob in knobs):
        raise InputError(f"{effect.name}: knobs must be a tuple of ParamSpec, at least one, not {knobs!r}")
    names = [knob.name for knob in knobs]
    for knob in knobs:
        if knob.name in taken or names.count(knob.name) > 1:
            raise InputError(f"{effect.name}: there is a knob {knob.name!r} already")
        if knob.effect != effect.name:
            raise InputError(f"{effect.name}: its knob {knob.name} says that it belongs to {knob.effect!r}")


@torch.enable_grad()
@torch.inference_mode(False)
def _try(effect: Effect, *, mono: bool) -> None:
    """Run an effect on noise: at neutral it must change nothing, elsewhere be finite, and have gradients.

    Where mono stems pass it as one channel (`mono`), it must treat two equal channels as it treats that one.
    """
    noise = 0.1 * torch.randn(2, 2, SHORT, generator=torch.Generator().manual_seed(0))
    if mono:
        noise[1, 1] = noise[1, 0]  # a stereo stem and a mono stem
    change = (_run(effect, noise, "neutral") - noise).abs().max().item()
    if change > UNCHANGED:
        raise InputError(f"{effect.name}: with neutral knobs it changes its input, by up to {change:.2g}")
    for place in ("low", "high"):
        both = _run(effect, noise, place)
        if mono and (both[1:] - _run(effect, noise[1:, :1], place)).abs().max() > UNCHANGED:
            raise InputError(
                f"{effect.name}: a mono stem passes as one channel, and comes out otherwise than as two equal "
                'ones: place the effect after="fader"'
            )


def _run(effect: Effect, noise: torch.Tensor, place: str) -> torch.Tensor:
    """Run an effect with its knobs at one place of their ranges, forward and backward."""
    x = noise.clone().requires_grad_()
    knobs = {
        knob.name: torch.full((len(x),), float(getattr(knob, place)), requires_grad=True)
        for knob in effect.knobs
    }
    where = f"{effect.name}, knobs at {place}"
    try:
        y = effect.run(x, RATE, **knobs)
    except Exception as error:
        raise InputError(f"{where}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not isinstance(y, torch.Tensor) or y.shape != x.shape or y.dtype != x.dtype:
        got = f"{tuple(y.shape)}, {y.dtype}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise InputError(f"{where}: run must return sound like its input {tuple(x.shape)}, got {got}")
    if not bool(y.isfinite().all()):
        raise InputError(f"{where}: the sound is not finite")
    inputs = {"the sound": x, **knobs}
    gradients = (
        torch.autograd.grad(y.square().sum(), list(inputs.values()), allow_unused=True)
        if y.requires_grad
        else [None] * len(inputs)
    )
    for name, gradient in zip(inputs, gradients, strict=True):
        if gradient is None:
            raise InputError(f"{where}: run has no gradient in {name}")
        if not bool(gradient.isfinite().all()):
            raise InputError(f"{where}: the gradient in {name} is not finite")
    return y.detach()
