"""The differentiable mixing console: a strip for each track, an effects bus and a master bus. Fig. 3 of the paper.

track -> input gain -> equalizer -> compressor -> panner ---+--> sum -> gain -> equalizer -> compressor -> gain
                                                   \\-> send -> reverb -^
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch

from ..inputs import check_dtype, check_preset
from . import effects, released
from .engines.memory import keep_large_blocks
from .params import EQ_BANDS, ConsoleParams

LOOKAHEAD_MS = 10.0  # of our compressors: in time for a hit, without turning down what comes before it
RELEASED_LOOKAHEAD = {"track": 2048, "master_bus": 1024}  # samples at any rate, as in the released code
IDLE_SEND_DB = -75.0  # sends all below this: the effects bus has nothing to do


@dataclass
class ConsoleOutput:
    """What the console gives: `mix` (..., 2, T) and the processed tracks before summing, `tracks` (..., N, 2, T)."""

    mix: torch.Tensor
    tracks: torch.Tensor


def _equalizer_settings(p: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: torch.stack([p[f"{band}_{name}"].flatten() for band in EQ_BANDS], dim=-1)
        for name in ("gain_db", "frequency_hz", "q")
    }


def _compressor_settings(p: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db", "makeup_gain_db")
    return {name: p[name].flatten() for name in names}


def compressor_lookahead(section: str, preset: str = "default", sample_rate: float = 44100) -> int:
    """How far ahead of the sound the compressor of a section ("track", "master_bus") reads its gain, in samples.

    D = 10 ms * sample_rate, in "default"; 2,048 samples on tracks and 1,024 on the master in "reference", as in the
    released code. Raises ValueError for another section or preset.

    >>> compressor_lookahead("track"), compressor_lookahead("master_bus", sample_rate=96000)
    (441, 960)
    >>> compressor_lookahead("track", "reference"), compressor_lookahead("master_bus", "reference")
    (2048, 1024)
    """
    check_preset(preset)
    if section not in RELEASED_LOOKAHEAD:
        raise ValueError(f"section must be one of {', '.join(RELEASED_LOOKAHEAD)}, not {section!r}")
    return RELEASED_LOOKAHEAD[section] if preset == "reference" else round(LOOKAHEAD_MS / 1000 * sample_rate)


def uses_fx_bus(params: ConsoleParams) -> bool:
    """Whether any track sends something to the effects bus, which the released code keeps switched off."""
    if params.preset == "reference":
        return False
    sends = params.values("track")["send_db"]
    return sends.device.type != "cpu" or bool((sends > IDLE_SEND_DB).any())


class MixingConsole:
    """Raw tracks and `ConsoleParams` in, a stereo mix out; differentiable in both. Equation 2 of the paper, h(T, P).

    Args:
        sample_rate: Hz.
        preset: "default" (our effects) or "reference" (the released code's, through dasp-pytorch).

    >>> console = MixingConsole(44100)
    >>> params = ConsoleParams.neutral(["kick", "bass"], pans=[0.3, 0.7])
    >>> console(torch.randn(2, 4410), params).mix.shape
    torch.Size([2, 4410])
    """

    def __init__(self, sample_rate: int = 44100, preset: str = "default"):
        check_preset(preset)
        self.sample_rate, self.preset = sample_rate, preset
        self._lookahead = {
            name: compressor_lookahead(name, preset, sample_rate) for name in RELEASED_LOOKAHEAD
        }

    @property
    def fx(self) -> ModuleType:
        """The module with this preset's effects."""
        return effects if self.preset == "default" else released

    def __call__(
        self,
        tracks: torch.Tensor,
        params: ConsoleParams,
        *,
        fx_bus: bool | None = None,
        master_bus: bool = True,
        mask: torch.Tensor | None = None,
    ) -> ConsoleOutput:
        """Mix `tracks` (B, N, T) or (N, T). `fx_bus` and `master_bus` switch the two buses.

        Tracks that `mask` (B, N) or (N,), True where a track is real, leaves out are not processed: they stay silent.

        With `fx_bus=None` the effects bus runs when something is sent to it, in the default preset; in the reference
        preset it is off, as in the released code. On a GPU, where reading a knob would make the device wait, it then
        always runs in the default preset. Raises ValueError when the parameters are for another preset, sample rate,
        number of tracks or batch size, or out of range, and for a mask of another shape.
        """
        self._check(tracks, params)
        if mask is not None and mask.shape != tracks.shape[:-1]:
            raise ValueError(f"mask must be {tuple(tracks.shape[:-1])}, one a track, got {tuple(mask.shape)}")
        fx_bus = uses_fx_bus(params) if fx_bus is None else fx_bus
        batched = tracks.ndim == 3
        if not batched:
            tracks, mask = tracks[None], None if mask is None else mask[None]
        batch, num_tracks, num_samples = tracks.shape
        shared = params.tracks.ndim == 2
        track_p = {k: v.expand(batch, num_tracks) if shared else v for k, v in params.values("track").items()}
        if mask is None:
            wet = self.strip(tracks.reshape(batch * num_tracks, num_samples), track_p)  # (B N, 2, T)
            wet = wet.view(batch, num_tracks, 2, num_samples)
        else:
            wet = tracks.new_zeros(batch, num_tracks, 2, num_samples)
            wet[mask] = self.strip(tracks[mask], {k: v[mask] for k, v in track_p.items()})  # (K, 2, T)
        mix = wet.sum(dim=1)  # (B, 2, T)
        if fx_bus:
            sends = effects.db_to_gain(track_p["send_db"]).to(wet)[..., None, None]
            mix = mix + self.fx_bus((wet * sends).sum(dim=1), params)
        if master_bus:
            mix = self.master_bus(mix, params)
        return ConsoleOutput(mix, wet) if batched else ConsoleOutput(mix[0], wet[0])

    def _check(self, tracks: torch.Tensor, params: ConsoleParams) -> None:
        check_dtype(tracks)
        if tracks.ndim not in (2, 3) or 0 in tracks.shape:
            raise ValueError(
                f"tracks must be (batch, num_tracks, samples) or (num_tracks, samples), got {tuple(tracks.shape)}"
            )
        if (params.preset, params.sample_rate) != (self.preset, self.sample_rate):
            raise ValueError(
                f"a {self.preset} console at {self.sample_rate} Hz cannot use parameters of preset {params.preset} "
                f"at {params.sample_rate} Hz"
            )
        batches = [
            values.shape[:-1]
            for values in (params.tracks[..., 0, :], params.fx_bus_values, params.master_bus_values)
        ]
        if params.tracks.shape[-2] != tracks.shape[-2] or any(
            b not in ((), tuple(tracks.shape[:-2])) for b in batches
        ):
            raise ValueError(
                f"tracks {tuple(tracks.shape)} do not fit parameters for tracks {tuple(params.tracks.shape)}, "
                f"fx bus {tuple(params.fx_bus_values.shape)}, master bus {tuple(params.master_bus_values.shape)}"
            )
        params.check()

    def strip(self, x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
        """The channel strip: mono tracks (B, T) to stereo (B, 2, T), with the track parameters by name."""
        x = self.fx.gain(x, gain_db=p["input_gain_db"].flatten())
        x = self.fx.parametric_eq(x, sample_rate=self.sample_rate, **_equalizer_settings(p))
        x = self.fx.compressor(
            x,
            sample_rate=self.sample_rate,
            lookahead_samples=self._lookahead["track"],
            **_compressor_settings(p),
        )
        return self.fx.panner(x, pan=p["pan"].flatten())

    def fx_bus(self, x: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
        """The effects bus: the sum of the sends (B, 2, T) through the reverb, wet only, as in the released code."""
        values = params.fx_bus_values.expand(x.shape[0], -1)
        return self.fx.reverb(
            x,
            sample_rate=self.sample_rate,
            band_gains=values[:, :12],
            band_decays=values[:, 12:24],
            mix=torch.ones_like(values[:, 24]),
        )

    def master_bus(self, x: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
        """The master bus: input gain, stereo equalizer, compressor, output gain on (B, 2, T)."""
        p = {k: v.expand(x.shape[0]) for k, v in params.values("master_bus").items()}
        x = self.fx.gain(x, gain_db=p["input_gain_db"])
        x = self.fx.parametric_eq(x, sample_rate=self.sample_rate, **_equalizer_settings(p))
        x = self.fx.compressor(
            x,
            sample_rate=self.sample_rate,
            lookahead_samples=self._lookahead["master_bus"],
            **_compressor_settings(p),
        )
        return self.fx.gain(x, gain_db=p["output_gain_db"])

    @torch.no_grad()
    def render(
        self, tracks: torch.Tensor, params: ConsoleParams, *, fx_bus: bool | None = None
    ) -> torch.Tensor:
        """The mix (2, T) of tracks (N, T), one track at a time: the memory of one track, however many there are.

        The effects bus runs when something is sent to it, unless `fx_bus` says otherwise. No gradients.
        Raises ValueError as calling the console does, and for batches.
        """
        self._check(tracks, params)
        if tracks.ndim != 2:
            raise ValueError(f"render takes one song (num_tracks, samples), got {tuple(tracks.shape)}")
        fx_bus = uses_fx_bus(params) if fx_bus is None else fx_bus
        mix = tracks.new_zeros(1, 2, tracks.shape[-1])
        send = torch.zeros_like(mix) if fx_bus else None
        values = params.values("track")
        with keep_large_blocks():
            for i, track in enumerate(tracks):
                wet = self.strip(track[None], {k: v[i : i + 1] for k, v in values.items()})
                mix += wet
                if fx_bus:
                    send += wet * effects.db_to_gain(values["send_db"][i]).to(wet)
            if fx_bus:
                mix += self.fx_bus(send, params)
            return self.master_bus(mix, params)[0]
