"""GPUs, processes and precision, through lightning-fabric. Chapter: Training at scale."""

from __future__ import annotations

import logging

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies import DDPStrategy

from ..inputs import InputError

MIXED = {"float32": None, "bf16": "bf16-mixed", "fp16": "16-mixed"}


class _NetworkPrecision(MixedPrecision):
    """Mixed precision inside of the network alone: sounds go in and come out in float32."""

    def convert_input(self, data):
        return data

    def convert_output(self, data):
        return data


def make_fabric(accelerator: str, devices: int, num_nodes: int, precision: str) -> Fabric:
    """The processes of a training, started. InputError for more GPUs than there are."""
    if accelerator not in ("auto", "cpu", "cuda"):
        raise ValueError(f"accelerator must be auto, cpu or cuda, not {accelerator!r}")
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and torch.cuda.device_count() < devices:
        raise InputError(f"{devices} GPUs are asked for, {torch.cuda.device_count()} are there")
    many = devices * num_nodes > 1  # the effects bus, which is off, has a head that gets no gradient
    mixed = MIXED[precision]
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        plugins=[_NetworkPrecision(mixed, accelerator)] if mixed else None,
        strategy=DDPStrategy(find_unused_parameters=True) if many else "auto",
    )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric.launch()
    return fabric


def anybody(fabric: Fabric, asked: bool) -> bool:
    """Whether one of the processes was asked to stop: all of them stop after the same step."""
    if fabric.world_size == 1:
        return asked
    return bool(fabric.all_reduce(torch.tensor(float(asked)), reduce_op="sum"))
