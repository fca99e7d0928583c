"""A network on whole songs: windows, levels, and the mean console. Chapter: The controller.

The network takes windows of `config.window_seconds` at fixed levels. Here a song and a reference of any
length and level are cut into such windows, and the consoles of the windows are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from tqdm.auto import tqdm

from ..audio.loudness import (
    MIX_LUFS,
    level_stems,
    loudness_each,
    normalize_loudness,
    normalize_tracks,
    stem_gains_db,
)
from ..audio.multitrack import Multitrack, check_song
from ..console.mixing_console import MixingConsole, check_console
from ..console.params import ConsoleParams
from ..console.table import SECTIONS, knob_index, param_table
from ..inputs import InputError, note
from ..network.config import ModelConfig
from ..network.controller import Controller, start_logits
from ..network.encoder import ReferenceStyle
from ..network.modes import evaluating
from ..options import BALANCES
from ..style.own_features import OwnFeatures
from .bus import console_tracks, hold_bus, plain_sum
from .going_back import go_back, tell_if_farther
from .keeping import KEEP, limit_lean
from .odd_reference import note_stem_as_reference
from .optimize import fit_console
from .parts import Lock, blend, check_amount, check_fit, check_locks, hold
from .references import Reference, References, check_reference
from .result import MixResult, check_mix, render_mix
from .section_plan import Sections, plan_sections
from .sections import APART, at_level_of, mix_sections
from .start import start_pans, start_params
from .unsteady import Unsteady, still_unsteady, unsteady_knobs
from .windows import loudest_part, loudest_windows, robust_mean


class Network(Protocol):
    """What these functions need of a model. `DiffMST` has it; importing it here would make a circle."""

    config: ModelConfig
    controller: Any
    console: MixingConsole

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def modules(self) -> Iterator[torch.nn.Module]:
        """Return all modules, the model itself among them."""

    def encode_tracks(self, tracks: torch.Tensor) -> torch.Tensor:
        """Encode a batch of tracks as embeddings (B, N, width)."""

    def encode_reference(self, reference: torch.Tensor) -> ReferenceStyle:
        """Encode references (B, 2, T)."""

    def console_logits(
        self, embeddings: torch.Tensor, style: ReferenceStyle, tracks: torch.Tensor, *, pans: torch.Tensor
    ) -> list[torch.Tensor]:
        """Predict the logits of the console's three sections."""

    def stem_power(self, tracks: torch.Tensor) -> torch.Tensor | None:
        """Measure the power of a batch of tracks for `compare`, or None."""

    def compare(
        self, style: ReferenceStyle, mix: torch.Tensor, power: torch.Tensor | None
    ) -> tuple[ReferenceStyle, torch.Tensor | None]:
        """Compare a reference with the plain sum of tracks, (B, 2, T)."""


@dataclass
class Tracks:
    """The tracks of a whole song, as a network takes them: stems, or mono channels.

    Attributes:
        names: Their names, N of them.
        audio: (N, 2, T) or (N, T), as delivered.
        pans: Where the pans start, N of them.
        gains_db: The trims of stems, (N,), in dB; 0 for channels, whose windows have their own.
        balance: The stems' balance.
    """

    names: list[str]
    audio: torch.Tensor
    pans: list[float]
    gains_db: torch.Tensor
    balance: str


@dataclass
class Window:
    """The sounding tracks of a window, as the network takes them.

    Attributes:
        tracks: (1, K, 2, T), their sum at -20 LUFS, or channels (1, K, T), each at `config.track_lufs`.
        gains_db: The gains for the tracks as delivered, (K,), in dB: those of the song, or of the window.
        pans: (1, K), from 0 to 1.
        sounding: (N,), True for those K of the song's N tracks.
    """

    tracks: torch.Tensor
    gains_db: torch.Tensor
    pans: torch.Tensor
    sounding: torch.Tensor


