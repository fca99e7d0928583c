r"""The mixing console: a strip for each track, an effects bus and a master bus. Fig. 3 of the paper.

track -> gain -> equalizer -> compressor -> panner ---+--> sum -> gain -> equalizer -> compressor -> gain
                                             \-> send -> reverb -^

The console checks its parameters once (`ConsoleParams.check`) and then calls effects that check nothing.

Chapter: The console.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..inputs import check_dtype, check_preset
from .arguments import check_stereo_bus
from .compressor import apply_compressor
from .engines import dasp
from .equalizer import apply_equalizer
from .gain_and_pan import apply_gain, apply_pan, db_to_gain
from .params import ConsoleParams
from .reverb import apply_reverb
from .table import EQ_BANDS, REVERB_BANDS, param_table

LOOKAHEAD_MS = 10.0  # enough to catch a hit, too little to turn down what comes before it
RELEASED_LOOKAHEAD = {"track": 2048, "master_bus": 1024}  # samples at any rate, as in the released code
IDLE_SEND_DB = -75.0  # when no send is above this, the effects bus has nothing to do


class _Effects(NamedTuple):
    """The effects of a preset, which check nothing."""

    gain: Callable[..., torch.Tensor]
    equalizer: Callable[..., torch.Tensor]
    compressor: Callable[..., torch.Tensor]
    pan: Callable[..., torch.Tensor]
    reverb: Callable[..., torch.Tensor]


_EFFECTS = {
    "default": _Effects(apply_gain, apply_equalizer, apply_compressor, apply_pan, apply_reverb),
    "reference": _Effects(
        dasp.apply_gain, dasp.apply_equalizer, dasp.apply_compressor, dasp.apply_pan, dasp.apply_reverb
    ),
}


@dataclass
class ConsoleOutput:
    """What the console returns.

    Attributes:
        mix: The mix (2, T) or (B, 2, T).
        tracks: The processed tracks before summing, (N, 2, T) or (B, N, 2, T).
    """

    mix: torch.Tensor
    tracks: torch.Tensor


def _equalizer_settings(p: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: torch.stack([p[f"{band}_{name}"] for band in EQ_BANDS], dim=-1)
        for name in ("gain_db", "frequency_hz", "q")
    }


def _compressor_settings(p: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db", "makeup_gain_db")
    return {name: p[name] for name in names}


def compressor_lookahead(section: str, preset: str = "default", sample_rate: float = 44100) -> int:
    """Return how far ahead of the sound a section's compressor reads its gain.

    10 ms in "default"; in "reference" 2,048 samples on tracks and 1,024 on the master, as released.

    Args:
        section: "track" or "master_bus".
        preset: "default" or "reference".
        sample_rate: Hz.

    Returns:
        A number of samples.

    Raises:
        ValueError: For another section or preset.

    Example:
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
    """Tell whether the effects bus has anything to do; it is always off in "reference", as released.

    On a GPU the answer is True in "default": reading the sends would make the device wait.
    """
    if params.preset == "reference":
        return False
    sends = params.values("track")["send_db"]
    return sends.device.type != "cpu" or bool((sends > IDLE_SEND_DB).any())


