"""What every system is given."""

import dataclasses

import pytest
import torch

from diffmst_lib.evaluation.task import Task


def test_a_task_stays_as_it_is(song):
    task = Task(song, torch.zeros(2, 10))
    assert task.seed == 0 and task.human is None and task.song is song
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.seed = 1
