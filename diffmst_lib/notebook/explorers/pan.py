"""Explorer of the fader and the pan pot of a track.

Chapter: Gain and pan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...audio.loudness import SAMPLE_RATE
from ...console import effects
from ...plots.figure import COLORS, new_figure
from ...plots.panner import draw_pan_law, pan_db
from ...plots.tracks import draw_waveform
from .base import FIGURE_WIDTH, Explorer, effect_specs, mono_excerpt, sliders

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PanExplorer(Explorer):
    """Explorer that `explore_pan` returns: a fader and a pan pot for one track."""

    _alt = (
        "The pan law: gain of the left and the right side and their total power in dB over pan, "
        "with one pan marked."
    )

    def __init__(
        self,
        track: torch.Tensor,
        sample_rate: int,
        gain_db: float,
        pan: float,
        seconds: float,
        start_s: float,
    ) -> None:
        self._track = mono_excerpt(track, sample_rate, start_s, seconds)
        specs = {
            "gain_db": effect_specs("gain", sample_rate)["input_gain_db"],
            "pan": effect_specs("panner", sample_rate)["pan"],
        }
        super().__init__(sample_rate, sliders(specs, {"gain_db": gain_db, "pan": pan}), matched=False)

    def _process(self) -> torch.Tensor:
        faded = effects.gain(self._track, gain_db=torch.tensor(self.settings["gain_db"]))
        return effects.panner(faded, pan=torch.tensor(self.settings["pan"]))[0]

    def picture(self) -> Figure:
        """Draw the pan law with the current pan and, below, the two output channels on one scale."""
        figure, axes = new_figure(3, 4.4, width=FIGURE_WIDTH, height_ratios=(3, 1, 1))
        draw_pan_law(axes[0], self.settings["pan"])
        peak = max(self._track.abs().max().item(), self.audio.abs().max().item(), 1e-6)
        for axis, side, color, channel in zip(
            axes[1:], ("left", "right"), COLORS[:2], self.audio, strict=True
        ):
            draw_waveform(axis, channel[None], self.sample_rate, color)
            axis.set(ylabel=side, ylim=(-peak, peak), xlim=(0, self.audio.shape[-1] / self.sample_rate))
        axes[1].tick_params(labelbottom=False)
        axes[2].set_xlabel("time (s)")
        return figure

    def _sounds(self) -> dict[str, torch.Tensor]:
        return {"": self.audio}

    def _caption(self) -> str:
        gain_db, pan = self.settings["gain_db"], self.settings["pan"]
        law = pan_db(pan)
        left, right = (f"{law[s] + gain_db:+.1f} dB" if law[s] > -200 else "off" for s in ("left", "right"))
        return f"Fader {gain_db:+.1f} dB, pan {pan:.2f}: left {left}, right {right}."


def explore_pan(
    track: torch.Tensor,
    sample_rate: int = SAMPLE_RATE,
    *,
    gain_db: float = 0.0,
    pan: float = 0.5,
    seconds: float = 6.0,
    start_s: float = 0.0,
) -> PanExplorer:
    """Show sliders for the fader and the pan pot of one track, with the pan law and the stereo sound.

    In a live notebook, the sliders control `effects.gain` and `effects.panner`. On a page without a kernel,
    picture and sound have the settings given here. This is true for the other explorers, too.

    Args:
        track: Mono audio (num_samples,) or (1, num_samples), in [-1, 1].
        sample_rate: Sample rate in Hz.
        gain_db: Start value of the fader, -48 to 48 dB.
        pan: Start value of the pan pot, 0 (left) to 1 (right).
        seconds: Length of the excerpt in seconds.
        start_s: Start of the excerpt in seconds.

    Returns:
        `Explorer` with `.settings` (the gain and the pan), `.audio` (the processed excerpt, here (2,
        num_samples)), `.picture()` (a matplotlib figure) and `.controls` (the sliders by name).

    Raises:
        ValueError: For a track that is not mono or not finite, a setting out of range, and a start past the
            end.

    Chapter: Gain and pan

    Example:
        >>> explorer = explore_pan(torch.zeros(44100), pan=0.2)
        >>> explorer.controls["pan"].value = 1.0
        >>> explorer.settings
        {'gain_db': 0.0, 'pan': 1.0}
    """
    return PanExplorer(track, sample_rate, gain_db, pan, seconds, start_s)
