"""Explorer of a console, with check boxes that switch off its parts.

Chapter: The console.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ipywidgets
import torch

from ...audio.loudness import normalize_loudness
from ...audio.multitrack import Multitrack
from ...console.mixing_console import MixingConsole, uses_fx_bus
from ...console.params import ConsoleParams
from ...console.specs import takes_stems
from ...plots.spectra import plot_bark
from ...style.features import stereo_width
from .base import MATCHED_LUFS, Explorer, check_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {"eq": "equalizer"}  # effects that have another name on their box than in the parameter table


class BypassExplorer(Explorer):
    """Explorer that `explore_bypass` returns: check boxes that switch off parts of a console."""

    _alt = "Bark spectra of mid and side of the mix, with everything on and as set."

    def __init__(
        self, song: Multitrack, params: ConsoleParams, off: Sequence[str], seconds: float, start_s: float
    ) -> None:
        if not isinstance(song, Multitrack):
            raise ValueError(f"explore_bypass needs a song, a Multitrack, got {type(song).__name__}")
        if not isinstance(params, ConsoleParams):
            raise ValueError(f"params must be ConsoleParams, got {type(params).__name__}")
        excerpt = song.excerpt(start_s, seconds)
        # A stem may be stereo in the song and mono in the excerpt, so the whole song says which channels it has.
        tracks = song.audio if takes_stems(params.preset) else song.as_channels()[1]
        first = round(start_s * song.sample_rate)
        self._tracks = tracks[..., first : first + excerpt.audio.shape[-1]]
        self._all = params.clone()
        self._console = MixingConsole(song.sample_rate, preset=params.preset)
        self._everything = self._render(self._all)
        parts = dict.fromkeys(PARTS.get(spec.effect, spec.effect) for spec in params.specs("track"))
        boxes = {
            part: ipywidgets.Checkbox(part not in off, description=part.replace("_", " "), indent=False)
            for part in (*parts, "master_bus")
            if part != "fx_bus" or uses_fx_bus(params)
        }
        check_names(dict.fromkeys(off), boxes, "the console")
        super().__init__(song.sample_rate, boxes)

    @property
    def params(self) -> ConsoleParams:
        """The current parameters of the console, with neutral values for the parts that are off."""
        params = self._all.clone()
        neutral = ConsoleParams.neutral(params.names, preset=params.preset, sample_rate=params.sample_rate)
        is_off = [
            not self.settings.get(PARTS.get(spec.effect, spec.effect), True) for spec in params.specs("track")
        ]
        params.tracks[:, is_off] = neutral.tracks[:, is_off]
        if not self.settings["master_bus"]:
            params.master_bus_values = neutral.master_bus_values
        return params

    def _render(self, params: ConsoleParams) -> torch.Tensor:
        return self._console.render(self._tracks, params)

    def _process(self) -> torch.Tensor:
        return self._render(self.params)

    def picture(self) -> Figure:
        """Draw the Bark spectra of the mix with everything on and as set, at the loudness of the players."""
        mixes = self._sounds()
        if self._match:
            mixes = {
                name: normalize_loudness(mix, MATCHED_LUFS, sample_rate=self.sample_rate)
                for name, mix in mixes.items()
            }
        return plot_bark(mixes, sample_rate=self.sample_rate)

    def _sounds(self) -> dict[str, torch.Tensor]:
        return {"everything on": self._everything, "as set": self.audio}

    def _caption(self) -> str:
        off = [part.replace("_", " ") for part, on in self.settings.items() if not on]
        widths = [stereo_width(mix).item() for mix in (self.audio, self._everything)]
        return (
            f"Off: {', '.join(off) or 'nothing'}. "
            f"Stereo width {widths[0]:.3f}, with everything on {widths[1]:.3f}."
        )


def explore_bypass(
    song: Multitrack,
    params: ConsoleParams,
    *,
    off: Sequence[str] = ("equalizer",),
    seconds: float = 6.0,
    start_s: float = 0.0,
) -> BypassExplorer:
    """Show check boxes that switch off parts of a console, with Bark spectra and the sound of the mix.

    A part that is off has its neutral values from `param_table`: trim and fader at 0 dB, a flat equalizer,
    ratio 1, width 1, pan in the middle, no sends. The master bus is one part.

    Args:
        song: Song with the stems.
        params: Parameters of the console for the song's stems.
        off: Parts that are off at the start: some of "gain", "equalizer", "compressor", "width", "panner",
            "fx_bus" (when the console uses it) and "master_bus". A console of preset "reference" has no width.
        seconds: Length of the excerpt in seconds.
        start_s: Start of the excerpt in seconds.

    Returns:
        `Explorer` as from `explore_pan`. `.settings` says which parts are on, `.params` are the current
        parameters.

    Raises:
        ValueError: For a song that is not a `Multitrack`, parameters that are not `ConsoleParams` or do not
            fit the song, an unknown part, and a start past the end.

    Chapter: The console

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium")
        >>> params = dm.ConsoleParams.neutral(song.names)
        >>> for name in song.names:
        ...     params.track(name)["width"] = 0.0
        >>> explorer = explore_bypass(song, params, off=(), seconds=1.0)
        >>> explorer.audio[0].equal(explorer.audio[1])      # without a side, both channels are the same
        True
        >>> explorer.controls["width"].value = False
        >>> explorer.audio[0].equal(explorer.audio[1])
        False
    """
    return BypassExplorer(song, params, off, seconds, start_s)
