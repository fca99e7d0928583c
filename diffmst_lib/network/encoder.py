"""Encoders: sound in, an embedding out. The paper's network, and that of our small models.

Every encoder gives embeddings (batch, width). It takes mono signals (batch, num_samples) or, for stems, mid and
side together (batch, 2, num_samples).

Chapter: The encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..style.averages import hann_window

PAPER_CHANNELS = (64, 128, 256, 512, 1024, 2048)
PAPER_POOLS = ((2, 2), (4, 4), (4, 2), (4, 2), (4, 2), (2, 2))  # (frequency, time)
POWER = 0.3  # the released code's exponent of the magnitudes; the paper does not mention it
MEL_FLOOR_DB = -100.0
ACTIVE_RANGE_DB = 60.0  # frames further below the loudest one count as silence


def mid_and_side(x: torch.Tensor) -> torch.Tensor:
    """Compute left + right and left - right of stereo sounds (..., 2, T), in the same shape."""
    left, right = x.unbind(dim=-2)
    return torch.stack([left + right, left - right], dim=-2)


def magnitude(x: torch.Tensor, n_fft: int, hop: int) -> torch.Tensor:
    """Compute magnitudes of the short-time spectrum, |STFT|, with centered Hann windows.

    Args:
        x: Signals (B, T).
        n_fft: Length of the window, in samples.
        hop: Step from one window to the next, in samples.

    Returns:
        Magnitudes (B, n_fft // 2 + 1, frames).

    Example:
        >>> magnitude(torch.zeros(1, 44100), 2048, 512).shape
        torch.Size([1, 1025, 87])
    """
    missing = max(0, n_fft // 2 + 1 - x.shape[-1])  # a reflection needs more than half a window
    x = nn.functional.pad(x, (0, missing))
    window = hann_window(n_fft, x.device, x.dtype)
    return torch.stft(x, n_fft, hop, window=window, return_complex=True).abs()


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a tensor cached under inference mode could not take part in a gradient later
def mel_bank(
    sample_rate: int, n_fft: int, bands: int, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Return the triangular bands of `librosa.filters.mel`, with peaks of 1, (bands, n_fft // 2 + 1)."""
    import librosa  # takes a second

    bank = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands, norm=None)
    return torch.tensor(bank, device=device, dtype=dtype)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def mel_centers_hz(bands: int, sample_rate: int) -> torch.Tensor:
    """Return the center frequencies of the mel bands, (bands,), in Hz."""
    import librosa

    edges = librosa.mel_frequencies(bands + 2, fmin=0.0, fmax=sample_rate / 2)
    return torch.tensor(edges[1:-1], dtype=torch.float32, device="cpu")


def log_mel(
    x: torch.Tensor, *, sample_rate: int = 44100, bands: int = 64, n_fft: int = 2048, hop: int = 1024
) -> torch.Tensor:
    """Compute the power in mel bands, in dB, at least -100.

    M = 10 log10(bank |STFT|^2 / (sum of the window)^2 + 1e-10): the triangular bands are
    `librosa.filters.mel`, with peaks of 1.

    Args:
        x: Signals (B, T).
        sample_rate: In Hz.
        bands: Number of bands.
        n_fft: Length of the window, in samples.
        hop: Step from one window to the next, in samples.

    Returns:
        Levels in dB, (B, bands, frames).

    Example:
        >>> log_mel(torch.zeros(1, 44100)).max()
        tensor(-100.)
    """
    power = (magnitude(x, n_fft, hop) * (2.0 / n_fft)).square()  # (B, F, frames); windows sum to n_fft / 2
    bank = mel_bank(sample_rate, n_fft, bands, x.device, x.dtype)
    return 10.0 * torch.log10(bank @ power + 10.0 ** (MEL_FLOOR_DB / 10.0))


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, each with batch norm and ReLU, then average pooling."""

    def __init__(self, channels_in: int, channels_out: int, pool: tuple[int, int]):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.pool = nn.AvgPool2d(pool)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve and pool (B, C, F, frames) to (B, C', F / pool, frames / pool)."""
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(x)))
        return self.pool(x)


