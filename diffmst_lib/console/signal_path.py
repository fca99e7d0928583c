"""What a console does to sound: the effects of strips, effects bus and master bus in their order, unchecked.

Chapter: The console.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from ..inputs import FIRST_EDITION
from .compressor import RELEASED_LOOKAHEAD, apply_compressor, compressor_lookahead
from .engines import dasp
from .equalizer import apply_equalizer
from .gain_and_pan import apply_gain, apply_released_pan, apply_width, fader_gain, pan_law, width_matrix
from .reverb import apply_reverb
from .specs import base_console, own_effects, takes_stems
from .table import EQ_BANDS, OFF_DB, REVERB_BANDS


class _Effects(NamedTuple):
    """The effects of a preset, which check nothing."""

    gain: Callable[..., torch.Tensor]
    equalizer: Callable[..., torch.Tensor]
    compressor: Callable[..., torch.Tensor]
    reverb: Callable[..., torch.Tensor]


_OURS = _Effects(apply_gain, apply_equalizer, apply_compressor, apply_reverb)
_DASPS = _Effects(dasp.apply_gain, dasp.apply_equalizer, dasp.apply_compressor, dasp.apply_reverb)
_EFFECTS = {"default": _OURS, "reference": _DASPS, FIRST_EDITION: _OURS}
_PAN_OF_CHANNELS = {"reference": dasp.apply_pan, FIRST_EDITION: apply_released_pan}
Knobs = dict[str, torch.Tensor]  # of K strips or buses by name, (K,) each
Meter = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]


def equalizer_settings(p: Knobs) -> dict[str, torch.Tensor]:
    """Collect the settings of equalizers (..., 6) from a section's knobs by name."""
    return {
        name: torch.stack([p[f"{band}_{name}"] for band in EQ_BANDS], dim=-1)
        for name in ("gain_db", "frequency_hz", "q")
    }


def compressor_settings(p: Knobs) -> dict[str, torch.Tensor]:
    """Collect the settings of compressors from a section's knobs by name."""
    names = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db", "makeup_gain_db")
    return {name: p[name] for name in names}


class SignalPath:
    """The effects of a console in their order; those of a registered console come after ours.

    Args:
        sample_rate: Hz.
        preset: The name of the console.
        meter: As in `MixingConsole`.
    """

    def __init__(self, sample_rate: int, preset: str, meter: Meter | None = None):
        self.sample_rate, self.meter = sample_rate, meter
        self._base, self._stems = base_console(preset), takes_stems(preset)
        self._effects = _EFFECTS[self._base]
        self._added = {section: own_effects(preset, section) for section in RELEASED_LOOKAHEAD}
        self._lookahead = {
            section: compressor_lookahead(section, preset, sample_rate) for section in RELEASED_LOOKAHEAD
        }

    def strips(self, x: torch.Tensor, p: Knobs) -> torch.Tensor:
        """Run strips: stems (K, 2, T) or, in "reference", channels (K, T) to (K, 2, T)."""
        return self._stem_strips(x, p) if self._stems else self._channel_strips(x, p)

    def fx_bus(self, x: torch.Tensor, p: Knobs) -> torch.Tensor:
        """Run effects buses (B, 2, T): the reverb, wet only."""
        return self._effects.reverb(
            x,
            sample_rate=self.sample_rate,
            band_gains=torch.stack([p[f"band{i}_gain"] for i in range(REVERB_BANDS)], dim=-1),
            band_decays=torch.stack([p[f"band{i}_decay"] for i in range(REVERB_BANDS)], dim=-1),
            mix=torch.ones_like(p["mix"]),
        )

    def master_bus(self, x: torch.Tensor, p: Knobs) -> torch.Tensor:
        """Run master buses (B, 2, T)."""
        if "input_gain_db" in p:  # mono strips: the paper's master has a gain before and no width
            x = self._effects.gain(x, gain_db=p["input_gain_db"])
        x = self._equalize_and_compress("master_bus", x, p)
        if "width" in p:
            x = self._own("master_bus", "width", apply_width(x, width=p["width"]), p)
        return self._effects.gain(x, gain_db=p["output_gain_db"])

    def _stem_strips(self, x: torch.Tensor, p: Knobs) -> torch.Tensor:
        """Run the strips of stems (K, 2, T). Mono stems are processed once."""
        mono = _equal_channels(x)
        x = self._effects.gain(x, gain_db=p["input_gain_db"])
        if not mono.any():
            x = self._equalize_and_compress("track", x, p)
        elif mono.all():
            x = self._equalize_and_compress("track", x[:, :1], p).expand(-1, 2, -1)
        else:
            once, twice = (
                self._equalize_and_compress("track", x[rows, :channels], {k: v[rows] for k, v in p.items()})
                for rows, channels in ((mono, 1), (~mono, 2))
            )
            x = torch.empty_like(x).index_put((mono,), once.expand(-1, 2, -1)).index_put((~mono,), twice)
        fader = fader_gain(p["fader_db"], OFF_DB)
        # Width, pan and fader are gains between two channels, so one matrix has them all.
        image = (fader[:, None] * pan_law(p["pan"]))[..., None] * width_matrix(p["width"])  # (K, 2, 2)
        return self._own("track", "fader", image @ x, p)

    def _channel_strips(self, x: torch.Tensor, p: Knobs) -> torch.Tensor:
        """Run the strips of mono channels (K, T) to stereo (K, 2, T)."""
        x = self._equalize_and_compress(
            "track", self._effects.gain(x[:, None], gain_db=p["input_gain_db"]), p
        )
        return _PAN_OF_CHANNELS[self._base](x[:, 0], pan=p["pan"])

    def _equalize_and_compress(self, section: str, x: torch.Tensor, p: Knobs) -> torch.Tensor:
        x = self._own(section, "gain", x, p)
        x = self._effects.equalizer(x, sample_rate=self.sample_rate, **equalizer_settings(p))
        x = self._own(section, "equalizer", x, p)
        y = self._effects.compressor(
            x,
            sample_rate=self.sample_rate,
            lookahead_samples=self._lookahead[section],
            **compressor_settings(p),
        )
        if self.meter is not None:
            self.meter(x, y, p["makeup_gain_db"])
        return self._own(section, "compressor", y, p)

    def _own(self, section: str, place: str, x: torch.Tensor, p: Knobs) -> torch.Tensor:
        """Run the effects of a registered console that come after one of ours."""
        for effect in self._added[section]:
            if effect.after == place:
                x = effect.run(x, self.sample_rate, **{knob.name: p[knob.name] for knob in effect.knobs})
        return x


def _equal_channels(x: torch.Tensor) -> torch.Tensor:
    """Tell which stems (K, 2, T) have two equal channels and may be processed as one; the answer is on the CPU.

    On a GPU none: asking would make the device wait. None either where each channel gets its own gradient.
    """
    if x.device.type != "cpu" or x.requires_grad:
        return torch.zeros(len(x), dtype=torch.bool, device="cpu")
    equal = [torch.equal(left, right) for left, right in x]
    return torch.tensor(equal, dtype=torch.bool, device="cpu")
