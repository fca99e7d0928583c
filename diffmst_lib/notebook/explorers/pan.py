"""Explorer of the width, the pan pot and the fader of a strip.

Chapter: Gain and pan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...console import effects
from ...console.gain_and_pan import fader_gain
from ...console.table import OFF_DB
from ...options import SAMPLE_RATE
from ...plots.figure import COLORS, new_figure
from ...plots.panner import draw_pan_law, pan_db
from ...plots.tracks import draw_waveform
from .base import FIGURE_WIDTH, Explorer, effect_specs, excerpt_of, sliders

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SIDES = ("left", "right")


class PanExplorer(Explorer):
    """Explorer that `explore_pan` returns: a width, a pan pot and a fader for one stem."""

    _alt = (
        "The pan law: gain of the left and the right side and their total power in dB over pan, with one pan "
        "marked, beside the law of the released code; below, the two channels over time."
    )

    def __init__(
        self,
        track: torch.Tensor,
        sample_rate: int,
        settings: dict[str, float],
        seconds: float,
        start_s: float,
    ) -> None:
        self._track = excerpt_of(track, sample_rate, start_s, seconds).expand(2, -1)
        specs = effect_specs("width", sample_rate) | effect_specs("panner", sample_rate)
        specs |= effect_specs("gain", sample_rate)
        super().__init__(
            sample_rate, sliders({name: specs[name] for name in settings}, settings), matched=False
        )

    def _process(self) -> torch.Tensor:
        settings = self.settings
        wide = effects.width(self._track[None], width=settings["width"])
        panned = effects.panner(wide, pan=settings["pan"])[0]
        return panned * fader_gain(torch.tensor(settings["fader_db"]), OFF_DB)

    def picture(self) -> Figure:
        """Draw the pan law with the current pan and, below, the two output channels on one scale."""
        figure, axes = new_figure(3, 4.4, width=FIGURE_WIDTH, height_ratios=(3, 1, 1))
        draw_pan_law(axes[0], self.settings["pan"])
        peak = max(self._track.abs().max().item(), self.audio.abs().max().item(), 1e-6)
        for axis, side, color, channel in zip(axes[1:], SIDES, COLORS[:2], self.audio, strict=True):
            draw_waveform(axis, channel[None], self.sample_rate, color)
            axis.set(ylabel=side, ylim=(-peak, peak), xlim=(0, self.audio.shape[-1] / self.sample_rate))
        axes[1].tick_params(labelbottom=False)
        axes[2].set_xlabel("time (s)")
        return figure

    def _sounds(self) -> dict[str, torch.Tensor]:
        return {"": self.audio}

    def _caption(self) -> str:
        fader_db, pan, width = (self.settings[name] for name in ("fader_db", "pan", "width"))
        law = pan_db(pan)
        gains = {side: law[side] + fader_db if fader_db > OFF_DB else -float("inf") for side in SIDES}
        left, right = ("off" if gain == -float("inf") else f"{gain:+.1f} dB" for gain in gains.values())
        mono = ", which does nothing to a mono stem" if torch.equal(*self._track) else ""
        fader = f"{fader_db:+.1f} dB" if fader_db > OFF_DB else "off"
        return f"Width {width:.2f}{mono}; pan {pan:.2f}; fader {fader}: left {left}, right {right}."


def explore_pan(
    track: torch.Tensor,
    sample_rate: int = SAMPLE_RATE,
    *,
    width: float = 1.0,
    pan: float = 0.5,
    fader_db: float = 0.0,
    seconds: float = 6.0,
    start_s: float = 0.0,
) -> PanExplorer:
    """Show sliders for the width, the pan pot and the fader of one stem, with the pan law and the stereo sound.

    In a live notebook, the sliders control `effects.width`, `effects.panner` and a gain, as at the end of a
    strip. On a page without a kernel, picture and sound have the settings given here. This is true for the
    other explorers, too.

    Args:
        track: Mono or stereo audio (num_samples,) or (channels, num_samples), in [-1, 1].
        sample_rate: Sample rate in Hz.
        width: Start value of the width, 0 to 2; 1 changes nothing.
        pan: Start value of the pan pot, 0 (left) to 1 (right).
        fader_db: Start value of the fader, -60 to 12 dB; -60 is off.
        seconds: Length of the excerpt in seconds.
        start_s: Start of the excerpt in seconds.

    Returns:
        `Explorer` with `.settings` (width, pan and fader), `.audio` (the processed excerpt, here (2,
        num_samples)), `.picture()` (a matplotlib figure) and `.controls` (the sliders by name).

    Raises:
        ValueError: For a track that is not mono or stereo or not finite, a setting out of range, and a start
            past the end.

    Chapter: Gain and pan

    Example:
        >>> explorer = explore_pan(torch.zeros(44100), pan=0.2)
        >>> explorer.controls["pan"].value = 1.0
        >>> explorer.settings
        {'width': 1.0, 'pan': 1.0, 'fader_db': 0.0}
    """
    settings = {"width": width, "pan": pan, "fader_db": fader_db}
    return PanExplorer(track, sample_rate, settings, seconds, start_s)