class SpectrogramEncoder(nn.Module):
    """The paper's encoder, section 2.4: a convolutional network on the magnitude spectrogram.

    |STFT|^0.3, blocks of two convolutions with pooling, the mean over frequency, max + mean over time, a
    linear layer: signals (B, T) to embeddings (B, width). Clips too short for the pooling are padded with
    silence to `min_samples`.

    Args:
        width: Width of the embedding.
        channels: Channels of each block. The defaults are the paper's network: 76,526,400 parameters.
        pools: Pooling of each block, (frequency, time).
        n_fft: Window of the spectrogram, in samples.
        hop: Step of the spectrogram, in samples.
        signals: 1 for mono signals, 2 for mid and side together.
        chunk: How many signals pass at a time; None for all. With gradients each chunk is computed again in
            the backward pass, so that only one chunk's activations are in memory; in training, batch norm
            takes its statistics over a chunk.

    Raises:
        ValueError: For channels and pools that make no network.

    Example:
        >>> encoder = SpectrogramEncoder(8, channels=(4, 8), pools=((4, 4), (4, 4)))
        >>> encoder(torch.randn(3, 44100)).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        width: int = 512,
        *,
        channels: tuple[int, ...] = PAPER_CHANNELS,
        pools: tuple[tuple[int, int], ...] = PAPER_POOLS,
        n_fft: int = 2048,
        hop: int = 512,
        signals: int = 1,
        chunk: int | None = None,
    ):
        super().__init__()
        if len(channels) != len(pools) or not channels:
            raise ValueError(
                "channels and pools must name the same number of blocks, "
                f"got {len(channels)} and {len(pools)}"
            )
        self.n_fft, self.hop, self.chunk = n_fft, hop, chunk
        self.blocks = nn.Sequential(*map(ConvBlock, (signals, *channels[:-1]), channels, pools))
        self.project = nn.Linear(channels[-1], width)
        bins, frames = 1, 1
        for pool in pools:
            bins, frames = bins * pool[0], frames * pool[1]
        if bins > n_fft // 2 + 1:
            raise ValueError(f"pooling over {bins} bins leaves nothing of {n_fft // 2 + 1}")
        self.min_samples = (frames - 1) * hop  # 65,024 for the paper's network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode signals (B, T) or (B, signals, T) as embeddings (B, width)."""
        x = nn.functional.pad(x, (0, max(0, self.min_samples - x.shape[-1])))
        if self.chunk is None:
            return self.embed(x)
        embed = self._embed_again if torch.is_grad_enabled() else self.embed
        return torch.cat([embed(part) for part in x.split(self.chunk)])

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the network itself, to signals of at least `min_samples`."""
        x = x if x.ndim == 3 else x[:, None]  # (B, signals, T)
        z = magnitude(x.flatten(0, 1), self.n_fft, self.hop).clamp(min=1e-12) ** POWER
        z = self.blocks(z.unflatten(0, x.shape[:2]))  # (B, signals, F, frames) to (B, C, F', frames')
        z = z.mean(dim=2)  # (B, C, frames')
        z = z.amax(dim=-1) + z.mean(dim=-1)  # (B, C)
        return self.project(z)  # (B, width)

    def _embed_again(self, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(
            self.embed, x, use_reentrant=False, context_fn=lambda: (nullcontext(), self._frozen_averages())
        )

    @contextmanager
    def _frozen_averages(self) -> Iterator[None]:
        """Freeze the running averages of batch norm, which a second computation must not move again."""
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        try:
            yield
        finally:
            for norm, (momentum, count) in zip(norms, before, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, count


class Standardize(nn.Module):
    """(x - mean) / deviation, limited to +-5. The constants are buffers, so they are saved with the weights.

    Args:
        mean: One number per column.
        deviation: One number per column.

    Example:
        >>> Standardize([10.0], [2.0])(torch.tensor([[14.0]]))
        tensor([[2.]])
    """

    LIMIT = 5.0  # so that unusual inputs do not drive the network far beyond the training examples

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardize the last dimension of (..., n)."""
        return ((x - self.mean) / self.deviation).clamp(-self.LIMIT, self.LIMIT)

    @torch.no_grad()
    def fit(self, x: torch.Tensor) -> None:
        """Compute the constants from examples; a column that hardly varies keeps its deviation.

        Args:
            x: (examples, n).

        Raises:
            ValueError: For fewer than two rows, and for numbers that are not finite.
        """
        if x.ndim != 2 or len(x) < 2 or not bool(torch.isfinite(x).all()):
            raise ValueError(f"standardizing needs at least two rows of finite numbers, got {tuple(x.shape)}")
        deviation = x.std(dim=0)
        self.mean.copy_(x.mean(dim=0))
        self.deviation.copy_(torch.where(deviation > 0.01 * self.deviation, deviation, self.deviation))


