"""Explorer of the equalizer, with sliders for its six bands.

Chapter: The equalizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import torch

from ...console import effects
from ...console.table import EQ_BANDS
from ...options import SAMPLE_RATE
from ...plots.equalizer import draw_bands, six_bands
from ...plots.figure import new_figure
from ...plots.spectra import draw_spectra
from .base import (
    FIGURE_WIDTH,
    Explorer,
    check_names,
    check_range,
    effect_specs,
    excerpt_of,
    log_range,
    sliders,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EQ_KEYS = ("gain_db", "frequency_hz", "q")
EQ_START_DB = (-6.0, 0.0, 0.0, 0.0, 0.0, 6.0)  # a bright sound, since a flat equalizer shows nothing


class EqualizerExplorer(Explorer):
    """Explorer that `explore_equalizer` returns: a menu of six bands and the knobs of the selected one."""

    _alt = (
        "The equalizer's gain in dB over frequency, each band thin and all together thick; "
        "below, the spectra before and after."
    )

    def __init__(
        self,
        track: torch.Tensor,
        sample_rate: int,
        settings: dict[str, Any] | None,
        seconds: float,
        start_s: float,
    ) -> None:
        self._track = excerpt_of(track, sample_rate, start_s, seconds)
        specs = effect_specs("eq", sample_rate)
        self._specs = [{key: specs[f"{band}_{key}"] for key in EQ_KEYS} for band in EQ_BANDS]
        start = {key: [band[key].neutral for band in self._specs] for key in EQ_KEYS} | {
            "gain_db": list(EQ_START_DB)
        }
        check_names(settings or {}, EQ_KEYS, "an equalizer")
        self._settings = six_bands(start | (settings or {}))
        for band, name in enumerate(EQ_BANDS):
            for key in EQ_KEYS:
                check_range(f"{name}_{key}", self._settings[key][0, band].item(), self._specs[band][key])
        self._loading = False
        names = [(name.replace("_", " "), band) for band, name in enumerate(EQ_BANDS)]
        menu = ipywidgets.Dropdown(
            options=names, value=0, description="band", style={"description_width": "9rem"}
        )
        super().__init__(sample_rate, {"band": menu} | sliders(self._specs[0], self._of_band(0)))

    @property
    def settings(self) -> dict[str, torch.Tensor]:
        """The current values (1, 6), as arguments of `effects.parametric_eq`."""
        return {key: values.clone() for key, values in self._settings.items()}

    def _of_band(self, band: int) -> dict[str, float]:
        specs = self._specs[band]  # float32 may put a range end just outside
        return {
            key: min(max(self._settings[key][0, band].item(), specs[key].low), specs[key].high)
            for key in EQ_KEYS
        }

    def _load(self, band: int) -> None:
        """Set the sliders to another band, the ranges first. No sound is computed meanwhile."""
        self._loading = True
        try:
            for key, value in self._of_band(band).items():
                slider = self.controls[key]
                with slider.hold_trait_notifications():
                    if key != "gain_db":
                        for name, bound in log_range(self._specs[band][key]).items():
                            setattr(slider, name, bound)
                    slider.value = value
        finally:
            self._loading = False

    def _moved(self, change: dict[str, Any]) -> None:
        if self._loading:
            return
        if change["owner"] is self.controls["band"]:
            self._load(change["new"])
            return
        for key in EQ_KEYS:
            if change["owner"] is self.controls[key]:
                self._settings[key][0, self.controls["band"].value] = change["new"]
        super()._moved(change)

    def _process(self) -> torch.Tensor:
        return effects.parametric_eq(self._track[None], sample_rate=self.sample_rate, **self._settings)[0]

    def picture(self) -> Figure:
        """Draw each band's response thin, their product thick and, below, the spectra before and after."""
        figure, axes = new_figure(2, 5.0, width=FIGURE_WIDTH)
        draw_bands(axes[0], self._settings, self.sample_rate)
        axes[0].set_xlabel("")
        axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
        draw_spectra(axes[1], self._sounds(), self.sample_rate)
        return figure

    def _sounds(self) -> dict[str, torch.Tensor]:
        return {"before": self._track, "after": self.audio}

    def _caption(self) -> str:
        values = (self._settings[key][0].tolist() for key in EQ_KEYS)
        bands = [
            f"{name.replace('_', ' ')} {gain:+.1f} dB at {hz:.0f} Hz, Q {q:.2f}"
            for name, gain, hz, q in zip(EQ_BANDS, *values, strict=True)
            if gain
        ]
        text = "; ".join(bands) or "all bands flat"
        return f"{text[0].upper()}{text[1:]}."


def explore_equalizer(
    track: torch.Tensor,
    sample_rate: int = SAMPLE_RATE,
    *,
    settings: dict[str, Any] | None = None,
    seconds: float = 6.0,
    start_s: float = 0.0,
) -> EqualizerExplorer:
    """Show a menu of the six bands and sliders for the selected one, with curves, spectra and sound.

    Args:
        track: Mono or stereo audio (num_samples,) or (channels, num_samples), in [-1, 1].
        sample_rate: Sample rate in Hz.
        settings: Start values of the knobs, as arguments of `effects.parametric_eq`: "gain_db",
            "frequency_hz" and "q", six values each, in the ranges of `param_table`. Default: neutral values,
            but gains of -6 dB for the low shelf and +6 dB for the high shelf.
        seconds: Length of the excerpt in seconds.
        start_s: Start of the excerpt in seconds.

    Returns:
        `Explorer` with `.settings` (arguments of the effect), `.audio` (the processed excerpt,
        (channels, num_samples)), `.picture()` (a matplotlib figure) and `.controls` (the sliders by name).

    Raises:
        ValueError: For a track that is not mono or stereo or not finite, a setting that is unknown or out of
            range, and a start past the end.

    Chapter: The equalizer

    Example:
        >>> explorer = explore_equalizer(torch.zeros(44100), settings={"gain_db": [0, 0, 6, 0, 0, 0]})
        >>> explorer.controls["band"].value = 2          # the menu: low shelf, peak 1, peak 2, ...
        >>> explorer.controls["gain_db"].value = -3.0
        >>> explorer.settings["gain_db"]
        tensor([[ 0.,  0., -3.,  0.,  0.,  0.]])
    """
    return EqualizerExplorer(track, sample_rate, settings, seconds, start_s)
