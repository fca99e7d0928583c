"""GPUs, processes and precision, through lightning-fabric. Chapter: Training at scale."""

from __future__ import annotations

import logging
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies import DDPStrategy

from ..inputs import InputError
from .hardware import Hardware

MIXED = {"float32": None, "bf16": "bf16-mixed", "fp16": "16-mixed"}  # Fabric's names

Data = TypeVar("Data")


class _NetworkPrecision(MixedPrecision):
    """Mixed precision inside the network only: audio goes in and comes out in float32."""

    def convert_input(self, data: Data) -> Data:
        return data

    def convert_output(self, data: Data) -> Data:
        return data


def start_processes(hardware: Hardware) -> Fabric:
    """Start the processes of a training.

    Args:
        hardware: What the training runs on.

    Returns:
        Fabric, launched.

    Raises:
        InputError: When there are fewer GPUs than asked for.
    """
    accelerator, devices = hardware.accelerator, hardware.devices
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and torch.cuda.device_count() < devices:
        raise InputError(f"{devices} GPUs are asked for, {torch.cuda.device_count()} are there")
    several = devices * hardware.num_nodes > 1
    mixed = MIXED[hardware.precision]
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=hardware.num_nodes,
        plugins=[_NetworkPrecision(mixed, accelerator)] if mixed else None,
        # The effects bus, which is off, has a head that gets no gradient.
        strategy=DDPStrategy(find_unused_parameters=True) if several else "auto",
    )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric.launch()
    return fabric


def any_process(fabric: Fabric, asked: bool) -> bool:
    """Tell whether any process was asked to stop, so that all of them stop after the same step."""
    if fabric.world_size == 1:
        return asked
    return bool(fabric.all_reduce(torch.tensor(float(asked)), reduce_op="sum"))
