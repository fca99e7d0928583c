"""The option `--device` of commands that use a network or fit a console. Chapter: Mix your own song."""

from __future__ import annotations

import argparse
import re

_KINDS = re.compile(r"cpu|cuda(:\d{1,3})?")


def device(text: str) -> str:
    """Read the name of a device.

    Args:
        text: Text of the argument.

    Returns:
        The name.

    Raises:
        argparse.ArgumentTypeError: For anything but cpu, cuda, and cuda with a number.

    Example:
        >>> device("cuda:1")
        'cuda:1'
    """
    if not _KINDS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be cpu, cuda, or one of several as in cuda:1, not {text}")
    return text


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--device` to a parser."""
    parser.add_argument(
        "--device",
        type=device,
        default="cpu",
        metavar="cpu|cuda",
        help="where the network listens and the console is fitted; the song itself is rendered on the CPU "
        "(default: cpu)",
    )


def chosen_device(options: argparse.Namespace) -> str:
    """Return the device that was asked for.

    Args:
        options: Parsed options.

    Raises:
        InputError: When there is no such GPU, or torch cannot use it.
    """
    from ..inputs import InputError

    name: str = options.device
    if name == "cpu":
        return name
    import torch

    if not torch.cuda.is_available():
        without = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU"
        raise InputError(f"--device {name}: {without}; leave it out to work on the CPU")
    count, number = torch.cuda.device_count(), int(name.partition(":")[2] or 0)
    if number >= count:
        raise InputError(f"--device {name}: there are {count} GPUs, from cuda:0 to cuda:{count - 1}")
    return name
