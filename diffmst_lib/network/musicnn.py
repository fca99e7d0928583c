"""musicnn, a network that tags music. Its last hidden layer compares sets of mixes, for FAD and KAD.

Its authors trained it on tags of the Million Song Dataset, and once more on those of MagnaTagATune, which tell what
stems are (`roles`). It hears mono at 16 kHz, so it is deaf to the stereo image
and to everything above 8 kHz. It hears the level too: bring sounds to one loudness first.

Source: Pons and Serra (2019), "musicnn: pre-trained convolutional neural networks for music audio tagging".

Chapter: How good is a mix?
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ..audio.resampling import resample
from ..disk import data_dir, why
from ..inputs import InputError, check_rate, note
from .checkpoint import check_weights

RATE, WINDOW, HOP, MELS = 16_000, 512, 256, 96
PATCH = 187  # frames of the log-mel in a patch, 3 s
PATCH_SAMPLES = (PATCH - 1) * HOP  # the shortest sound with so many frames
COMPRESSION = 10_000.0
BATCH_NORM_FLOOR = 0.001
TIMBRE_BANDS = {"timbral_f74": 38, "timbral_f77": 67}  # mel bands that a filter of 7 frames covers
TIME_FRAMES = {"temporal_t128": 128, "temporal_t64": 64, "temporal_t32": 32}  # frames of a filter of one band
TIMBRE_FILTERS, TIME_FILTERS, MIDDLE_FILTERS = 204, 51, 64
FRONT = TIMBRE_FILTERS * len(TIMBRE_BANDS) + TIME_FILTERS * len(TIME_FRAMES)
POOLED = FRONT + 3 * MIDDLE_FILTERS
EMBEDDING, TAGS = 200, 50
PATCHES_AT_A_TIME = 8  # all patches of a whole song at once would take gigabytes


class Heard(NamedTuple):
    """What musicnn makes of patches.

    Attributes:
        max_pool: The highest value of each feature over time, (B, 753).
        mean_pool: The mean of each feature over time, (B, 753).
        embedding: The last hidden layer, (B, 200).
        logits: The tags before the sigmoid, (B, 50).
        tags: How likely each tag is, from 0 to 1, (B, 50).
    """

    max_pool: torch.Tensor
    mean_pool: torch.Tensor
    embedding: torch.Tensor
    logits: torch.Tensor
    tags: torch.Tensor


class _LogMel(nn.Module):
    """log10(1 + 10000 M |STFT|^2), with the triangles M of 96 mel bands."""

    window: torch.Tensor
    filterbank: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.ones(WINDOW))
        self.register_buffer("filterbank", torch.ones(MELS, WINDOW // 2 + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take mono sound at 16 kHz (T,), longer than 256 samples; return (1 + T // 256, 96)."""
        spectrum = torch.stft(x, WINDOW, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        power = self.filterbank @ spectrum.abs().square()  # (96, frames)
        return torch.log10(1.0 + COMPRESSION * power).T


class _BatchNorm(nn.Module):
    """(x - mean) / sqrt(variance + 0.001) * weight + bias over the last axis, as after training."""

    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, size: int):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.weight / torch.sqrt(self.running_var + BATCH_NORM_FLOOR)
        return (x - self.running_mean) * scale + self.bias


