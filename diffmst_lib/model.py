"""Diff-MST: encoders, controller and console, from stems and a reference to a mix. Fig. 1 of the paper. Chapter: The controller.

stems ------> track encoder ---+
                               +--> controller --> parameters --> console --> mix
reference --> mix encoder -----+                                    ^
stems --------------------------------------------------------------+
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from .audio.loudness import MIX_LUFS, loudest_window, normalize_loudness, normalize_tracks
from .audio.multitrack import Multitrack, check_song, check_stereo
from .console.effects import pan_gains
from .console.mixing_console import MixingConsole
from .console.params import SECTIONS, ConsoleParams, param_table
from .inputs import InputError, InputNote
from .mixing.optimize import optimize_mix
from .mixing.result import MixResult, finish
from .network import checkpoint
from .network.config import ModelConfig
from .network.controller import PAN_START, Controller, mirror_average, start_console, start_logits
from .network.encoder import SpectrogramEncoder, StatisticsEncoder, StyleFeatures

INSIDE = 1e-6  # knobs stay this far from the ends of their range, where every effect has a finite gradient


class NotFinite(ValueError):
    """A network whose answers are NaN or infinite."""


@dataclass
class Heard:
    """What a model heard of references: embeddings (B, 2, width), features (B, 54), and those of the mirror images.

    Compared with a mix, the features have 54 more: how far those of the mix are from them.
    """

    mix: torch.Tensor
    style: torch.Tensor | None
    mirrored: torch.Tensor | None


class DiffMST(nn.Module):
    """The whole system: stems and a reference in, console parameters and a mix out.

    Args:
        config: "tiny" (for tests and chapters), "small" (the one to use), "paper" (190,923,982 parameters) or a
            `ModelConfig`. The weights are untrained, in float32, and stay so: for mixed precision use autocast.
            `from_pretrained` loads trained ones.

    "tiny" and "small" are mirror-symmetric: with all sides and the channels of the reference swapped, the mix is the
    same with its channels swapped. (Two or more mono stems have sides by their names, and keep them.)

    >>> model = DiffMST("tiny")
    >>> mix, params = model(0.1 * torch.randn(1, 4, 44100), 0.1 * torch.randn(1, 2, 44100))
    >>> mix.shape, params.tracks.shape
    (torch.Size([1, 2, 44100]), torch.Size([1, 4, 27]))
    """

    def __init__(self, config: str | ModelConfig = "small"):
        super().__init__()
        self.config = config = ModelConfig.preset(config) if isinstance(config, str) else config
        self.track_encoder = make_encoder(config, level_db=config.track_lufs - 3.0)
        self.mix_encoder = make_encoder(config, level_db=MIX_LUFS)
        self.style = StyleFeatures(sample_rate=config.sample_rate) if config.style else None
        self.controller = Controller(
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            feedforward=config.feedforward,
            style_size=StyleFeatures.SIZE * (config.style + (config.listens > 0)),
            sides=config.sides,
            neutral_start=config.neutral_start,
            norm_first=config.norm_first,
            preset=config.console,
        )
        self.console = MixingConsole(config.sample_rate, preset=config.console)

    def forward(
        self,
        tracks: torch.Tensor,
        reference: torch.Tensor,
        *,
        sides: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        listens: int | None = None,
    ) -> tuple[torch.Tensor, ConsoleParams]:
        """The mix (B, 2, T) and the console that made it; differentiable. For the arguments see `predict`.

        The mix has the level that it has: normalize it before it is compared. The console is for the tracks as they are
        given here, at `config.track_lufs`; `mix` takes stems at any level, and gives a console for those.
        """
        params = self.predict(tracks, reference, sides=sides, mask=mask, listens=listens)
        with torch.autocast(tracks.device.type, enabled=False):  # the signal path needs float32
            return self.console(tracks, params, fx_bus=False, mask=mask).mix, params

    def predict(
        self,
        tracks: torch.Tensor,
        reference: torch.Tensor,
        *,
        sides: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        listens: int | None = None,
    ) -> ConsoleParams:
        """The console for tracks and reference.

        Args:
            tracks: (B, N, T), each at `config.track_lufs`, as `normalize_tracks` brings them.
            reference: (B, 2, T'), at -16 LUFS, as `normalize_loudness` brings it.
            sides: (B, N), from -1 for left to 1 for right (`Multitrack.sides`, also as a list); None: all 0.
            mask: (B, N), True where a track is real, False where it fills up the batch or is silent; None: all real.
            listens: how often to listen to a mix of the tracks and set or correct the console, 1 or more; None:
                `config.listens`. Gradients reach the network by the last time.

        The leading batch axis may be left out. Raises ValueError for shapes and types that do not fit, and when the
        network gives NaN (on a GPU nothing is read back, so nothing is checked there).
        """
        check_heard(tracks, reference, mask)
        if sides is not None:
            sides = torch.as_tensor(sides, dtype=torch.float32, device=tracks.device)
        batched = tracks.ndim == 3
        if not batched:
            tracks, reference = tracks[None], reference[None]
            sides, mask = (x if x is None else x[None] for x in (sides, mask))
        check_batch(tracks, reference, sides, mask)
        embeddings = self.encode_tracks(tracks, mask)  # (B, N, width)
        heard = self.encode_reference(reference)  # (B, 2, width), (B, 54)
        unit = self.settle(embeddings, heard, tracks, sides=sides, mask=mask, listens=listens)
        return self._params(unit if batched else [u[0] for u in unit])

    def encode_tracks(self, tracks: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, N, width) of tracks (B, N, T); zeros for those that `mask` leaves out, which are not heard."""
        if mask is None:
            return self.track_encoder(tracks.flatten(0, 1)).unflatten(0, tracks.shape[:2])
        if not bool(mask.any()):
            raise ValueError("mask leaves out every track")
        heard = self.track_encoder(tracks[mask])
        embeddings = heard.new_zeros(*mask.shape, heard.shape[-1])
        embeddings[mask] = heard
        return embeddings

    def encode_reference(self, reference: torch.Tensor) -> Heard:
        """What the controller is told of a reference (B, 2, T): left and right, or mid and side and its features."""
        mix = self.mix_encoder(self._views(reference)).unflatten(0, (len(reference), 2))  # (B, 2, width)
        if self.style is None:
            return Heard(mix, None, None)
        return Heard(mix, *self.style(reference))

    def settle(
        self,
        embeddings: torch.Tensor,
        heard: Heard,
        tracks: torch.Tensor,
        *,
        sides: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        listens: int | None = None,
    ) -> list[torch.Tensor]:
        """The console in the unit interval, as of `control`: set, then its mix heard and corrected `listens` - 1 times."""
        unit, times = None, max(1, self.config.listens) if listens is None else listens
        if times < 1 or times > 1 and not self.config.listens:
            raise ValueError(f"listens cannot be {times} in a model that has listens={self.config.listens}")
        for time in range(times):
            with torch.set_grad_enabled(torch.is_grad_enabled() and time == times - 1):
                found = self.compare(
                    heard, tracks, sides=sides, mask=mask, unit=unit
                )  # (B, 2, width), (B, 108)
                unit = self.control(
                    embeddings, found, sides=sides, mask=mask, unit=unit
                )  # (B, N, 27), (B, 25), (B, 26)
            if tracks.device.type == "cpu" and not all(bool(torch.isfinite(u).all()) for u in unit):
                raise NotFinite("the network gives NaN: a track, the reference or a weight is not finite")
        return unit

    @torch.no_grad()
    def compare(
        self,
        heard: Heard,
        tracks: torch.Tensor,
        *,
        sides: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        unit: list[torch.Tensor] | None = None,
    ) -> Heard:
        """What was heard of the reference, and how far a mix of the tracks (B, N, T) is from it.

        The mix is that of the console `unit`, or without one the plain sum: every track at its level, those with a side
        panned to it, as a neutral console does.
        """
        if not self.config.listens:
            return heard
        with torch.autocast(tracks.device.type, enabled=False):
            if unit is None:
                gains = pan_gains(
                    torch.sigmoid(
                        PAN_START * (tracks.new_zeros(tracks.shape[:2]) if sides is None else sides)
                    )
                )
                if mask is not None:
                    gains, tracks = gains * mask[..., None], tracks.masked_fill(~mask[..., None], 0.0)
                mix = gains.transpose(1, 2) @ tracks  # (B, 2, N) (B, N, T)
            else:
                mix = self.console(tracks, self._params(unit), fx_bus=False, mask=mask).mix
            style, mirrored = self.style(normalize_loudness(mix, sample_rate=self.config.sample_rate))
        return Heard(
            heard.mix,
            torch.cat([heard.style, style - heard.style], dim=-1),
            torch.cat([heard.mirrored, mirrored - heard.mirrored], dim=-1),
        )

    def _params(self, unit: list[torch.Tensor]) -> ConsoleParams:
        return ConsoleParams.from_unit(*unit, preset=self.config.console, sample_rate=self.config.sample_rate)

    def _views(self, reference: torch.Tensor) -> torch.Tensor:
        """References (B, 2, T) as the mono signals that the mix encoder hears, (2 B, T)."""
        if self.config.views == "mid/side":
            left, right = reference.unbind(dim=1)
            reference = torch.stack([left + right, left - right], dim=1)
        return reference.flatten(0, 1)

    def control(
        self,
        embeddings: torch.Tensor,
        heard: Heard,
        *,
        sides: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        unit: list[torch.Tensor] | None = None,
    ) -> list[torch.Tensor]:
        """From embeddings to the three sections of the console in the unit interval, (B, N, 27), (B, 25), (B, 26).

        With `unit`, a console, its correction: the logits' distance from neutral is added to those of `unit`. The effects
        bus stays off, as in the released code: every send is at its lowest.
        """
        if sides is None:
            sides = embeddings.new_zeros(embeddings.shape[:2])
        logits = self.controller(embeddings, heard.mix, style=heard.style, sides=sides, mask=mask)
        if self.config.sides:  # the mean with the mirror image: with all sides swapped the mix is swapped
            mirrored = self.controller(embeddings, heard.mix, style=heard.mirrored, sides=-sides, mask=mask)
            logits = mirror_average(logits, mirrored, self.controller.pan_index)
        if unit is not None:
            neutral = start_console(
                sides if self.config.sides else torch.zeros_like(sides), self.config.console
            )
            before = [torch.logit(u.detach().clamp(INSIDE, 1.0 - INSIDE)) for u in unit]
            logits = [b + z.float() - n for b, z, n in zip(before, logits, neutral)]
        unit = [torch.sigmoid(z.float()).clamp(INSIDE, 1.0 - INSIDE) for z in logits]
        unit[0] = unit[0].index_fill(-1, torch.tensor(self.controller.send_index, device=unit[0].device), 0.0)
        return unit

    def mix(
        self,
        song: Multitrack,
        reference: torch.Tensor,
        *,
        refine_steps: int = 0,
        fit_seconds: float = 15.0,
        progress: bool = False,
    ) -> MixResult:
        """Mix `song` in the style of `reference`, both of any length and at any level.

        The network hears windows of `config.window_seconds`. Every window of the song gives a console; their mean,
        weighted by the energy of each track, is the song's, which is then rendered in one pass, track by track.

        Args:
            song: the stems.
            reference: a stereo mix (2, num_samples) at the song's sample rate.
            refine_steps: steps of `optimize_mix` that continue from the network's console.
            fit_seconds: length of the window on which they do.
            progress: show a progress bar.

        Returns a MixResult at -16 LUFS. Raises InputError in one line for a song that is silent or not finite (naming
        the track) or at another sample rate than the model's, and for a reference that is no stereo mix.

        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 3)
        >>> result = DiffMST("tiny").mix(song, dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg"))
        >>> round(dm.loudness(result.audio))
        -16
        """
        if refine_steps < 0:
            raise ValueError(f"refine_steps must be 0 or more, got {refine_steps}")
        self._check_song(song)
        reference = check_stereo(reference, sample_rate=song.sample_rate).detach()
        params = self._analyze(song, reference, progress)
        if not refine_steps:
            return finish(song, params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputNote)  # it was said above
            return optimize_mix(
                song, reference, steps=refine_steps, init=params, fit_seconds=fit_seconds, progress=progress
            )

    def analyze(self, song: Multitrack, reference: torch.Tensor, *, progress: bool = False) -> ConsoleParams:
        """The console for a whole song, for its stems as they are: `mix` without rendering. The same errors."""
        self._check_song(song)
        return self._analyze(song, check_stereo(reference, sample_rate=song.sample_rate).detach(), progress)

    @torch.no_grad()
    def _analyze(self, song: Multitrack, reference: torch.Tensor, progress: bool) -> ConsoleParams:
        with self._evaluating():
            heard = self._hear(reference)
            windows = tqdm(self._windows(song.audio), desc="listen", unit="window", disable=not progress)
            found = [self._console_of(window, song.sides(), heard) for window in windows]
        strips, fx_buses, master_buses, energy = (torch.stack(part) for part in zip(*found))
        of_tracks = (energy / energy.sum(dim=0))[..., None]  # each track's share of windows
        of_buses = of_tracks.mean(dim=1)  # (windows, 1)
        unit = [
            (of_tracks * strips).sum(dim=0),
            (of_buses * fx_buses).sum(dim=0),
            (of_buses * master_buses).sum(dim=0),
        ]
        unit = [u.clamp(0.0, 1.0) for u in unit]
        return ConsoleParams.from_unit(
            *unit, preset=self.config.console, sample_rate=self.config.sample_rate, names=song.names
        )

    @torch.no_grad()
    def attention(self, song: Multitrack, reference: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
        """What each token attends to in the song's loudest window: (layers, heads, tokens, tokens), and their names.

        Row i holds the weights with which token i reads all tokens; they sum to 1. Silent tracks have no token. Where
        the model is mirror-symmetric these are the maps of the first of its two passes. The errors are those of `mix`.
        """
        self._check_song(song)
        reference = check_stereo(reference, sample_rate=song.sample_rate).detach()
        seconds, rate = self.config.window_seconds, self.config.sample_rate
        first = loudest_window(song.audio, seconds, sample_rate=rate)
        window = song.audio[:, first : first + round(seconds * rate)]
        with self._evaluating():
            heard = self._hear(reference)
            tracks, _, sides, sounding = self._prepare(window, song.sides())
            embeddings, heard = self.encode_tracks(tracks), self.compare(heard, tracks, sides=sides)
            maps = self.controller.attention(
                *self.controller.tokens(embeddings, heard.mix, style=heard.style, sides=sides)
            )
        names = [name for name, sounds in zip(song.names, sounding) if sounds]
        return maps[:, 0].cpu(), [*names, *self.config.views.split("/"), "fx bus", "master bus"]

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write weights (model.safetensors) and configuration (config.json) into `folder`; InputError if that fails.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     DiffMST.from_pretrained(DiffMST("tiny").save_pretrained(folder)).config.name
        'tiny'
        """
        return checkpoint.save(self, folder)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> DiffMST:
        """A trained model in eval mode: a folder made by `save_pretrained`, or "small", which comes with the library.

        Raises InputError in one line for a missing folder, a file that is truncated or of another kind, weights that do
        not fit the configuration or are not finite, and a model of another version. Nothing is unpickled.
        """
        return checkpoint.load(name)

    @torch.no_grad()
    def standardize(self, tracks: torch.Tensor, references: torch.Tensor) -> None:
        """Take the constants that standardize what the encoders hear from examples, before training.

        `tracks` (K, T) at `config.track_lufs`, `references` (K, 2, T) at -16 LUFS, at least two of each. The constants
        are kept with the weights. A model without statistics has none, and nothing happens. Raises ValueError for other
        shapes and for sounds that are not finite.
        """
        if tracks.ndim != 2 or references.ndim != 3 or min(len(tracks), len(references)) < 2:
            raise ValueError(
                "tracks must be (K, samples) and references (K, 2, samples), at least two of each, "
                f"got {tuple(tracks.shape)} and {tuple(references.shape)}"
            )
        for encoder, heard in ((self.track_encoder, tracks), (self.mix_encoder, self._views(references))):
            if isinstance(encoder, StatisticsEncoder):
                encoder.standardize.fit(encoder.statistics(heard))
        if self.style is not None:
            self.style.standardize.fit(self.style.features(references))

    def parameter_counts(self) -> pd.Series:
        """Number of learned parameters of each part, and of all.

        >>> with torch.device("meta"):                  # counted, not built
        ...     int(DiffMST("paper").parameter_counts()["all"])
        190923982
        """
        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        return pd.Series(counts | {"all": sum(counts.values())}, name="parameters")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.controller.track_type.device

    def _check_song(self, song: Multitrack) -> None:
        check_song(song)
        if song.sample_rate != self.config.sample_rate:
            raise InputError(
                f"the model works at {self.config.sample_rate} Hz, the song has {song.sample_rate} Hz: "
                f"load it with sample_rate={self.config.sample_rate}"
            )

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training

    def _windows(self, audio: torch.Tensor) -> list[torch.Tensor]:
        """Windows of a sound (channels, T) one after the other; the last one ends with the sound."""
        length, total = round(self.config.window_seconds * self.config.sample_rate), audio.shape[-1]
        starts = [*range(0, max(1, total - length), length), *[total - length] * (total > length)]
        return [audio[:, start : start + length] for start in starts]

    def _hear(self, reference: torch.Tensor) -> Heard:
        """The reference, window by window at -16 LUFS, on average, weighted by their energy."""
        windows = self._windows(reference)
        energy = torch.stack([window.square().mean() for window in windows])  # (windows,)
        weights = (energy / energy.sum()).tolist()
        mix = style = mirrored = 0.0
        for window, weight in zip(windows, weights):
            level = normalize_loudness(window, MIX_LUFS, sample_rate=self.config.sample_rate)
            heard = self.encode_reference(level[None].to(self.device, torch.float32))
            mix = mix + weight * heard.mix
            if self.style is not None:
                style, mirrored = style + weight * heard.style, mirrored + weight * heard.mirrored
        return Heard(mix, style, mirrored) if self.style is not None else Heard(mix, None, None)

    def _prepare(self, window: torch.Tensor, sides: list[float]) -> tuple[torch.Tensor, ...]:
        """What the network is shown of a window (N, T), its sounding tracks: leveled (1, K, T), their gains (K,) and
        sides (1, K); and which of the N they are.
        """
        tracks, gains_db = normalize_tracks(
            window, self.config.track_lufs, sample_rate=self.config.sample_rate
        )
        sounding = torch.isfinite(gains_db)
        sides = torch.tensor(sides, device=sounding.device)[sounding]
        tracks = tracks[sounding].to(self.device, torch.float32)
        return tracks[None], gains_db[sounding].float().cpu(), sides[None].to(self.device), sounding.cpu()

    def _console_of(
        self, window: torch.Tensor, sides: list[float], heard: Heard
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The console for a window's raw tracks in the unit interval, (N, 27), (25,), (26,), and their energy, (N,)."""
        tracks, gains_db, sides, sounding = self._prepare(window, sides)
        start, *buses = (torch.sigmoid(start_logits(section, self.config.console)) for section in SECTIONS)
        strips = start.repeat(len(sounding), 1)  # (N, 27), for the silent ones
        if bool(sounding.any()):
            found, *buses = self.settle(self.encode_tracks(tracks), heard, tracks, sides=sides)
            found, buses = found[0].cpu(), [bus[0].cpu() for bus in buses]
            gain = param_table("track", self.config.console)[self.controller.gain_index]
            found[:, self.controller.gain_index] += gains_db / (
                gain.high - gain.low
            )  # from the levels as they are
            strips[sounding] = found.clamp(0.0, 1.0)
        energy = torch.where(sounding, window.square().mean(dim=-1).cpu(), 0.0).float()
        return strips, *buses, energy + torch.finfo(torch.float32).tiny


def make_encoder(config: ModelConfig, level_db: float) -> nn.Module:
    """The encoder that a configuration asks for, for signals at about `level_db`."""
    if config.encoder == "cnn":
        return SpectrogramEncoder(
            config.width, channels=config.channels, pools=config.pools, hop=config.hop, chunk=config.chunk
        )
    return StatisticsEncoder(
        config.width, bands=config.bands, sample_rate=config.sample_rate, level_db=level_db
    )


def check_heard(tracks, reference, mask) -> None:
    """What a network hears is float32, its mask boolean."""
    given = {
        "tracks": (tracks, torch.float32),
        "the reference": (reference, torch.float32),
        "mask": (mask, torch.bool),
    }
    for name, (x, dtype) in given.items():
        if x is None and name == "mask":
            continue
        if not isinstance(x, torch.Tensor) or x.dtype != dtype:
            kind = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"{name} must be a tensor of {dtype}, got {kind}")


def check_batch(tracks, reference, sides, mask) -> None:
    """Tracks, reference, sides and mask of a batch fit each other."""
    if tracks.ndim != 3 or 0 in tracks.shape:
        raise ValueError(
            f"tracks must be (batch, num_tracks, samples) or (num_tracks, samples), got {tuple(tracks.shape)}"
        )
    if reference.ndim != 3 or reference.shape[:2] != (len(tracks), 2) or reference.shape[-1] == 0:
        raise ValueError(f"the reference must be ({len(tracks)}, 2, samples), got {tuple(reference.shape)}")
    for name, values in (("sides", sides), ("mask", mask)):
        if values is not None and values.shape != tracks.shape[:2]:
            raise ValueError(
                f"{name} must be {tuple(tracks.shape[:2])}, one a track, got {tuple(values.shape)}"
            )