class MixingConsole:
    """Raw tracks and `ConsoleParams` in, a stereo mix out: equation 2 of the paper, M = h(T, P).

    Differentiable in the tracks and in the parameters.

    Chapter: The console

    Args:
        sample_rate: Hz.
        preset: "default" (our effects) or "reference" (the released code's, through dasp-pytorch).

    Example:
        >>> console = MixingConsole(44100)
        >>> params = ConsoleParams.neutral(["kick", "bass"], pans=[0.3, 0.7])
        >>> console(torch.randn(2, 4410), params).mix.shape
        torch.Size([2, 4410])
    """

    def __init__(self, sample_rate: int = 44100, preset: str = "default"):
        check_preset(preset)
        self.sample_rate, self.preset = sample_rate, preset
        self._effects = _EFFECTS[preset]
        self._lookahead = {
            section: compressor_lookahead(section, preset, sample_rate) for section in RELEASED_LOOKAHEAD
        }

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
            tracks: Audio (N, T) or (B, N, T).
            params: One console for all songs, or a batch of B.
            fx_bus: Whether the effects bus runs; None: as `uses_fx_bus` tells.
            master_bus: Whether the master bus runs.
            mask: (N,) or (B, N), True where a track is real. The others are not processed: they stay silent.

        Returns:
            The mix and the processed tracks.

        Raises:
            ValueError: For parameters of another preset, sample rate, number of tracks or batch size, or out
                of range, and for a mask of another shape.
        """
        params = self._checked(tracks, params)
        if mask is not None and mask.shape != tracks.shape[:-1]:
            raise ValueError(
                f"mask must be {tuple(tracks.shape[:-1])}, one per track, got {tuple(mask.shape)}"
            )
        fx_bus = uses_fx_bus(params) if fx_bus is None else fx_bus
        batched = tracks.ndim == 3
        if not batched:
            tracks, mask = tracks[None], None if mask is None else mask[None]
        batch, num_tracks, num_samples = tracks.shape
        knobs = params.tracks.expand(batch, num_tracks, -1)
        if mask is None:
            wet = self._strip(tracks.flatten(0, 1), knobs.flatten(0, 1)).unflatten(0, (batch, num_tracks))
        else:
            wet = tracks.new_zeros(batch, num_tracks, 2, num_samples)
            wet[mask] = self._strip(tracks[mask], knobs[mask])  # (K, 2, T)
        mix = wet.sum(dim=1)  # (B, 2, T)
        if fx_bus:
            sends = db_to_gain(self._by_name("track", knobs)["send_db"])[..., None, None]
            mix = mix + self._fx_bus((wet * sends).sum(dim=1), params)
        if master_bus:
            mix = self._master_bus(mix, params)
        return ConsoleOutput(mix, wet) if batched else ConsoleOutput(mix[0], wet[0])

    @torch.no_grad()
    def render(
        self, tracks: torch.Tensor, params: ConsoleParams, *, fx_bus: bool | None = None
    ) -> torch.Tensor:
        """Mix one song track by track, without gradients: it needs the memory of one track, however many.

        Args:
            tracks: Audio (N, T).
            params: One console.
            fx_bus: Whether the effects bus runs; None: as `uses_fx_bus` tells.

        Returns:
            The mix (2, T).

        Raises:
            ValueError: As calling the console does, and for batches.
        """
        params = self._checked(tracks, params)
        if tracks.ndim != 2:
            raise ValueError(f"render takes one song (num_tracks, samples), got {tuple(tracks.shape)}")
        fx_bus = uses_fx_bus(params) if fx_bus is None else fx_bus
        mix = tracks.new_zeros(1, 2, tracks.shape[-1])
        send = torch.zeros_like(mix)
        for track, knobs in zip(tracks[:, None], params.tracks[:, None], strict=True):  # (1, T), (1, 27)
            wet = self._strip(track, knobs)
            mix += wet
            if fx_bus:
                send += wet * db_to_gain(self._by_name("track", knobs)["send_db"])
        if fx_bus:
            mix += self._fx_bus(send, params)
        return self._master_bus(mix, params)[0]

    def fx_bus(self, x: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
        """Run the effects bus alone: the reverb, wet only, as in the released code.

        Args:
            x: The sum of the sends (B, 2, T).
            params: The console.

        Returns:
            Audio like `x`.

        Raises:
            ValueError: For another shape and for parameters out of range.
        """
        check_stereo_bus(x)
        params.check()
        return self._fx_bus(x, params.to(x))

    def _checked(self, tracks: torch.Tensor, params: ConsoleParams) -> ConsoleParams:
        """Check tracks and parameters, once for all effects; return the parameters like the tracks."""
        check_dtype(tracks)
        if tracks.ndim not in (2, 3) or 0 in tracks.shape:
            raise ValueError(
                "tracks must be (batch, num_tracks, samples) or (num_tracks, samples), "
                f"got {tuple(tracks.shape)}"
            )
        if (params.preset, params.sample_rate) != (self.preset, self.sample_rate):
            raise ValueError(
                f"a {self.preset} console at {self.sample_rate} Hz cannot use parameters of preset "
                f"{params.preset} at {params.sample_rate} Hz"
            )
        batches = [
            values.shape[:-1]
            for values in (params.tracks[..., 0, :], params.fx_bus_values, params.master_bus_values)
        ]
        if params.tracks.shape[-2] != tracks.shape[-2] or any(
            b not in ((), tuple(tracks.shape[:-2])) for b in batches
        ):
            raise ValueError(
                f"tracks {tuple(tracks.shape)} do not fit parameters for tracks "
                f"{tuple(params.tracks.shape)}, fx bus {tuple(params.fx_bus_values.shape)}, "
                f"master bus {tuple(params.master_bus_values.shape)}"
            )
        params.check()
        return params.to(tracks)

    def _by_name(self, section: str, knobs: torch.Tensor) -> dict[str, torch.Tensor]:
        specs = param_table(section, self.preset, self.sample_rate)
        return {spec.name: knobs[..., i] for i, spec in enumerate(specs)}

    def _strip(self, x: torch.Tensor, knobs: torch.Tensor) -> torch.Tensor:
        """Run channel strips: mono tracks (K, T) to stereo (K, 2, T) with knobs (K, 27)."""
        p = self._by_name("track", knobs)
        x = self._equalize_and_compress(
            "track", self._effects.gain(x[:, None], gain_db=p["input_gain_db"]), p
        )
        return self._effects.pan(x[:, 0], pan=p["pan"])

    def _fx_bus(self, x: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
        p = self._by_name("fx_bus", params.fx_bus_values.expand(x.shape[0], -1))
        return self._effects.reverb(
            x,
            sample_rate=self.sample_rate,
            band_gains=torch.stack([p[f"band{i}_gain"] for i in range(REVERB_BANDS)], dim=-1),
            band_decays=torch.stack([p[f"band{i}_decay"] for i in range(REVERB_BANDS)], dim=-1),
            mix=torch.ones_like(p["mix"]),
        )

    def _master_bus(self, x: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
        """Run the master bus on (B, 2, T): input gain, equalizer, compressor, output gain."""
        p = self._by_name("master_bus", params.master_bus_values.expand(x.shape[0], -1))
        x = self._equalize_and_compress("master_bus", self._effects.gain(x, gain_db=p["input_gain_db"]), p)
        return self._effects.gain(x, gain_db=p["output_gain_db"])

    def _equalize_and_compress(
        self, section: str, x: torch.Tensor, p: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        x = self._effects.equalizer(x, sample_rate=self.sample_rate, **_equalizer_settings(p))
        return self._effects.compressor(
            x,
            sample_rate=self.sample_rate,
            lookahead_samples=self._lookahead[section],
            **_compressor_settings(p),
        )