class _Convolution(nn.Module):
    """Convolution, ReLU and batch normalization, then the highest value over frequency.

    A sound keeps its number of frames: of an even filter, the greater half looks ahead.
    """

    def __init__(self, filters: int, frames: int, width: int):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, filters, (frames, width)), _BatchNorm(filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (B, T, bands), return (B, T, filters)."""
        frames = self.conv.kernel_size[0]
        padded = nn.functional.pad(
            x[:, None], (0, 0, (frames - 1) // 2, frames // 2)
        )  # (B, 1, T + ..., bands)
        features = self.conv(padded)  # (B, filters, T, positions)
        falls = self.bn.weight[:, None] < 0  # there the highest value comes of the lowest
        extreme = torch.where(falls, features.amin(dim=-1), features.amax(dim=-1))  # (B, filters, T)
        return self.bn(torch.relu(extreme).transpose(1, 2))


class MusicNN(nn.Module):
    """The network, as it is used. `embed` is the short way.

    Attributes:
        tags: Names of the 50 tags.

    Example:
        >>> network = MusicNN.from_pretrained("msd")
        >>> network.tags[:3]
        ['rock', 'pop', 'alternative']
        >>> network(network.patches(torch.zeros(48000))).embedding.shape
        torch.Size([1, 200])
    """

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.melspec, self.input_bn = _LogMel(), _BatchNorm(1)
        self.timbre = nn.ModuleList([_Convolution(TIMBRE_FILTERS, 7, n) for n in TIMBRE_BANDS.values()])
        self.time = nn.ModuleList([_Convolution(TIME_FILTERS, n, 1) for n in TIME_FRAMES.values()])
        widths = (FRONT, MIDDLE_FILTERS, MIDDLE_FILTERS)
        self.midend = nn.ModuleList([_Convolution(MIDDLE_FILTERS, 7, width) for width in widths])
        self.pool_bn, self.dense_bn = _BatchNorm(2 * POOLED), _BatchNorm(EMBEDDING)
        self.dense, self.logits = nn.Linear(2 * POOLED, EMBEDDING), nn.Linear(EMBEDDING, TAGS)

    @classmethod
    def from_pretrained(cls, name: str | Path = "msd") -> MusicNN:
        """Load weights.

        Args:
            name: Which of those that come with the library: "msd", of the Million Song Dataset, or "mtt", of
                MagnaTagATune, whose tags name instruments and voices; or their file.

        Returns:
            The network, without gradient.

        Raises:
            InputError: In one line, for weights that are not there, or of another network.
        """
        ours = data_dir() / "weights" / "musicnn"
        path = ours / f"{name}_musicnn.safetensors"
        path = path if path.is_file() else Path(name)
        if not path.is_file():
            have = ", ".join(sorted(file.name.split("_")[0] for file in ours.glob("*_musicnn.safetensors")))
            raise InputError(f"{name}: no such weights of musicnn, there are {have or 'none'}")
        try:
            with safe_open(path, framework="pt") as file:
                weights = {_ours(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no dict)
                tags = json.loads((file.metadata() or {}).get("tags", "[]"))
        except (SafetensorError, OSError, ValueError) as error:
            raise InputError(f"{path}: no weights of musicnn ({why(error)})") from None
        network = cls()
        check_weights(path, weights, network)
        network.load_state_dict(weights)
        network.tags = [str(tag) for tag in tags]
        return network.eval().requires_grad_(False)

    def patches(self, audio: torch.Tensor) -> torch.Tensor:
        """Compute the log-mel of a sound, in patches of 187 frames, 3 s, without overlap.

        Args:
            audio: Mono, (num_samples,) at 16 kHz, float32, at least 47,616 samples.

        Returns:
            Patches (B, 187, 96). What is left at the end makes none.
        """
        frames = self.melspec(audio)
        count = len(frames) // PATCH
        return frames[: count * PATCH].view(count, PATCH, MELS)

    def forward(self, patches: torch.Tensor) -> Heard:
        """Run the network.

        Args:
            patches: Log-mel (B, T, 96), as `patches` gives it.

        Returns:
            Pools, the embedding and the tags.
        """
        mel = self.input_bn(patches[..., None])[..., 0]
        front = torch.cat([part(mel) for part in (*self.timbre, *self.time)], dim=-1)  # (B, T, 561)
        middle = [self.midend[0](front)]
        for part in self.midend[1:]:
            middle.append(middle[-1] + part(middle[-1]))
        features = torch.cat([front, *middle], dim=-1)  # (B, T, 753)
        highest, mean = features.amax(dim=1), features.mean(dim=1)
        pooled = torch.stack([highest, mean], dim=-1).flatten(
            1
        )  # (B, 1506): highest, mean, highest, mean, ...
        embedding = self.dense_bn(torch.relu(self.dense(self.pool_bn(pooled))))
        logits = self.logits(embedding)
        return Heard(highest, mean, embedding, logits, torch.sigmoid(logits))


def _ours(key: str) -> str:
    """Translate the name of a tensor in the file."""
    section, _, rest = key.partition(".")
    if section == "midend":  # conv1.weight, bn1.weight -> 0.conv.weight, 0.bn.weight
        part, _, tensor = rest.partition(".")
        return f"midend.{int(part[-1]) - 1}.{part[:-1]}.{tensor}" if part[-1:].isdigit() else key
    name, _, tensor = rest.partition(".")
    for group, names in (("timbre", list(TIMBRE_BANDS)), ("time", list(TIME_FRAMES))):
        if name in names:
            return f"{group}.{names.index(name)}.{tensor}"
    return rest if section in ("frontend", "backend") else key


@lru_cache(maxsize=2)
@torch.inference_mode(False)
def kept_musicnn(name: str | Path = "msd") -> MusicNN:
    """Load a network once; do not change it.

    Args:
        name: As in `MusicNN.from_pretrained`.

    Returns:
        The network.

    Raises:
        InputError: As in `MusicNN.from_pretrained`.
    """
    return MusicNN.from_pretrained(name)


@torch.no_grad()
def embed(audio: torch.Tensor, sample_rate: int = 44100, *, weights: str | Path = "msd") -> torch.Tensor:
    """Embed a sound with musicnn: a vector for every 3 s.

    The channels are averaged and resampled to 16 kHz by soxr, as for all sets that are compared with one another.
    Nothing is normalized: at -6 dB the vectors move by about half their length.

    Args:
        audio: Audio (channels, num_samples) or (num_samples,), in [-1, 1]. A sound shorter than a patch is
            repeated until it fills one, told in an `InputNote`. What is left after the last whole patch is dropped.
        sample_rate: Its sample rate in Hz.
        weights: As in `MusicNN.from_pretrained`.

    Returns:
        Embeddings (patches, 200), float32 on the CPU. Digital silence has one too, as good as any other.

    Raises:
        InputError: For other shapes and types, no samples, and samples that are not finite.

    Example:
        >>> embed(torch.randn(2, 10 * 44100)).shape
        torch.Size([3, 200])
    """
    check_rate(sample_rate)
    if not isinstance(audio, torch.Tensor) or not audio.dtype.is_floating_point:
        got = type(audio).__name__ if not isinstance(audio, torch.Tensor) else str(audio.dtype)
        raise InputError(f"an embedding is of a tensor of floating point, got {got}")
    if audio.ndim not in (1, 2) or 0 in audio.shape:
        raise InputError(f"an embedding is of a sound (channels, num_samples), got {tuple(audio.shape)}")
    mono = torch.atleast_2d(audio.detach().cpu()).float().mean(dim=0).numpy()
    if not np.isfinite(mono).all():
        raise InputError("an embedding is of a finite sound, this one holds NaN or infinite samples")
    mono = resample(mono, sample_rate, RATE)
    if len(mono) < PATCH_SAMPLES:
        note(f"a sound of {len(mono) / RATE:.2g} s is repeated to {PATCH_SAMPLES / RATE:.2g} s for musicnn")
        mono = np.resize(mono, PATCH_SAMPLES)
    network = kept_musicnn(weights)
    parts = network.patches(torch.from_numpy(mono)).split(PATCHES_AT_A_TIME)
    return torch.cat([network(part).embedding for part in parts])
