"""Sounds for the tests of the widgets."""

import base64
import io
import re

import numpy as np
import soundfile as sf
import torch

RATE = 44100


def tones(seconds=4.0, peak=0.3, channels=2, first_hz=220.0, sample_rate=RATE):
    """Return a chord that swells, the channels different: (channels, num_samples)."""
    time = torch.arange(int(seconds * sample_rate)) / sample_rate
    rows = [
        sum(
            torch.sin(2 * torch.pi * first_hz * ratio * (1 + 0.25 * channel) * time)
            for ratio in (1.0, 1.5, 2.7)
        )
        for channel in range(channels)
    ]
    audio = torch.stack(rows) * (1 + 0.5 * torch.sin(2 * torch.pi * 0.7 * time))
    return peak * audio / audio.abs().max()


def stems(*sounds):
    """Return sounds (1 or 2, num_samples) as the stems of a song (N, 2, num_samples)."""
    return torch.stack([sound.expand(2, -1) for sound in sounds])


def decode(data):
    samples, sample_rate = sf.read(io.BytesIO(data), always_2d=True)
    return samples, sample_rate


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples)))


def players_in(page):
    """Return the decoded sounds of a page's players, each (num_samples, channels)."""
    texts = re.findall(r"data:audio/mpeg;base64,([^\"]+)", page)
    return [decode(base64.b64decode(text))[0] for text in texts]
