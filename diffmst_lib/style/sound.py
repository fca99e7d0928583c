"""A sound that is measured: as a whole where a gradient may be needed, in pieces where it is long.

Chapter: Audio features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from .averages import WINDOWS_AT_A_TIME, mean_magnitude, spectra

PIECE = 2**20  # samples of a long sound looked at together: 24 s at 44.1 kHz
WINDOWS = 8 * WINDOWS_AT_A_TIME  # of a long sound cut out together
Function = Callable[[torch.Tensor], torch.Tensor]


class Sound:
    """A stereo sound at a level. A long one without a gradient needs little memory beyond its own.

    Args:
        x: Audio (B, 2, T) or (2, T), floating point.
        gain: A factor for it, linear.

    Example:
        >>> sound = Sound(torch.ones(2, 10), gain=0.5)
        >>> sound.peak(), sound.average(lambda x: x.square().mean(dim=-1))
        (tensor([0.5000, 0.5000]), tensor([0.2500, 0.2500]))
    """

    def __init__(self, x: torch.Tensor, gain: float = 1.0):
        self._needs_gradient = torch.is_grad_enabled() and x.requires_grad
        self._is_long = x.shape[-1] > 2 * PIECE and not self._needs_gradient
        if gain != 1.0 and not self._is_long:
            x, gain = x * gain, 1.0
        self._x, self._gain = x, gain
        self.shape, self.device, self.dtype = x.shape, x.device, x.dtype

    def whole(self) -> torch.Tensor:
        """Return the sound at its level, (B, 2, T) or (2, T)."""
        return self._levelled(self._x)

    def _levelled(self, x: torch.Tensor) -> torch.Tensor:
        return x if self._gain == 1.0 else x * self._gain

    def average(self, function: Function) -> torch.Tensor:
        """Average a function of the sound over time.

        Args:
            function: Averages any part of the sound, (B, 2, samples) or (2, samples), over its samples.

        Returns:
            What the function gives for the whole sound, but for rounding.
        """
        if not self._is_long:
            return function(self._x)
        parts = self._x.split(PIECE, dim=-1)
        values = [function(self._levelled(part)) * (part.shape[-1] / self.shape[-1]) for part in parts]
        return torch.stack(values).sum(dim=0)

    def peak(self) -> torch.Tensor:
        """Find the peak of each channel, (B, 2) or (2,). Of equal peaks only the first gets the gradient."""
        if self._needs_gradient:
            at = self._x.detach().abs().argmax(dim=-1, keepdim=True)
            return self._x.gather(-1, at).abs().squeeze(-1)
        low, high = self._x.aminmax(dim=-1)
        return self._levelled(torch.maximum(low.abs(), high.abs()))

    def mean_magnitude(
        self, n_fft: int, hop: int, function: Function, whole: Function | None = None
    ) -> torch.Tensor:
        """Average the magnitudes of the short-time spectrum, see `averages.mean_magnitude`.

        Args:
            n_fft: Length of a window in samples, even.
            hop: Samples from one window to the next.
            function: What is transformed: makes (rows, samples) of the sound, sample by sample.
            whole: What averages the magnitudes of a sound that is not long; None: `averages.mean_magnitude`.

        Returns:
            The mean magnitudes (rows, n_fft // 2 + 1), linear.
        """
        if not self._is_long or self.shape[-1] <= n_fft:
            x = function(self.whole())
            return whole(x) if whole else mean_magnitude(x, n_fft, hop)
        total: torch.Tensor | float = 0.0
        for piece in self._windows(n_fft, hop):
            for _, magnitude in spectra(function(self._levelled(piece)), n_fft, hop):
                total = total + magnitude.sum(dim=1)
        return torch.as_tensor(total) / (self.shape[-1] // hop + 1)

    def _windows(self, n_fft: int, hop: int) -> Iterator[torch.Tensor]:
        """Cut the sound, its ends reflected by half a window, into parts of some windows."""
        count, half, end = self.shape[-1] // hop + 1, n_fft // 2, self.shape[-1]
        for first in range(0, count, WINDOWS):
            start = first * hop - half
            stop = (min(first + WINDOWS, count) - 1) * hop + n_fft - half
            parts = [self._x[..., max(0, start) : min(stop, end)]]
            if start < 0:
                parts.insert(0, self._x[..., 1 : 1 - start].flip(-1))
            if stop > end:
                parts.append(self._x[..., end - 1 - (stop - end) : end - 1].flip(-1))
            yield torch.cat(parts, dim=-1)