def mix_song(
    model: Network,
    song: Multitrack,
    reference: References,
    *,
    refine_steps: int = 0,
    balance: str = "delivered",
    center: Sequence[str] | None = None,
    keep: float = KEEP,
    lock: Sequence[str] = (),
    amount: float | Mapping[str, float] = 1.0,
    fit_seconds: float = 15.0,
    sections: Sections | None = None,
    features: OwnFeatures = None,
    progress: bool = False,
) -> MixResult:
    """Mix a song in the style of a reference: `DiffMST.mix`, with its arguments and errors."""
    check_fit(keep, fit_seconds, refine_steps=refine_steps)
    levels, record = _check(model, song, reference, features)
    note_stem_as_reference(song, *record.weighted())
    console, preset = check_console(model.console), model.config.console
    locked = check_locks(lock, console_tracks(song, preset)[0], preset)
    shares = check_amount(amount)
    planned = None if sections is None else plan_sections(sections, song)
    start = start_params(song, balance, center, preset=preset, levels=levels)
    params, unsteady = _mean_console(model, song, record, balance, center, levels, progress)
    if model.config.stems and keep:
        stems = loudest_part(song.audio, fit_seconds, sample_rate=song.sample_rate)
        params = limit_lean(console, params, stems, locked)
    params = hold(start, params, locked)
    history = None
    if refine_steps:
        params, history = fit_console(
            song,
            record,
            params,
            console,
            steps=refine_steps,
            keep=keep,
            lock=locked,
            fit_seconds=fit_seconds,
            device=model.device,
            progress=progress,
        )
    found = blend(start, params, amount)
    result = render_mix(song, found, console=console, reference=record, history=history, levels=levels)
    if refine_steps or not keep or not any(shares.values()):
        tell_if_farther(result, record)
        share_left = 1.0
    else:
        result, share_left = go_back(result, start, found, record, fit_seconds)
    if planned is not None:

        def propose(
            part: Multitrack, of: Reference, common: ConsoleParams, held: list[Lock]
        ) -> ConsoleParams:
            if refine_steps:
                options: dict[str, Any] = {"steps": refine_steps, "keep": APART * keep, "lock": held}
                options["device"] = model.device
                return fit_console(part, of, common, console, fit_seconds=fit_seconds, **options)[0]
            loud = loudness_each(part.audio, part.sample_rate)
            found = _mean_console(model, part, of, balance, center, loud, progress=False)[0]
            return at_level_of(console, part, found, common)

        options: dict[str, Any] = {"amount": amount, "fit_seconds": fit_seconds, "progress": progress}
        result = mix_sections(result, record, planned, propose, lock=locked, **options)
    check_mix(result)
    if not refine_steps and result.automation is None:
        shares = {aspect: share_left * share for aspect, share in shares.items()}
        result.unsteady = still_unsteady(unsteady, start.names, locked, shares)
    return result


def analyze_song(
    model: Network,
    song: Multitrack,
    reference: References,
    *,
    balance: str = "delivered",
    center: Sequence[str] | None = None,
    progress: bool = False,
) -> ConsoleParams:
    """Predict the console of a whole song, for its stems as they are: `DiffMST.analyze`, with its errors."""
    levels, record = _check(model, song, reference)
    return _mean_console(model, song, record, balance, center, levels, progress)[0]


def attention_maps(model: Network, song: Multitrack, reference: References) -> tuple[torch.Tensor, list[str]]:
    """Show what each token attends to in the song's loudest window: `DiffMST.attention`, with its errors."""
    if not isinstance(model.controller, Controller):
        raise ValueError(f"the controller {model.config.controller!r} has no maps of attention to show")
    levels, record = _check(model, song, reference)
    seconds, rate = model.config.window_seconds, model.config.sample_rate
    tracks = song_tracks(model.config, song, "delivered", None, levels)
    loudest = loudest_part(tracks.audio, seconds, sample_rate=rate)
    with torch.no_grad(), evaluating(model.modules()):
        style = record_style(model, record)
        window = level_window(model, tracks, loudest)
        compared, of_stems = style, None
        if model.config.passes:
            power = model.stem_power(window.tracks)
            compared, of_stems = model.compare(style, plain_sum(window.tracks, window.pans), power)
        maps = model.controller.attention(
            *model.controller.tokens(
                model.encode_tracks(window.tracks),
                compared.embeddings,
                style=compared.features,
                pans=window.pans,
                evidence=of_stems,
            )
        )
    names = [name for name, sounds in zip(tracks.names, window.sounding, strict=True) if sounds]
    return maps[:, 0].cpu(), [*names, *model.config.views.split("/"), "fx bus", "master bus"]


def _check(
    model: Network, song: Multitrack, reference: References, features: OwnFeatures = None
) -> tuple[list[float], Reference]:
    """Check song and reference, and measure the stems and the reference."""
    levels = check_song(song)
    if song.sample_rate != model.config.sample_rate:
        raise InputError(
            f"the model works at {model.config.sample_rate} Hz, the song has {song.sample_rate} Hz: "
            f"load it with sample_rate={model.config.sample_rate}",
            about="song",
        )
    return levels, check_reference(reference, sample_rate=song.sample_rate, features=features)


def song_tracks(
    config: ModelConfig, song: Multitrack, balance: str, center: Sequence[str] | None, levels: list[float]
) -> Tracks:
    """List a song's tracks as a model takes them: its stems, or their channels."""
    names, audio = console_tracks(song, config.console)
    if not config.stems:
        if balance != BALANCES[0] or center is not None:
            note(
                "this model hears mono channels at levels of its own: balance and center change nothing there"
            )
        return Tracks(names, audio, [0.5] * len(names), audio.new_zeros(len(names)), balance)
    gains_db = stem_gains_db(audio, balance, sample_rate=song.sample_rate, levels=levels)
    pans = start_pans(song, center)
    return Tracks(names, audio, pans, gains_db.nan_to_num(0.0), balance)


