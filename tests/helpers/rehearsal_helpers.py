"""Stems and records of colored noise as a model hears them, for the tests of rehearsals."""

import numpy as np
import torch

import diffmst_lib as dm
from diffmst_lib.training.hearing import HeardRecord, HeardSong

RATE = 44100
SAMPLES = 20 * 4096


def colored(seed, samples=SAMPLES, side=0.4, lean_db=0.0):
    """Stereo noise (2, samples) in a band of its own, with a side, and maybe louder on the left."""
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(samples, 1 / RATE)
    center = 100 * 2 ** rng.uniform(0, 6)
    shape = 0.05 + np.exp(-0.5 * (np.log2(np.maximum(hz, 20) / center) / 1.2) ** 2)
    mid, other = (np.fft.irfft(shape * np.fft.rfft(rng.normal(size=samples)), samples) for _ in range(2))
    left, right = 10 ** (lean_db / 40) * (mid + side * other), 10 ** (-lean_db / 40) * (mid - side * other)
    sound = torch.tensor(np.stack([left, right]), dtype=torch.float32)
    return 0.03 * sound / sound.square().mean().sqrt()


def noise_song(count=4, seed=0, **options):
    """Stems (N, 2, samples)."""
    return torch.stack([colored(100 * seed + i, **options) for i in range(count)])


def noise_record(seed=0):
    """A record (2, samples) at -16 LUFS."""
    rng = np.random.default_rng(seed)
    lean_db, side = rng.uniform(-1, 1), rng.uniform(0.2, 0.8)
    return dm.normalize_loudness(
        sum(colored(1000 + 10 * seed + i, side=side, lean_db=lean_db) for i in range(4))
    )


@torch.no_grad()
def heard_song(model, stems, there=None):
    """Stems as `hear` hears them; the other moment is the same one unless it is given."""
    moments = [stems, stems if there is None else there]
    statistics = [model.track_encoder.statistics(model.split_stems(x)) for x in moments]
    return HeardSong(torch.stack(statistics), torch.cat([model.stem_power(x[None]) for x in moments]))


@torch.no_grad()
def heard_record(model, record):
    """A record as `hear` hears it."""
    statistics = model.mix_encoder.statistics(model.split_views(record[None]))
    power = model.stem_power(record[None, None])[0, 0]
    return HeardRecord(statistics, model.style.features(record[None])[0], power)
