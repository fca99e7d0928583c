"""What a training runs on: devices, precision, processes that read ahead. Chapter: Training at scale."""

from __future__ import annotations

from dataclasses import dataclass

from ..inputs import check_limits, limited, one_of
from ..options import ACCELERATORS, PRECISIONS


@dataclass(frozen=True)
class Hardware:
    """What a training runs on.

    With more devices an update takes more examples. Everything else changes only speed and rounding.

    Args:
        accelerator: "cpu", "cuda", or "auto": a GPU if there is one.
        devices: Number of GPUs per machine, or of processes on its CPU, at least 1.
        num_nodes: Number of machines, at least 1.
        precision: "float32", or "bf16" or "fp16" for the network; the console and the losses stay in float32.
        workers: Number of processes per device that read examples ahead, 0 or more.
        compiled: Whether CNN encoders pass through `torch.compile`, which takes minutes and then saves a
            fifth of the time or more. Only for CNN encoders, so not for "small" and "tiny".

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
