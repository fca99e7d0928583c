"""What the tests of audio, loudness and multitracks share."""

import math

import torch

RATE = 44100


def sine(frequency_hz, seconds=1.0, rate=RATE):
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(round(seconds * rate)) / rate)


def one_line(caught, *parts):
    """Whether the error says all the parts in one line."""
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message
    return True
