"""What a training runs on: devices, precision, processes that read ahead. Chapter: Training at scale."""

from __future__ import annotations

from dataclasses import dataclass

from ..inputs import check_limits, limited, one_of

ACCELERATORS = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bf16", "fp16")


@dataclass(frozen=True)
class Hardware:
    """What a training runs on. It changes how fast a training is, not what it learns.

    Args:
        accelerator: "cpu", "cuda", or "auto": a GPU if there is one.
        devices: GPUs of a machine, or processes on its CPU, at least 1.
        num_nodes: Machines, at least 1.
        precision: "float32", or "bf16" or "fp16" for the network; the console and the losses stay in float32.
        workers: Processes of each device that read examples ahead; 0 for none.
        compiled: Whether CNN encoders pass through `torch.compile`, which takes minutes and then saves a
            fifth of the time or more. The statistics of "small" and "tiny" have nothing to gain.

    Raises:
        ValueError: For values out of these limits.

    Example:
        >>> Hardware(precision="float16")
        Traceback (most recent call last):
        ...
        ValueError: precision cannot be 'float16'
    """

    accelerator: str = one_of(ACCELERATORS, default="auto")
    devices: int = limited(1, whole=True, default=1)
    num_nodes: int = limited(1, whole=True, default=1)
    precision: str = one_of(PRECISIONS, default="float32")
    workers: int = limited(0, whole=True, default=0)
    compiled: bool = one_of((False, True), default=False)

    def __post_init__(self) -> None:
        check_limits(self)
