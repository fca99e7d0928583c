"""The compressor's engine on a CPU: level, static curve, ballistics and gain in one compiled loop.

The equations are those of `compressor.gain_computer` and `ballistics.smooth`. As separate steps, each reads
and writes a whole track, and autograd keeps every result. Here each sample goes through all steps at once. As
in `equalizer`, the forward pass saves the state at the start of each block, and the backward pass runs the
block again.

A song that comes in blocks goes through `CompressorStream`, which keeps the smoother's state and the sound that
waits for the gain that runs ahead of it.

Chapter: The compressor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from .loops import compiled, over_rows

BLOCK = 512
SILENCE = 1e-8  # magnitudes below -160 dB count as -160 dB
TINY = 1e-30  # dB; gains nearer to 0 become 0, because numbers near 1e-308 are a hundred times slower
DB = 20.0 / math.log(10.0)  # from natural logarithms to decibels
NATURAL = math.log(10.0) / 20.0  # from decibels to natural logarithms
THRESHOLD, SLOPE, KNEE, ATTACK, RELEASE, MAKEUP = range(6)  # columns of the settings; slope is 1/ratio - 1


@compiled(fastmath={"contract"})
def _gains(
    x: np.ndarray,
    first: int,
    last: int,
    settings: np.ndarray,
    state: float,
    side: np.ndarray,
    over: np.ndarray,
    bent: np.ndarray,
    gains: np.ndarray,
    factors: np.ndarray,
) -> float:
    """Compute the gains of samples `first` to `last` of a row, without branches, in few loops, for speed.

    Fills `side` (the side-chain), `over` (dB over the threshold), `bent` (the same through the knee), `gains`
    (smoothed, in dB) and `factors` (gains with make-up, linear). Returns the smoother's state at the end.
    """
    knee, slope, attack, release = settings[KNEE], settings[SLOPE], settings[ATTACK], settings[RELEASE]
    parabola = 1.0 / (2.0 * knee) if knee > 0.0 else 0.0
    size = last - first
    side[:size] = SILENCE
    for channel in range(x.shape[0]):
        for i in range(size):
            side[i] = max(side[i], abs(np.float64(x[channel, first + i])))
    for i in range(size):
        over[i] = DB * math.log(side[i]) - settings[THRESHOLD]
        inside = min(max(over[i] + knee / 2, 0.0), knee)
        bent[i] = inside * inside * parabola + max(over[i] - knee / 2, 0.0)
        target = slope * bent[i]
        distance = state - target
        falling, rising = target + attack * distance, target + release * distance
        state = falling if distance > 0.0 else rising
        gains[i] = state
    for i in range(size):
        factors[i] = math.exp((gains[i] + settings[MAKEUP]) * NATURAL)
    return state if state < -TINY else 0.0


@compiled
def _forward(
    first_row: int,
    last_row: int,
    x: np.ndarray,
    settings: np.ndarray,
    early: int,
    states: np.ndarray,
    y: np.ndarray,
) -> None:
    num_samples = x.shape[2]
    side, over, bent, gains, factors = np.empty((5, BLOCK))
    for row in range(first_row, last_row):
        state = 0.0
        for block in range(states.shape[1]):
            states[row, block] = state
            start = block * BLOCK
            stop = min(start + BLOCK, num_samples)
            state = _gains(x[row], start, stop, settings[row], state, side, over, bent, gains, factors)
            for channel in range(x.shape[1]):
                for n in range(max(start, early), stop):
                    y[row, channel, n - early] = x[row, channel, n - early] * factors[n - start]
        held = factors[num_samples - 1 - start]  # the last gain
        for channel in range(x.shape[1]):
            for n in range(num_samples - early, num_samples):
                y[row, channel, n] = x[row, channel, n] * held


@compiled
def _carry_on(
    sound: np.ndarray, waiting: int, settings: np.ndarray, edges: np.ndarray, state: float, y: np.ndarray
) -> tuple[float, float]:
    """Compress the next block of one sound, and return the smoother's state and the last gain.

    `sound` holds the samples that wait, then the new ones, whose gains are computed: from edges[i] to
    edges[i + 1] with settings[i]. `y` gets as many samples as it has room for, each times the gain that is as
    far from the last one as the sample from the last one of `y`.
    """
    num_samples = edges[-1]
    skipped = num_samples - y.shape[1]  # gains before any sample of the song, at its beginning
    side, over, bent, gains, factors = np.empty((5, BLOCK))
    held = 1.0
    for step in range(settings.shape[0]):
        for start in range(edges[step], edges[step + 1], BLOCK):
            stop = min(start + BLOCK, edges[step + 1])
            state = _gains(
                sound,
                waiting + start,
                waiting + stop,
                settings[step],
                state,
                side,
                over,
                bent,
                gains,
                factors,
            )
            held = factors[stop - start - 1]
            for channel in range(sound.shape[0]):
                for n in range(max(start, skipped), stop):
                    y[channel, n - skipped] = sound[channel, n - skipped] * factors[n - start]
    return state, held


@compiled
def _backward(
    first_row: int,
    last_row: int,
    x: np.ndarray,
    settings: np.ndarray,
    early: int,
    states: np.ndarray,
    grad_y: np.ndarray,
    grad_x: np.ndarray,
    grad_settings: np.ndarray,
) -> None:
    num_channels, num_samples = x.shape[1:]
    side, over, bent, gains, factors = np.empty((5, BLOCK))
    for row in range(first_row, last_row):
        s, grad_s = settings[row], grad_settings[row]
        knee, slope = s[KNEE], s[SLOPE]
        carried = 0.0
        for block in range(states.shape[1] - 1, -1, -1):
            start = block * BLOCK
            stop = min(start + BLOCK, num_samples)
            _gains(x[row], start, stop, s, states[row, block], side, over, bent, gains, factors)
            for n in range(stop - 1, start - 1, -1):
                i = n - start
                # the outputs that this gain was applied to: one, or for the last gain all that held it
                grad_gain = 0.0
                for m in range(max(0, n - early), num_samples if n == num_samples - 1 else n - early + 1):
                    for channel in range(num_channels):
                        g = grad_y[row, channel, m] * factors[i]
                        grad_x[row, channel, m] += g
                        grad_gain += g * x[row, channel, m]
                grad_gain *= NATURAL
                grad_s[MAKEUP] += grad_gain
                carried += grad_gain

                before = gains[i - 1] if i > 0 else states[row, block]
                target = slope * bent[i]
                which = ATTACK if target < before else RELEASE
                grad_s[which] += carried * (before - target)
                grad_target = carried * (1.0 - s[which])
                carried *= s[which]

                if over[i] <= -knee / 2:
                    continue
                grad_s[SLOPE] += grad_target * bent[i]
                grad_over = grad_target * slope
                if over[i] < knee / 2:
                    inside = (over[i] + knee / 2) / knee
                    grad_s[KNEE] += grad_over * inside * (1.0 - inside) / 2
                    grad_over *= inside
                grad_s[THRESHOLD] -= grad_over
                if side[i] <= SILENCE:
                    continue
                loudest = 0
                for channel in range(num_channels):
                    loudest += abs(np.float64(x[row, channel, n])) == side[i]
                for channel in range(num_channels):
                    if abs(np.float64(x[row, channel, n])) == side[i]:
                        grad_x[row, channel, n] += grad_over * DB / (x[row, channel, n] * loudest)
            if abs(carried) < TINY:
                carried = 0.0


class _Compress(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, settings: torch.Tensor, early: int) -> torch.Tensor:
        x, settings = x.detach().contiguous(), settings.detach().contiguous()
        states = torch.empty(len(x), -(-x.shape[-1] // BLOCK), dtype=torch.float64, device="cpu")
        y = torch.empty_like(x)
        over_rows(_forward, len(x), x.numpy(), settings.numpy(), early, states.numpy(), y.numpy())
        ctx.save_for_backward(x, settings, states)
        ctx.early = early
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, settings, states = ctx.saved_tensors
        grads = torch.zeros_like(x), torch.zeros_like(settings)
        over_rows(
            _backward,
            len(x),
            x.numpy(),
            settings.numpy(),
            ctx.early,
            states.numpy(),
            grad_y.contiguous().numpy(),
            *(g.numpy() for g in grads),
        )
        return *grads, None


def compress(x: torch.Tensor, settings: torch.Tensor, early: int) -> torch.Tensor:
    """Compress audio in one loop over the samples. `effects.compressor` is the function to call.

    Differentiable once, in audio and settings.

    Args:
        x: Audio (B, C, T), float32 or float64, on the CPU.
        settings: (B, 6), float64: threshold in dB, slope 1/ratio - 1, knee in dB, attack pole, release pole,
            make-up gain in dB.
        early: How many samples the gain runs ahead of the sound, 0 to below T.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes.

    Example:
        >>> loud = torch.ones(1, 1, 3)          # 20 dB over the threshold, ratio 4, no ballistics: 15 dB less
        >>> settings = torch.tensor([[-20.0, -0.75, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
        >>> compress(loud, settings, 0).log10() * 20
        tensor([[[-15., -15., -15.]]])
    """
    if x.ndim != 3 or settings.shape != (x.shape[0], 6) or not 0 <= early < x.shape[-1]:
        raise ValueError(
            f"compress takes (B, C, T), ({x.shape[0]}, 6) and early below T, "
            f"got {tuple(x.shape)}, {tuple(settings.shape)}, {early}"
        )
    return _Compress.apply(x, settings, early)


class CompressorStream:
    """`compress` for one sound that comes in blocks: the output of all blocks is that of one pass.

    The gain runs ahead of the sound, so the output is late by `early` samples; the last block brings the rest.
    The settings may change on the way. Without gradients.

    Args:
        early: How many samples the gain runs ahead of the sound, 0 to below the length of the whole sound.

    Example:
        >>> settings = torch.tensor([[-20.0, -0.75, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
        >>> stream = CompressorStream(1)
        >>> before, after = stream(torch.ones(1, 3), settings, np.array([0, 3]))
        >>> after.log10() * 20, stream.rest()[1].log10() * 20
        (tensor([[-15., -15.]]), tensor([[-15.]]))
    """

    def __init__(self, early: int):
        self._early, self._state, self._held = early, 0.0, 1.0
        self._waiting: torch.Tensor | None = None

    def __call__(
        self, x: torch.Tensor, settings: torch.Tensor, edges: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compress the next block.

        Args:
            x: Audio (C, T), T at least 1, float32 or float64, on the CPU.
            settings: (steps, 6), float64, as `compress` takes them: those of one step after another.
            edges: Where the steps begin and the last one ends, (steps + 1,): from 0 to T.

        Returns:
            The sound before and after, (C, T) each, or less at the beginning.
        """
        sound = x.contiguous() if self._waiting is None else torch.cat([self._waiting, x], dim=1)
        count = max(0, sound.shape[1] - self._early)
        y = sound.new_empty(len(sound), count)
        self._state, self._held = _carry_on(
            sound.numpy(),
            sound.shape[1] - x.shape[1],
            settings.contiguous().numpy(),
            edges,
            self._state,
            y.numpy(),
        )
        self._waiting = sound[:, count:].clone()
        return sound[:, :count], y

    def rest(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is left when the sound ends, (C, early) before and after: it gets the last gain."""
        if self._waiting is None:
            raise ValueError("a sound that never came has no rest")
        return self._waiting, (self._waiting.double() * self._held).to(self._waiting)
