"""Mean squares and mean magnitude spectra, the averages that the audio features are made of.

The gradients are written by hand; they take half the time of autograd's.

Chapter: Audio features.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch

WINDOWS_AT_A_TIME = 8  # a few megabytes, near the processor's cache


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a tensor cached under inference mode could not take part in a gradient later
def hann_window(num_samples: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return the periodic Hann window, made once for each length, device and dtype; do not change it.

    Args:
        num_samples: Length of the window, in samples.
        device: Device of the window.
        dtype: Floating-point dtype of the window.

    Returns:
        The window (num_samples,), from 0 to 1.
    """
    return torch.hann_window(num_samples, device=device, dtype=dtype)


class _MeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.square().mean(dim=-1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return x * (grad * (2 / x.shape[-1]))[..., None]


def mean_square(x: torch.Tensor) -> torch.Tensor:
    """Compute the power, the mean of x^2 along the last axis. The gradient towards a sample is 2 x / N.

    Args:
        x: Audio (..., N).

    Returns:
        The power (...), linear.

    Example:
        >>> mean_square(torch.tensor([3.0, -1.0]))
        tensor(5.)
    """
    return _MeanSquare.apply(x)


class _MeanMagnitude(torch.autograd.Function):
    """Mean over windows of |FFT|.

    PyTorch's own gradient of a real FFT goes through a complex one of full length.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, n_fft: int, hop: int) -> torch.Tensor:
        half = n_fft // 2
        padded = torch.cat([x[:, 1 : half + 1].flip(-1), x, x[:, -half - 1 : -1].flip(-1)], dim=-1)
        total, parts = x.new_zeros(x.shape[0], half + 1), []
        for spectrum, magnitude in spectra(padded, n_fft, hop):
            total += magnitude.sum(dim=1)
            parts += [spectrum, magnitude] if ctx.needs_input_grad[0] else []
        ctx.save_for_backward(*parts)
        ctx.n_fft, ctx.hop, ctx.shape = n_fft, hop, padded.shape
        return total / (x.shape[-1] // hop + 1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the gradient of a mean magnitude cannot be differentiated again (create_graph=True)"
            )
        n_fft, hop, half = ctx.n_fft, ctx.hop, ctx.n_fft // 2
        window = hann_window(n_fft, grad.device, grad.dtype) / ((ctx.shape[-1] - n_fft) // hop + 1)
        grad = grad.clone()
        grad[:, 1:half] *= 0.5  # the inverse transform counts these bins twice
        out, start = grad.new_zeros(ctx.shape), 0
        saved = ctx.saved_tensors  # once: checkpointing gives them a single time
        for spectrum, magnitude in zip(saved[::2], saved[1::2], strict=True):
            tiny = torch.finfo(magnitude.dtype).tiny ** 0.5  # where |X| = 0 the gradient is 0, not NaN
            scale = grad[:, None] / magnitude.clamp(min=tiny)
            scaled = torch.complex(spectrum.real * scale, spectrum.imag * scale)
            frames = torch.fft.irfft(scaled, n=n_fft, norm="forward")
            for frame in (frames * window).unbind(dim=1):  # (B, n_fft)
                out[:, start : start + n_fft] += frame
                start += hop
        inner = out[:, half:-half]
        inner[:, 1 : half + 1] += out[:, :half].flip(-1)  # what was reflected
        inner[:, -half - 1 : -1] += out[:, -half:].flip(-1)
        return inner, None, None


def spectra(x: torch.Tensor, n_fft: int, hop: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Transform the windows of a sound, a few at a time.

    Args:
        x: Audio (B, T), at least a window long.
        n_fft: Length of a window in samples, even.
        hop: Samples from one window to the next.

    Yields:
        Spectra and their magnitudes, (B, at most 8, n_fft // 2 + 1).
    """
    window = hann_window(n_fft, x.device, x.dtype)
    for frames in x.unfold(-1, n_fft, hop).split(WINDOWS_AT_A_TIME, dim=1):  # (B, 8, n_fft)
        spectrum = torch.fft.rfft(frames * window)
        magnitude = (spectrum.real * spectrum.real).addcmul_(spectrum.imag, spectrum.imag).sqrt_()
        yield spectrum, magnitude


def mean_magnitude(x: torch.Tensor, n_fft: int, hop: int) -> torch.Tensor:
    """Average the magnitudes of the short-time spectrum over time.

    |X|_k = mean over windows i of |sum_n hann(n) x(n + i hop) exp(-2 pi j k n / n_fft)|. As in
    `torch.stft`, windows are centered and the ends are reflected.

    Args:
        x: Audio (B, T); clips up to half a window are padded with zeros.
        n_fft: Length of a window in samples, even.
        hop: Samples from one window to the next.

    Returns:
        The mean magnitudes (B, n_fft // 2 + 1), linear.

    Raises:
        RuntimeError: In backward with `create_graph=True`: the gradient cannot be differentiated again.

    Example:
        >>> x = torch.randn(1, 4096)
        >>> spectrum = torch.stft(x, 1024, 256, window=torch.hann_window(1024), return_complex=True)
        >>> torch.allclose(mean_magnitude(x, 1024, 256), spectrum.abs().mean(dim=-1), atol=1e-3)
        True
    """
    half = n_fft // 2
    if x.shape[-1] <= half:  # a reflection needs more than the half
        x = torch.nn.functional.pad(x, (0, half + 1 - x.shape[-1]))
    return _MeanMagnitude.apply(x, n_fft, hop)
