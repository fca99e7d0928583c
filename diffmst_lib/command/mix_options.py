"""The options of `diffmst mix`: how to mix, and what is kept of the song. Chapter: A first mix."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .arguments import amount, count, count_from_zero, folder, number_from_zero, seconds, stem_names
from .sections import chosen_sections

if TYPE_CHECKING:
    from ..audio.multitrack import Multitrack


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to mix, and what is kept of the song.

    Args:
        parser: Parser of `diffmst mix`.
    """
    add = parser.add_argument
    add(
        "--method",
        choices=("model", "optimize", "equal-loudness"),
        help="ask a network (default with --model), fit the console to the reference (default without), "
        "or the baseline without a reference",
    )
    add(
        "--model",
        type=folder,
        metavar="small|PATH",
        help="the network: small, or a folder made by save_pretrained",
    )
    add(
        "--refine",
        type=count_from_zero,
        metavar="STEPS",
        help="gradient steps that continue from the network's console (default: none)",
    )
    add("--steps", type=count, help="gradient steps of optimize (default: 200)")
    add(
        "--fit-seconds",
        type=seconds,
        help="fit on the loudest window of this length; the whole song is rendered (default: 15)",
    )
    add(
        "--keep",
        type=number_from_zero,
        metavar="PULL",
        help="how strongly the fit and --refine are pulled towards their start: 0 not at all, as in the paper, "
        "2 twice as strongly as by default (default: 1). Of a network without --refine 0 takes the console as it "
        "is, also where it leads farther from the reference than the plain sum of the stems",
    )
    add(
        "--lock",
        type=stem_names,
        action="append",
        metavar="NAMES",
        help="stems and knobs that stay as delivered, as in vox_lead,kick.pan,master_bus.ratio",
    )
    add(
        "--amount",
        type=amount,
        metavar="SHARE",
        help="how far to go from the song as delivered to what was found, 0 to 1, for all or by aspect as in "
        "balance=0,tone=1,dynamics=0.5,image=1 (default: 1)",
    )
    add(
        "--balance",
        choices=("delivered", "equal"),
        help="start from the stems at the levels that they have (default), or all equally loud, for raw "
        "recordings",
    )
    add(
        "--center",
        metavar="NAMES",
        help="in a song of mono stems, those that start in the middle (default: the low end, and names that "
        "say lead voice, kick, bass, snare)",
    )


def chosen_method(options: argparse.Namespace) -> str:
    """Return the chosen method, or the one that the other options imply. Refuse options of another method.

    Args:
        options: Options of `diffmst mix`.

    Returns:
        "model", "optimize" or "equal-loudness".

    Raises:
        InputError: For an option that has no meaning with the method, and for a reference that is missing.
    """
    from ..inputs import InputError

    asks_model = options.model is not None or options.refine is not None
    method = options.method or ("model" if asks_model else "optimize")
    fits = method == "optimize" or (method == "model" and options.refine)
    allowed = {
        "model": method == "model",
        "refine": method == "model",
        "steps": method == "optimize",
        "fit-seconds": fits,
        "keep": fits or (method == "model" and options.keep == 0),
        **dict.fromkeys(("lock", "amount", "balance", "center", "sections"), method != "equal-loudness"),
    }
    for name, allow in allowed.items():
        if getattr(options, name.replace("-", "_")) is not None and not allow:
            without = " without --refine" if name in ("fit-seconds", "keep") and method == "model" else ""
            but = ", but for 0" if name == "keep" and without else ""
            raise InputError(f"--{name} has no meaning with --method {method}{without}{but}")
    if not options.reference and method != "equal-loudness":
        raise InputError(f"--method {method} needs a --reference")
    return method


def chosen_settings(options: argparse.Namespace, song: Multitrack) -> dict[str, Any]:
    """Return what was given of the options, as `optimize_mix` and `DiffMST.mix` take them.

    Args:
        options: Options of `diffmst mix`.
        song: The song, whose stems the options name.

    Returns:
        Arguments by name.
    """
    given = {
        "steps": options.steps,
        "refine_steps": options.refine,
        "fit_seconds": options.fit_seconds,
        "keep": options.keep,
        "lock": None if options.lock is None else _names(options.lock, song),
        "amount": options.amount,
        "balance": options.balance,
        "center": None if options.center is None else _names([options.center], song),
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return chosen | chosen_sections(options) | {"progress": not options.quiet}


def _names(texts: Sequence[str], song: Multitrack) -> list[str]:
    """Split texts at commas, but for those that are a stem's name or a knob's as they are."""
    names = []
    for text in texts:
        whole = text in song.names or text.rpartition(".")[0] in song.names
        names += [text] if whole else [part.strip() for part in text.split(",") if part.strip()]
    return names
