"""A network on whole songs: windows, levels, and the mean console. Chapter: The controller.

The network takes windows of `config.window_seconds` at fixed levels. Here a song and a reference of any
length and level are cut into such windows, and the consoles of the windows are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from tqdm.auto import tqdm

from ..audio.loudness import MIX_LUFS, loudest_window, normalize_loudness, normalize_tracks
from ..audio.multitrack import Multitrack, check_song, check_stereo
from ..console.params import ConsoleParams
from ..console.table import SECTIONS, knob_index, param_table
from ..inputs import InputError
from ..network.config import ModelConfig
from ..network.controller import start_logits
from ..network.encoder import ReferenceStyle
from .optimize import fit_console
from .result import MixResult, reference_features, render_mix


class Network(Protocol):
    """What these functions need of a model. `DiffMST` has it; importing it here would make a circle."""

    config: ModelConfig
    controller: Any

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def modules(self) -> Iterator[torch.nn.Module]:
        """Return all modules, the model itself among them."""

    def encode_tracks(self, tracks: torch.Tensor) -> torch.Tensor:
        """Encode tracks (B, N, T) as embeddings (B, N, width)."""

    def encode_reference(self, reference: torch.Tensor) -> ReferenceStyle:
        """Encode references (B, 2, T)."""

    def console_logits(
        self, embeddings: torch.Tensor, style: ReferenceStyle, tracks: torch.Tensor, *, sides: torch.Tensor
    ) -> list[torch.Tensor]:
        """Predict the logits of the console's three sections."""

    def plain_sum(self, tracks: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
        """Sum tracks (B, N, T) without a console, (B, 2, T)."""

    def add_gap(self, style: ReferenceStyle, mix: torch.Tensor) -> ReferenceStyle:
        """Append to the features of a reference the gap to those of a mix (B, 2, T)."""


@dataclass
class Window:
    """The sounding tracks of a window, as the network takes them.

    Attributes:
        tracks: (1, K, T), at `config.track_lufs`.
        gains_db: The gains that brought them there, (K,), in dB.
        sides: (1, K), from -1 for left to 1 for right.
        sounding: (N,), True for those K of the song's N tracks.
    """

    tracks: torch.Tensor
    gains_db: torch.Tensor
    sides: torch.Tensor
    sounding: torch.Tensor


def mix_song(
    model: Network,
    song: Multitrack,
    reference: torch.Tensor,
    *,
    refine_steps: int = 0,
    fit_seconds: float = 15.0,
    progress: bool = False,
) -> MixResult:
    """Mix a song in the style of a reference: `DiffMST.mix`, with its arguments and errors."""
    if refine_steps < 0:
        raise ValueError(f"refine_steps must be 0 or more, got {refine_steps}")
    reference, lufs = _check(model, song, reference)
    params = _mean_console(model, song, reference, progress)
    target = reference_features(reference, lufs, sample_rate=song.sample_rate)
    if not refine_steps:
        return render_mix(song, params, target=target)
    return fit_console(song, target, params, steps=refine_steps, fit_seconds=fit_seconds, progress=progress)


def analyze_song(
    model: Network, song: Multitrack, reference: torch.Tensor, *, progress: bool = False
) -> ConsoleParams:
    """Predict the console of a whole song, for its stems as they are: `DiffMST.analyze`, with its errors."""
    reference, _ = _check(model, song, reference)
    return _mean_console(model, song, reference, progress)


def attention_maps(
    model: Network, song: Multitrack, reference: torch.Tensor
) -> tuple[torch.Tensor, list[str]]:
    """Show what each token attends to in the song's loudest window: `DiffMST.attention`, with its errors."""
    reference, _ = _check(model, song, reference)
    seconds, rate = model.config.window_seconds, model.config.sample_rate
    first = loudest_window(song.audio, seconds, sample_rate=rate)
    with torch.no_grad(), evaluating(model):
        style = reference_style(model, reference)
        window = level_window(model, song.audio[:, first : first + round(seconds * rate)], song.sides())
        if model.config.passes:
            style = model.add_gap(style, model.plain_sum(window.tracks, window.sides))
        maps = model.controller.attention(
            *model.controller.tokens(
                model.encode_tracks(window.tracks), style.embeddings, style=style.features, sides=window.sides
            )
        )
    names = [name for name, sounds in zip(song.names, window.sounding, strict=True) if sounds]
    return maps[:, 0].cpu(), [*names, *model.config.views.split("/"), "fx bus", "master bus"]


def _check(model: Network, song: Multitrack, reference: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Check song and reference, and return the reference and its loudness in LUFS."""
    check_song(song)
    if song.sample_rate != model.config.sample_rate:
        raise InputError(
            f"the model works at {model.config.sample_rate} Hz, the song has {song.sample_rate} Hz: "
            f"load it with sample_rate={model.config.sample_rate}",
            about="song",
        )
    reference, lufs = check_stereo(reference, sample_rate=song.sample_rate)
    return reference.detach(), lufs


@torch.no_grad()
def _mean_console(model: Network, song: Multitrack, reference: torch.Tensor, progress: bool) -> ConsoleParams:
    """Average the consoles of the song's windows, each strip weighted by the energy of its track."""
    config = model.config
    with evaluating(model):
        style = reference_style(model, reference)
        windows = cut_windows(song.audio, config.window_seconds, config.sample_rate)
        consoles = [
            window_console(model, window, song.sides(), style)
            for window in tqdm(windows, desc="listen", unit="window", disable=not progress)
        ]
    strips, fx_buses, master_buses, energy = (torch.stack(part) for part in zip(*consoles, strict=True))
    of_tracks = (energy / energy.sum(dim=0))[..., None]  # each track's share of the windows, (windows, N, 1)
    of_buses = of_tracks.mean(dim=1)  # (windows, 1)
    means = [
        (of_tracks * strips).sum(dim=0),
        (of_buses * fx_buses).sum(dim=0),
        (of_buses * master_buses).sum(dim=0),
    ]
    return ConsoleParams.from_unit(
        *(mean.clamp(0.0, 1.0) for mean in means),
        preset=config.console,
        sample_rate=config.sample_rate,
        names=song.names,
    )


def cut_windows(audio: torch.Tensor, seconds: float, sample_rate: int) -> list[torch.Tensor]:
    """Cut a sound (channels, T) into windows, one after another; the last one ends with the sound."""
    length, total = round(seconds * sample_rate), audio.shape[-1]
    starts = [*range(0, max(1, total - length), length), *[total - length] * (total > length)]
    return [audio[:, start : start + length] for start in starts]


def reference_style(model: Network, reference: torch.Tensor) -> ReferenceStyle:
    """Encode the windows of a reference (2, T), each at -16 LUFS, and average them, weighted by energy."""
    windows = cut_windows(reference, model.config.window_seconds, model.config.sample_rate)
    energy = torch.stack([window.square().mean() for window in windows])
    styles = []
    for window in windows:
        level = normalize_loudness(window, MIX_LUFS, sample_rate=model.config.sample_rate)
        styles.append(model.encode_reference(level[None].to(model.device, torch.float32)))
    weights = (energy / energy.sum()).tolist()

    def mean(name: str) -> Any:
        parts = [getattr(style, name) for style in styles]
        return None if parts[0] is None else sum(w * part for w, part in zip(weights, parts, strict=True))

    return ReferenceStyle(mean("embeddings"), mean("features"), mean("mirrored"))


def level_window(model: Network, window: torch.Tensor, sides: list[float]) -> Window:
    """Bring the tracks of a window (N, T) that are not silent to the model's level."""
    tracks, gains_db = normalize_tracks(window, model.config.track_lufs, sample_rate=model.config.sample_rate)
    sounding = torch.isfinite(gains_db)
    return Window(
        tracks[sounding].to(model.device, torch.float32)[None],
        gains_db[sounding].float().cpu(),
        torch.tensor(sides, device=sounding.device)[sounding][None].to(model.device),
        sounding.cpu(),
    )


def window_console(
    model: Network, audio: torch.Tensor, sides: list[float], style: ReferenceStyle
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Predict the console for the tracks of a window (N, T) at their own levels.

    Returns:
        The console in the unit interval, (N, 27), (25,), (26,), and the energy of each track, (N,). Silent
        tracks get the strip where training starts, and almost no energy.
    """
    preset, window = model.config.console, level_window(model, audio, sides)
    start, fx_bus, master_bus = (torch.sigmoid(start_logits(section, preset)) for section in SECTIONS)
    strips = start.repeat(len(window.sounding), 1)  # (N, 27)
    if bool(window.sounding.any()):
        embeddings = model.encode_tracks(window.tracks)
        logits = model.console_logits(embeddings, style, window.tracks, sides=window.sides)
        predicted, fx_bus, master_bus = (torch.sigmoid(z[0]).cpu() for z in logits)
        column = knob_index("input_gain_db", preset=preset)
        fader = param_table("track", preset)[column]
        # The console is for tracks at their own levels: the normalization's gain goes into the input gain.
        predicted[:, column] += window.gains_db / (fader.high - fader.low)
        strips[window.sounding] = predicted.clamp(0.0, 1.0)
    energy = torch.where(window.sounding, audio.square().mean(dim=-1).cpu(), 0.0).float()
    energy += torch.finfo(torch.float32).tiny  # a track that is silent in every window still has a mean
    return strips, fx_bus, master_bus, energy


@contextmanager
def evaluating(model: Network) -> Iterator[None]:
    """Put a model into eval mode, and afterwards every module back into its own mode."""
    modes = {module: module.training for module in model.modules()}
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
