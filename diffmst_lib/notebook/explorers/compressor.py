"""Explorer of the compressor, with a slider per knob.

Chapter: The compressor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...console import effects
from ...console.compressor import compressor_lookahead
from ...options import SAMPLE_RATE
from ...plots.compressor import draw_gain_reduction, draw_static_curves
from ...plots.figure import new_figure
from .base import FIGURE_WIDTH, Explorer, check_names, effect_specs, excerpt_of, sliders

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPRESSOR_START = {"threshold_db": -30.0, "ratio": 4.0}  # the other knobs start neutral


class CompressorExplorer(Explorer):
    """Explorer that `explore_compressor` returns: the six knobs of a compressor."""

    _alt = (
        "The static curve, level in to level out in dB; "
        "below, over time, the peak level before and after and the gain in dB."
    )

    def __init__(
        self,
        track: torch.Tensor,
        sample_rate: int,
        settings: dict[str, float] | None,
        lookahead_samples: int | None,
        seconds: float,
        start_s: float,
    ) -> None:
        if lookahead_samples is None:
            lookahead_samples = compressor_lookahead("track", sample_rate=sample_rate)
        if lookahead_samples < 0:
            raise ValueError(f"lookahead_samples must be 0 or more, got {lookahead_samples}")
        self._track = excerpt_of(track, sample_rate, start_s, seconds)
        self._lookahead_samples = lookahead_samples
        specs = effect_specs("compressor", sample_rate)
        check_names(settings or {}, specs, "a compressor")
        neutral = {name: spec.neutral for name, spec in specs.items()}
        super().__init__(sample_rate, sliders(specs, neutral | COMPRESSOR_START | (settings or {})))

    def _process(self) -> torch.Tensor:
        return effects.compressor(
            self._track[None],
            sample_rate=self.sample_rate,
            lookahead_samples=self._lookahead_samples,
            **self.settings,
        )[0]

    def picture(self) -> Figure:
        """Draw the static curve with its knee and, below, peak level and gain over time."""
        figure, axes = new_figure(3, 6.4, width=FIGURE_WIDTH, height_ratios=(2.6, 1, 1))
        draw_static_curves(axes[0], {"compressor": self.settings})
        axes[1].sharex(axes[2])
        draw_gain_reduction(axes[1:], self._track, self.audio, self.sample_rate)
        axes[1].axhline(
            self.settings["threshold_db"], color="#888888", linestyle=":", linewidth=1, label="threshold"
        )
        axes[1].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
        axes[1].tick_params(labelbottom=False)
        return figure

    def _sounds(self) -> dict[str, torch.Tensor]:
        return {"before": self._track, "after": self.audio}

    def _caption(self) -> str:
        s = self.settings
        return (
            f"Threshold {s['threshold_db']:.1f} dB, ratio {s['ratio']:.1f}:1, "
            f"attack {s['attack_ms']:.3g} ms, release {s['release_ms']:.0f} ms, "
            f"knee {s['knee_db']:.1f} dB, make-up {s['makeup_gain_db']:.1f} dB."
        )


def explore_compressor(
    track: torch.Tensor,
    sample_rate: int = SAMPLE_RATE,
    *,
    settings: dict[str, float] | None = None,
    lookahead_samples: int | None = None,
    seconds: float = 6.0,
    start_s: float = 0.0,
) -> CompressorExplorer:
    """Show sliders for the compressor's six knobs, with its static curve, the gain over time and the sound.

    Args:
        track: Mono or stereo audio (num_samples,) or (channels, num_samples), in [-1, 1].
        sample_rate: Sample rate in Hz.
        settings: Start values of the knobs, as arguments of `effects.compressor`, in the ranges of
            `param_table`. Default: threshold -30 dB, ratio 4, and neutral values for the others.
        lookahead_samples: Look-ahead of the gain in samples. Default: that of the console.
        seconds: Length of the excerpt in seconds.
        start_s: Start of the excerpt in seconds.

    Returns:
        `Explorer` with `.settings` (arguments of the effect), `.audio` (the processed excerpt,
        (channels, num_samples)), `.picture()` (a matplotlib figure) and `.controls` (the sliders by name).

    Raises:
        ValueError: For a track that is not mono or stereo or not finite, a setting that is unknown or out of
            range, and a start past the end.

    Chapter: The compressor

    Example:
        >>> explorer = explore_compressor(torch.zeros(44100), settings={"ratio": 2.0})
        >>> explorer.controls["threshold_db"].value = -20.0
        >>> explorer.settings["threshold_db"], explorer.settings["ratio"]
        (-20.0, 2.0)
    """
    return CompressorExplorer(track, sample_rate, settings, lookahead_samples, seconds, start_s)
