"""Convolution through FFTs, with its own backward, for the equalizer's FIR and the reverb.

Chapters: The equalizer, The console.
"""

from __future__ import annotations

import math
from typing import Any

import scipy.fft
import torch

FIR_TAPS = 65_536  # at 44.1 kHz, 1.5 s: a shelf at 20 Hz with Q 5 is below -110 dB after that


def scaled_samples(samples_at_44100: int, sample_rate: float) -> int:
    """Scale a number of samples to another sample rate, up to the next even length that suits an FFT.

    Args:
        samples_at_44100: Number of samples at 44,100 Hz.
        sample_rate: Hz.

    Returns:
        A number of samples.

    Example:
        >>> scaled_samples(65_536, 22050)
        32768
    """
    return 2 * scipy.fft.next_fast_len(math.ceil(samples_at_44100 / 2 * sample_rate / 44100), real=True)


class _FFTConvolve(torch.autograd.Function):
    """A convolution whose backward is two correlations; autograd's takes complex FFTs, twice as slow."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, fir: torch.Tensor) -> torch.Tensor:
        n = scipy.fft.next_fast_len(x.shape[-1] + fir.shape[-1] - 1, real=True)
        x_spectrum, fir_spectrum = torch.fft.rfft(x, n), torch.fft.rfft(fir, n)
        ctx.save_for_backward(x_spectrum, fir_spectrum)
        ctx.sizes = n, x.shape, fir.shape
        return torch.fft.irfft(x_spectrum * fir_spectrum, n)[..., : x.shape[-1]]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_spectrum, fir_spectrum = ctx.saved_tensors
        n, x_shape, fir_shape = ctx.sizes
        spectrum = torch.fft.rfft(grad, n)
        grads: list[torch.Tensor | None] = [None, None]
        for i, (other, shape) in enumerate(((fir_spectrum, x_shape), (x_spectrum, fir_shape))):
            if ctx.needs_input_grad[i]:
                product = (spectrum * other.conj()).sum_to_size(*shape[:-1], spectrum.shape[-1])
                grads[i] = torch.fft.irfft(product, n)[..., : shape[-1]]
        return tuple(grads)


def fft_convolve(x: torch.Tensor, fir: torch.Tensor) -> torch.Tensor:
    """Convolve along the last axis, cropped to the length of `x`. Differentiable once, in both arguments.

    Args:
        x: Audio (..., T).
        fir: Impulse responses (..., taps); the other axes broadcast.

    Returns:
        Audio (..., T).

    Example:
        >>> fft_convolve(torch.tensor([1., 0., 0.]), torch.tensor([0.5, 0.25])).round(decimals=5)
        tensor([0.5000, 0.2500, 0.0000])
    """
    return _FFTConvolve.apply(x, fir)


class ConvolutionStream:
    """`fft_convolve` for a sound that comes in blocks: the output of all blocks is that of one pass.

    Overlap and add: each block rings on for the length of the impulse response, and what rings beyond the block
    is kept for those after it. Without gradients.

    Args:
        fir: Impulse responses (..., taps).

    Example:
        >>> stream = ConvolutionStream(torch.tensor([0.5, 0.25]))
        >>> [stream(x).round(decimals=5).tolist() for x in (torch.tensor([1.0]), torch.tensor([0.0, 0.0]))]
        [[0.5], [0.25, 0.0]]
    """

    def __init__(self, fir: torch.Tensor):
        self._fir, self._spectrum, self._size = fir, fir, 0
        self._rings = fir.new_zeros(*fir.shape[:-1], fir.shape[-1] - 1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve the next block, audio (..., T) of the same other axes as the responses; return audio like it."""
        length = x.shape[-1]
        size = scipy.fft.next_fast_len(length + self._fir.shape[-1] - 1, real=True)
        if size != self._size:
            self._size, self._spectrum = size, torch.fft.rfft(self._fir, size)
        y = torch.fft.irfft(torch.fft.rfft(x, size) * self._spectrum, size)
        y = y[..., : length + self._fir.shape[-1] - 1]
        y[..., : self._rings.shape[-1]] += self._rings
        self._rings = y[..., length:].clone()
        return y[..., :length]
