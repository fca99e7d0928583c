"""`--device`: names, and one clear line where there is no such GPU."""

import argparse

import pytest
import torch

from diffmst_lib import InputError
from diffmst_lib.command.device import add_device_arguments, chosen_device


def parsed(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_device_arguments(parser)
    return parser.parse_args(words)


def test_the_cpu_is_the_default_and_asks_nobody():
    assert chosen_device(parsed()) == chosen_device(parsed("--device", "cpu")) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "mps", "CUDA", "cuda:-1", "meta", ""])
def test_other_names_are_refused(name):
    with pytest.raises(argparse.ArgumentError, match="must be cpu, cuda, or one of several as in cuda:1"):
        parsed("--device", name)


def test_one_line_says_that_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(
        InputError, match=r"^--device cuda: this torch is built without CUDA; leave it out .*$"
    ):
        chosen_device(parsed("--device", "cuda"))
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.raises(InputError, match=r"^--device cuda:0: torch finds no GPU; leave it out .*$"):
        chosen_device(parsed("--device", "cuda:0"))


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device(parsed("--device", "cuda:1")) == "cuda:1"
    assert chosen_device(parsed("--device", "cuda")) == "cuda"
    with pytest.raises(InputError, match=r"^--device cuda:2: there are 2 GPUs, from cuda:0 to cuda:1$"):
        chosen_device(parsed("--device", "cuda:2"))
