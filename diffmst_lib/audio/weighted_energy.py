"""The energy of a sound behind filters, summed up in one compiled loop: what loudness is made of.

Chapter: A first mix.
"""

from __future__ import annotations

import numpy as np
import torch

from ..console.engines.loops import compiled

BLOCK = 512  # samples after which tiny states are set to 0
TINY = 1e-30  # or digital silence ends in denormal numbers, 50 times slower


@compiled(fastmath={"contract"})
def _sum_up(
    x: np.ndarray,
    first: int,
    gains: np.ndarray,
    sections: np.ndarray,
    edges: np.ndarray,
    edge: int,
    total: float,
    state: np.ndarray,
    energies: np.ndarray,
) -> tuple[int, float]:
    """Fill `energies` with the energy before each of the samples `edges`, which ascend, from number `edge` on.

    `x` begins with the sound's sample `first`; `total` and `state` are those before it. Returns the number of the
    next edge and the energy so far.
    """
    b0, b1, b2, _, a1, a2 = sections[0]
    d0, d1, d2, _, c1, c2 = sections[1]
    p1, p2, q1, q2 = state
    for start in range(0, x.shape[1], BLOCK):
        for n in range(start, min(start + BLOCK, x.shape[1])):
            while edge < edges.shape[0] and edges[edge] == first + n:
                energies[edge] = total
                edge += 1
            for c in range(x.shape[0]):
                value = np.float64(x[c, n])
                y = b0 * value + p1[c]
                p1[c] = (b1 * value + p2[c]) - a1 * y
                p2[c] = b2 * value - a2 * y
                z = d0 * y + q1[c]
                q1[c] = (d1 * y + q2[c]) - c1 * z
                q2[c] = d2 * y - c2 * z
                total += gains[c] * z * z
        for i in range(4):
            for c in range(x.shape[0]):
                if abs(state[i, c]) < TINY:
                    state[i, c] = 0.0
    return edge, total


def weighted_energy(
    audio: torch.Tensor, *, sections: np.ndarray, gains: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """Filter the channels of a sound, and sum up their energy.

    Without a copy of the sound, and without Python's lock, so several sounds can be measured on threads.

    Args:
        audio: Audio (channels, num_samples), floating point.
        sections: Two second-order sections (2, 6), such as those of `k_weighting`.
        gains: A factor (channels,) for the energy of each channel.
        edges: Samples (num_edges,) before which the energy is wanted, 0 to num_samples, in any order.

    Returns:
        Energies (num_edges,), those of everything before each edge. NaN and infinities stay to the end.

    Example:
        >>> through = np.array([[1.0, 0, 0, 1, 0, 0]] * 2)
        >>> weighted_energy(torch.ones(1, 4), sections=through, gains=np.ones(1), edges=np.array([4, 0, 1]))
        array([4., 0., 1.])
    """
    energy = WeightedEnergy(sections=sections, gains=gains, edges=edges)
    energy(audio)
    return energy.before_edges()


class WeightedEnergy:
    """`weighted_energy` of a sound that comes in blocks.

    Args:
        sections: Two second-order sections (2, 6).
        gains: A factor (channels,) for the energy of each channel.
        edges: Samples (num_edges,) before which the energy is wanted, in any order.

    Example:
        >>> through = np.array([[1.0, 0, 0, 1, 0, 0]] * 2)
        >>> energy = WeightedEnergy(sections=through, gains=np.ones(1), edges=np.array([4, 0, 3]))
        >>> energy(torch.ones(1, 2))
        >>> energy(torch.ones(1, 2))
        >>> energy.before_edges()
        array([4., 0., 3.])
    """

    def __init__(self, *, sections: np.ndarray, gains: np.ndarray, edges: np.ndarray):
        self._sections, self._gains = sections, gains
        self._order = np.argsort(edges, kind="stable")
        self._edges, self._energies = edges[self._order], np.empty(len(edges))
        self._state = np.zeros((4, len(gains)))
        self._first, self._edge, self._total = 0, 0, 0.0

    def __call__(self, audio: torch.Tensor) -> None:
        """Take the next block, audio (channels, num_samples)."""
        audio = audio.detach().cpu()
        if audio.dtype not in (torch.float32, torch.float64):
            audio = audio.float()
        self._edge, self._total = _sum_up(
            np.ascontiguousarray(audio.numpy()),
            self._first,
            self._gains,
            self._sections,
            self._edges,
            self._edge,
            self._total,
            self._state,
            self._energies,
        )
        self._first += audio.shape[-1]

    def before_edges(self) -> np.ndarray:
        """Return the energies (num_edges,), those of what came before each edge."""
        self._energies[self._edge :] = self._total
        unsorted = np.empty_like(self._energies)
        unsorted[self._order] = self._energies
        return unsorted