@torch.no_grad()
def fit_constants(encoder: nn.Module, signals: torch.Tensor) -> None:
    """Compute the constants of an encoder from examples, if it has any.

    Args:
        encoder: One with `statistics`, which measures signals, and with `standardize`, a `Standardize` of what
            it measures; any other stays as it is.
        signals: What the encoder gets, (examples, T) or (examples, 2, T).

    Raises:
        ValueError: As `Standardize.fit`.
    """
    standardize, statistics = (getattr(encoder, name, None) for name in ("standardize", "statistics"))
    if isinstance(standardize, Standardize) and callable(statistics):
        standardize.fit(statistics(signals))


class StatisticsEncoder(nn.Module):
    """The encoder of our small models: statistics of a signal through a small network, (B, T) to (B, width).

    The statistics are the mean and deviation over time of the log-mel spectrum, the level in dB, the crest
    factor in dB and the share of active frames, standardized. A frame is active unless it is more than 60 dB
    below the loudest; the mean and deviation are over active frames.

    Args:
        width: Width of the embedding.
        bands: Bands of the log-mel spectrum.
        sample_rate: Sample rate in Hz.
        level_db: Approximate RMS of the signals in dB, for the constants of an untrained model.
        signals: 1 for mono signals, 2 for the statistics of mid and of side.

    Example:
        >>> StatisticsEncoder(16, bands=32)(torch.randn(3, 44100)).shape
        torch.Size([3, 16])
    """

    def __init__(
        self,
        width: int,
        *,
        bands: int = 64,
        sample_rate: int = 44100,
        level_db: float = -33.0,
        signals: int = 1,
    ):
        super().__init__()
        self.bands, self.sample_rate = bands, sample_rate
        # Rough values from the stems of our tiny data set; training replaces them.
        mean = [level_db - 39.0] * bands + [12.0] * bands + [level_db, 18.0, 0.7]
        deviation = [14.0] * bands + [4.0] * bands + [5.0, 5.0, 0.3]
        if signals == 2:  # a side is some 15 dB below its mid, or silent
            mean += [level_db - 54.0] * bands + [12.0] * bands + [level_db - 15.0, 18.0, 0.7]
            deviation += [20.0] * bands + [6.0] * bands + [20.0, 8.0, 0.4]
        self.standardize = Standardize(mean, deviation)
        self.network = nn.Sequential(
            nn.Linear(signals * (2 * bands + 3), 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def statistics(self, x: torch.Tensor) -> torch.Tensor:
        """Measure signals: (B, T) to (B, 2 bands + 3), in dB except for the last, a share from 0 to 1.

        Several signals (B, signals, T) have their statistics one after another.
        """
        if x.ndim == 3:
            return torch.cat([self.statistics(signal) for signal in x.unbind(dim=1)], dim=-1)
        with torch.autocast(x.device.type, enabled=False):
            mel = log_mel(x, sample_rate=self.sample_rate, bands=self.bands)  # (B, bands, frames)
        frame_db = mel.amax(dim=1)  # (B, frames)
        active = (frame_db > frame_db.amax(dim=-1, keepdim=True) - ACTIVE_RANGE_DB).to(x)
        weight = (active / active.sum(dim=-1, keepdim=True))[:, None]  # (B, 1, frames)
        mean = (weight * mel).sum(dim=-1)  # (B, bands)
        deviation = (weight * (mel - mean[..., None]).square()).sum(dim=-1).clamp(min=1e-4).sqrt()
        power, peak = x.square().mean(dim=-1).clamp(min=1e-10), x.abs().amax(dim=-1).clamp(min=1e-5)
        level, crest = 10.0 * torch.log10(power), 20.0 * torch.log10(peak) - 10.0 * torch.log10(power)
        return torch.cat([mean, deviation, torch.stack([level, crest, active.mean(dim=-1)], dim=-1)], dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode signals (B, T) or (B, signals, T) as embeddings (B, width)."""
        return self.network(self.standardize(self.statistics(x)))


@dataclass
class ReferenceStyle:
    """What the controller gets of a reference.

    Attributes:
        embeddings: Embeddings of its two views, (B, 2, width).
        features: Its audio features, standardized, (B, K); None in a model without them. With the gap to a mix
            (`DiffMST.add_gap`), (B, 2 K).
        power: Its mean power in the bands (`band_power`), (B, 3, 40); None in a model without evidence.
    """

    embeddings: torch.Tensor
    features: torch.Tensor | None = None
    power: torch.Tensor | None = None
