"""Evaluations in small: quick embeddings, one that ends its process, and songs of a few samples."""

import os
import signal
from pathlib import Path

import numpy as np
import torch

from diffmst_lib.data.songs import Song, Source, Track

DIES = "DIFFMST_TEST_DIES"  # names a file: while it is there, the process is killed, once
LEVELS = np.zeros(0)  # of every second: what chooses moments, not what reads them


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


def written_song(write, name, stems=None, mix=None):
    """A song of an index whose sounds, (1 or 2, num_samples) at 44.1 kHz, are written to files first."""

    def track(what, audio):
        path = write(f"{name}/{what}.wav", audio)
        return Track(what, Source(path), 44100, audio.shape[-1], len(audio), len(audio) == 1, 1.0, LEVELS)

    stems = [track(what, audio) for what, audio in (stems or {}).items()]
    mix = None if mix is None else track("mix", mix)
    return Song(name, name, "folders", "", "", "", "", stems, mix, LEVELS)
