"""A sound that is read piece by piece into the memory of one. Chapter: Data."""

from __future__ import annotations

import numpy as np

MOST_EXPECTED = 2**28  # samples: what a header says is no reason to reserve more


class GrowingSound:
    """A sound whose length is known for certain only when all of it was read.

    Where the expected length is right, nothing is ever copied.

    Args:
        channels: Number of channels.
        expected: Length that is expected, in samples.

    Example:
        >>> sound = GrowingSound(1, expected=2)
        >>> sound.append(np.ones((1, 3), np.float32))
        >>> sound.whole()
        array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(self, channels: int, expected: int = 0):
        self._samples = np.empty((channels, min(max(0, expected), MOST_EXPECTED)), np.float32)
        self._length = 0

    def append(self, piece: np.ndarray) -> None:
        """Add a piece (channels, num_samples)."""
        length = self._length + piece.shape[1]
        if length > self._samples.shape[1]:
            longer = np.empty((len(self._samples), max(length, 2 * self._length)), np.float32)
            longer[:, : self._length] = self._samples[:, : self._length]
            self._samples = longer
        self._samples[:, self._length : length] = piece
        self._length = length

    def whole(self) -> np.ndarray:
        """Return the sound (channels, num_samples), float32, with nothing but that in its memory."""
        return np.ascontiguousarray(self._samples[:, : self._length])
