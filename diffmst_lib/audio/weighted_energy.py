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
    x: np.ndarray, gains: np.ndarray, sections: np.ndarray, edges: np.ndarray, energies: np.ndarray
) -> None:
    """Fill `energies` with the energy before each of the samples `edges`, which ascend."""
    b0, b1, b2, _, a1, a2 = sections[0]
    d0, d1, d2, _, c1, c2 = sections[1]
    state = np.zeros((4, x.shape[0]))
    p1, p2, q1, q2 = state
    total, edge = 0.0, 0
    for start in range(0, x.shape[1], BLOCK):
        for n in range(start, min(start + BLOCK, x.shape[1])):
            while edge < edges.shape[0] and edges[edge] == n:
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
    energies[edge:] = total


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
    audio = audio.detach().cpu()
    if audio.dtype not in (torch.float32, torch.float64):
        audio = audio.float()
    order = np.argsort(edges, kind="stable")
    ascending, energies = edges[order], np.empty(len(edges))
    _sum_up(np.ascontiguousarray(audio.numpy()), gains, sections, ascending, energies)
    unsorted = np.empty_like(energies)
    unsorted[order] = energies
    return unsorted
