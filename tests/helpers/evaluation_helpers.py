"""Embeddings for evaluations: quick ones, and one that ends its process."""

import os
import signal
from pathlib import Path

import torch

DIES = "DIFFMST_TEST_DIES"  # names a file: while it is there, the process is killed, once


def thirds(audio, sample_rate):
    """Levels of thirds of a sound in three bands of samples: (3, 4) numbers, no network."""
    parts = audio[:, : audio.shape[-1] // 3 * 3].reshape(2, 3, -1)
    numbers = [parts[0], parts[1], parts.sum(dim=0), parts[0] - parts[1]]
    return torch.stack([part.square().mean(dim=-1) for part in numbers], dim=-1)


def deadly(audio, sample_rate):
    """Kill this process when the file is there, which is gone then; else as `thirds`."""
    if (path := Path(os.environ[DIES])).exists():
        path.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return thirds(audio, sample_rate)