@torch.no_grad()
def _mean_console(
    model: Network,
    song: Multitrack,
    record: Reference,
    balance: str,
    center: Sequence[str] | None,
    levels: list[float],
    progress: bool,
) -> tuple[ConsoleParams, list[Unsteady]]:
    """Average the consoles of the song's loudest windows, each strip weighted by the energy of its track.

    Returns:
        The mean console, and how far the windows disagree about its knobs.
    """
    config, tracks = model.config, song_tracks(model.config, song, balance, center, levels)
    with evaluating(model.modules()):
        style = record_style(model, record)
        windows = loudest_windows(tracks.audio, config.window_seconds, config.sample_rate)
        consoles = [
            window_console(model, tracks, window, style)
            for window in tqdm(windows, desc="listen", unit="window", disable=not progress)
        ]
    strips, fx_buses, master_buses, energy = (torch.stack(part) for part in zip(*consoles, strict=True))
    of_tracks = (energy / energy.sum(dim=0))[..., None]  # each track's share of the windows, (windows, N, 1)
    of_buses = of_tracks.mean(dim=1)  # (windows, 1)
    means = [
        robust_mean(strips, of_tracks),
        robust_mean(fx_buses, of_buses),
        robust_mean(master_buses, of_buses),
    ]
    kind: dict[str, Any] = {
        "preset": config.console,
        "sample_rate": config.sample_rate,
        "names": tracks.names,
    }
    params = ConsoleParams.from_unit(*(mean.clamp(0.0, 1.0) for mean in means), **kind)
    unsteady = unsteady_knobs(ConsoleParams.from_unit(strips, fx_buses, master_buses, **kind), energy)
    return (hold_bus(model.console, song, params) if config.stems else params), unsteady


def record_style(model: Network, record: Reference) -> ReferenceStyle:
    """Encode a record; of several, the weighted mean of their styles."""
    records = record.weighted()
    styles = [reference_style(model, audio) for audio, _ in records]
    return _mean_style(styles, [weight for _, weight in records])


def reference_style(model: Network, reference: torch.Tensor) -> ReferenceStyle:
    """Encode the windows of a reference (2, T), each at -16 LUFS, and average them, weighted by energy."""
    windows = loudest_windows(reference, model.config.window_seconds, model.config.sample_rate)
    energy = torch.stack([window.square().mean() for window in windows])
    styles = []
    for window in windows:
        level = normalize_loudness(window, MIX_LUFS, sample_rate=model.config.sample_rate)
        styles.append(model.encode_reference(level[None].to(model.device, torch.float32)))
    return _mean_style(styles, (energy / energy.sum()).tolist())


def _mean_style(styles: Sequence[ReferenceStyle], weights: Sequence[float]) -> ReferenceStyle:
    def mean(name: str) -> Any:
        parts = [getattr(style, name) for style in styles]
        return None if parts[0] is None else sum(w * part for w, part in zip(weights, parts, strict=True))

    return ReferenceStyle(mean("embeddings"), mean("features"), mean("power"))


def level_window(model: Network, tracks: Tracks, audio: torch.Tensor) -> Window:
    """Bring the tracks of a window, (N, 2, T) or (N, T), that are not silent to the model's level."""
    config, rate = model.config, model.config.sample_rate
    if config.track_lufs is None:
        levelled, gains_db = level_stems(audio, tracks.balance, sample_rate=rate)
        of_song = tracks.gains_db
    else:
        levelled, gains_db = normalize_tracks(audio, config.track_lufs, sample_rate=rate)
        of_song = gains_db
    sounding = torch.isfinite(gains_db)
    return Window(
        levelled[sounding].to(model.device, torch.float32)[None],
        of_song[sounding].float().cpu(),
        torch.tensor(tracks.pans, device=sounding.device)[sounding][None].to(model.device),
        sounding.cpu(),
    )


def window_console(
    model: Network, tracks: Tracks, audio: torch.Tensor, style: ReferenceStyle
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Predict the console for the tracks of a window, (N, 2, T) or (N, T), at their own levels.

    Returns:
        The console in the unit interval, (N, knobs), (knobs,), (knobs,), and the energy of each track, (N,).
        Silent tracks get the strip where training starts, and almost no energy.
    """
    preset, window = model.config.console, level_window(model, tracks, audio)
    start, fx_bus, master_bus = (torch.sigmoid(start_logits(section, preset)) for section in SECTIONS)
    strips = start.repeat(len(window.sounding), 1)  # (N, knobs)
    column = knob_index("input_gain_db", preset=preset)
    trim = param_table("track", preset)[column]
    if bool(window.sounding.any()):
        embeddings = model.encode_tracks(window.tracks)
        logits = model.console_logits(embeddings, style, window.tracks, pans=window.pans)
        predicted, fx_bus, master_bus = (torch.sigmoid(z[0]).cpu() for z in logits)
        # The console is for tracks at their own levels: the levelling goes into the trim.
        predicted[:, column] += window.gains_db / (trim.high - trim.low)
        strips[window.sounding] = predicted.clamp(0.0, 1.0)
    power = audio.square().flatten(1).mean(dim=-1).cpu()
    energy = torch.where(window.sounding, power, 0.0).float()
    energy += torch.finfo(torch.float32).tiny  # a track that is silent in every window still has a mean
    return strips, fx_bus, master_bus, energy
