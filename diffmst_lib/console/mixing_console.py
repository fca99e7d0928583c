r"""The mixing console: a strip for each track, an effects bus and a master bus. Fig. 3 of the paper.

stem -> trim -> equalizer -> compressor -> width -> pan -> fader -+-> sum -> equalizer -> compressor
                                                            |       ^        -> width -> gain -> mix
                                                            +> send -> reverb

The paper's strips take mono channels and end with the pan; its master has a gain before the equalizer and no
width.

The console checks its parameters once (`ConsoleParams.check`); then `signal_path` runs effects that check nothing.

Chapter: The console.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..inputs import InputError, check_dtype
from .arguments import check_stereo_bus
from .gain_and_pan import fader_gain
from .params import ConsoleParams
from .signal_path import Meter, SignalPath
from .specs import base_console, takes_stems
from .table import OFF_DB, param_table

FIRST_IDLE_DB = -75.0  # sends at most this high left the effects bus off in the first edition


@dataclass
class ConsoleOutput:
    """What the console returns.

    Attributes:
        mix: The mix (2, T) or (B, 2, T).
        tracks: The processed tracks as they reach the master bus, (N, 2, T) or (B, N, 2, T).
    """

    mix: torch.Tensor
    tracks: torch.Tensor


def uses_fx_bus(params: ConsoleParams) -> bool:
    """Tell whether the effects bus has anything to do; it is always off in "reference", as released.

    On a GPU the answer is True in "default": reading the sends would make the device wait.
    """
    if base_console(params.preset) == "reference":
        return False
    sends = params.values("track")["send_db"]
    idle_db = OFF_DB if takes_stems(params.preset) else FIRST_IDLE_DB
    return sends.device.type != "cpu" or bool((sends > idle_db).any())


class MixingConsole:
    """Stems and `ConsoleParams` in, a stereo mix out: equation 2 of the paper, M = h(T, P).

    Differentiable in the tracks and in the parameters. A strip of the preset "default" takes a stereo stem, a
    strip of "reference" a mono channel.

    A subclass may override `run_strips`, `fx_bus` and `master_bus`: everything else calls them, also fits,
    models and whole songs. One that overrides calling or `render` mixes whole songs in its own way; its stems
    come from `run_strips`.

    Chapter: The console

    Args:
        sample_rate: Hz.
        preset: "default" (our effects), "reference" (the released code's, through dasp-pytorch), or the name
            of a console made by `register_console`.
        meter: Called whenever compressors have run, with their input and output (K, C, T) and their make-up
            gains (K,) in dB, to see their gain reduction; None: nobody looks.

    Example:
        >>> console = MixingConsole(44100)
        >>> params = ConsoleParams.neutral(["kick", "bass"], pans=[0.5, 0.6])
        >>> console(torch.randn(2, 2, 4410), params).mix.shape
        torch.Size([2, 4410])
    """

    def __init__(self, sample_rate: int = 44100, preset: str = "default", *, meter: Meter | None = None):
        self.sample_rate, self.preset = sample_rate, preset
        self._path = SignalPath(sample_rate, preset, meter)
        self._stems = takes_stems(preset)
        self._ndim = 3 if self._stems else 2  # of one song's tracks

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sample_rate}, {self.preset!r})"

    def __call__(
        self,
        tracks: torch.Tensor,
        params: ConsoleParams,
        *,
        fx_bus: bool | None = None,
        master_bus: bool = True,
        mask: torch.Tensor | None = None,
    ) -> ConsoleOutput:
        """Mix tracks.

        Args:
            tracks: Stereo stems (N, 2, T) or (B, N, 2, T); in "reference" mono channels (N, T) or (B, N, T).
            params: One console for all songs, or a batch of B.
            fx_bus: Whether the effects bus runs; None: as `uses_fx_bus` tells.
            master_bus: Whether the master bus runs.
            mask: (N,) or (B, N), True where a track is real. The others are not processed: they stay silent.

        Returns:
            The mix and the processed tracks.

        Raises:
            ValueError: For tracks of another preset's shape, for parameters of another preset, sample rate,
                number of tracks or batch size, or out of range, and for a mask of another shape.
        """
        params = self._checked(tracks, params)
        batched = tracks.ndim > self._ndim
        many = tracks.shape[: batched + 1]  # (N,) or (B, N)
        if mask is not None and mask.shape != many:
            raise ValueError(f"mask must be {tuple(many)}, one per track, got {tuple(mask.shape)}")
        fx_bus = uses_fx_bus(params) if fx_bus is None else fx_bus
        if not batched:
            tracks, mask = tracks[None], None if mask is None else mask[None]
        batch, num_tracks = tracks.shape[:2]
        knobs = params.tracks.expand(batch, num_tracks, -1)
        if mask is None:
            wet = self._run(tracks.flatten(0, 1), knobs.flatten(0, 1)).unflatten(0, (batch, num_tracks))
        else:
            wet = tracks.new_zeros(batch, num_tracks, 2, tracks.shape[-1])
            wet[mask] = self._run(tracks[mask], knobs[mask])  # (K, 2, T)
        mix = wet.sum(dim=1)  # (B, 2, T)
        if fx_bus:
            mix = mix + self.fx_bus((wet * self._sends(knobs)).sum(dim=1), params)
        if master_bus:
            mix = self.master_bus(mix, params)
        return ConsoleOutput(mix, wet) if batched else ConsoleOutput(mix[0], wet[0])

    def strips(self, tracks: torch.Tensor, params: ConsoleParams) -> Iterator[torch.Tensor]:
        """Process one song's tracks one after another, without gradients: the memory of few tracks is needed.

        Args:
            tracks: Stems (N, 2, T) of one song; in "reference" channels (N, T).
            params: One console.

        Returns:
            Each track as it reaches the master bus, (2, T), computed when it is asked for.

        Raises:
            ValueError: As calling the console does, and for batches.
        """
        return self._one_by_one(tracks, self.checked_song(tracks, params))

    @torch.no_grad()
    def _one_by_one(self, tracks: torch.Tensor, params: ConsoleParams) -> Iterator[torch.Tensor]:
        together = torch.get_num_threads()  # tracks: the compiled loops run them on threads
        for some, knobs in zip(tracks.split(together), params.tracks.split(together), strict=True):
            yield from self._run(some, knobs)

    @torch.no_grad()
    def render(
        self, tracks: torch.Tensor, params: ConsoleParams, *, fx_bus: bool | None = None
    ) -> torch.Tensor:
        """Mix one song as calling the console does, without gradients and in the memory of few tracks.

        Args:
            tracks: Stems (N, 2, T) of one song; in "reference" channels (N, T).
            params: One console.
            fx_bus: Whether the effects bus runs; None: as `uses_fx_bus` tells.

        Returns:
            The mix (2, T).

        Raises:
            ValueError: As calling the console does, and for batches.
        """
        params = self.checked_song(tracks, params)
        fx_bus = uses_fx_bus(params) if fx_bus is None else fx_bus
        if type(self).__call__ is not MixingConsole.__call__:
            return self(tracks, params, fx_bus=fx_bus).mix
        mix = tracks.new_zeros(1, 2, tracks.shape[-1])
        send = torch.zeros_like(mix)
        for wet, gain in zip(self.strips(tracks, params), self.send_gains(params), strict=True):
            mix += wet
            if fx_bus:
                send += wet * gain
        if fx_bus:
            mix += self.fx_bus(send, params)
        return self.master_bus(mix, params)[0]

    def metered(self, meter: Meter) -> MixingConsole:
        """Return a copy of this console, of whatever class, with another meter."""
        other = copy.copy(self)
        other._path = copy.copy(self._path)
        other._path.meter = meter
        return other

    @property
    def meter(self) -> Meter | None:
        """What is called whenever compressors have run."""
        return self._path.meter

    def mixes_in_its_own_way(self) -> bool:
        """Tell whether a subclass mixes otherwise than by its strips, its effects bus and its master bus."""
        cls = type(self)
        return cls.render is not MixingConsole.render or cls.__call__ is not MixingConsole.__call__

    def run_strips(self, x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
        """Run strips without any checks: what the console does to each track.

        Args:
            x: Stems (K, 2, T); in "reference" channels (K, T).
            p: The knobs by name, (K,) each.

        Returns:
            The tracks as they reach the master bus, (K, 2, T).
        """
        return self._path.strips(x, p)

    def _run(self, x: torch.Tensor, knobs: torch.Tensor) -> torch.Tensor:
        return self.run_strips(x, self._by_name("track", knobs))

    def fx_bus(self, x: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
        """Run the effects bus alone: the reverb, wet only, as in the released code.

        Args:
            x: The sum of the sends (B, 2, T).
            params: One console for all songs, or a batch of B.

        Returns:
            Audio like `x`.

        Raises:
            ValueError: For another shape, and for parameters of another preset, sample rate or batch size, or
                out of range.
        """
        params = self._checked_bus(x, params, params.fx_bus_values, "effects bus")
        return self._path.fx_bus(x, self._by_name("fx_bus", params.fx_bus_values.expand(len(x), -1)))

    def master_bus(self, x: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
        """Run the master bus alone: equalizer, compressor, width, output gain.

        Args:
            x: The sum of the strips (B, 2, T).
            params: One console for all songs, or a batch of B.

        Returns:
            Audio like `x`.

        Raises:
            ValueError: For another shape, and for parameters of another preset, sample rate or batch size, or
                out of range.
        """
        params = self._checked_bus(x, params, params.master_bus_values, "master bus")
        return self._path.master_bus(
            x, self._by_name("master_bus", params.master_bus_values.expand(len(x), -1))
        )

    def _checked(self, tracks: torch.Tensor, params: ConsoleParams) -> ConsoleParams:
        """Check tracks and parameters, once for all effects; return the parameters like the tracks."""
        check_dtype(tracks)
        stereo, shape = self._stems, tuple(tracks.shape)
        kind = "stereo stems (N, 2, T) or (B, N, 2, T)" if stereo else "mono channels (N, T) or (B, N, T)"
        takes = f"a console of preset {self.preset} takes {kind}"
        if tracks.ndim - self._ndim not in (0, 1) or 0 in shape or (stereo and shape[-2] != 2):
            raise ValueError(f"{takes}, got {shape}")
        self._check_settings(params)
        many = shape[: -2 if stereo else -1]  # (N,) or (B, N)
        batches = [
            values.shape[:-1]
            for values in (params.tracks[..., 0, :], params.fx_bus_values, params.master_bus_values)
        ]
        if params.tracks.shape[-2] != many[-1] or any(b not in ((), many[:-1]) for b in batches):
            raise ValueError(
                f"tracks {shape} do not fit parameters for tracks "
                f"{tuple(params.tracks.shape)}, fx bus {tuple(params.fx_bus_values.shape)}, "
                f"master bus {tuple(params.master_bus_values.shape)}: {takes}"
            )
        return params.to(tracks)

    def checked_song(self, tracks: torch.Tensor, params: ConsoleParams) -> ConsoleParams:
        """Check the tracks of one song, (N, 2, T) or (N, T), and parameters, as `render` does.

        Returns:
            The parameters in the type and on the device of the tracks.

        Raises:
            ValueError: As calling the console does, and for batches.
        """
        params = self._checked(tracks, params)
        if tracks.ndim != self._ndim:
            raise ValueError(f"one song is needed, not a batch of tracks {tuple(tracks.shape)}")
        return params

    def _checked_bus(
        self, x: torch.Tensor, params: ConsoleParams, values: torch.Tensor, bus: str
    ) -> ConsoleParams:
        """Check the sound on a bus and its parameters; return the parameters like the sound."""
        check_stereo_bus(x, f"the {bus}")
        self._check_settings(params)
        if values.shape[:-1] not in ((), x.shape[:1]):
            raise ValueError(
                f"a batch of {x.shape[0]} sounds does not fit {bus} settings {tuple(values.shape)}"
            )
        return params.to(x)

    def _check_settings(self, params: ConsoleParams) -> None:
        if (params.preset, params.sample_rate) != (self.preset, self.sample_rate):
            raise ValueError(
                f"a {self.preset} console at {self.sample_rate} Hz cannot use parameters of preset "
                f"{params.preset} at {params.sample_rate} Hz"
            )
        params.check()

    def _by_name(self, section: str, knobs: torch.Tensor) -> dict[str, torch.Tensor]:
        specs = param_table(section, self.preset, self.sample_rate)
        return {spec.name: knobs[..., i] for i, spec in enumerate(specs)}

    def send_gains(self, params: ConsoleParams) -> torch.Tensor:
        """Compute the factors of a console's sends, (N, 1, 1) or (B, N, 1, 1)."""
        return self._sends(params.tracks)

    def _sends(self, knobs: torch.Tensor) -> torch.Tensor:
        send_db = self._by_name("track", knobs)["send_db"]
        return fader_gain(send_db, OFF_DB if self._stems else -math.inf)[..., None, None]


def check_console(console: MixingConsole) -> MixingConsole:
    """Raise InputError for anything but a console, such as its class or its name; return it."""
    if not isinstance(console, MixingConsole):
        raise InputError(
            f"console must be a MixingConsole, or one of a class derived from it, not {console!r}"
        )
    return console


def check_finite(console: MixingConsole, sound: torch.Tensor, tracks: torch.Tensor, where: str = "") -> None:
    """Raise InputError where a console makes NaN or infinity of tracks that are finite.

    On a GPU nothing is read back, so nothing is checked.

    Args:
        console: The console.
        sound: What it made, (..., T).
        tracks: What it was given, (..., T).
        where: The end of the message's first part, such as " in the strip of kick".
    """
    if sound.device.type == "cpu" and not _is_finite(sound) and _is_finite(tracks):
        raise InputError(
            f"the console {console!r} gives NaN or infinity{where}, although tracks and settings are finite"
        )


def _is_finite(sound: torch.Tensor) -> bool:
    return bool(sound.detach().isfinite().all())
