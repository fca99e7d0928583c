"""Base class of the explorers: controls, a picture and players, also without a kernel.

Chapters: Gain and pan, The equalizer, The compressor, The console.
"""

from __future__ import annotations

import html
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import torch

from ...console.table import ParamSpec, param_table
from ...plots.figure import figure_html
from ...plots.panner import PAN_LABEL
from ..players.encoding import as_samples, excerpt_span
from ..players.sounds import listen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HERE = Path(__file__).parent
VIEW = "application/vnd.jupyter.widget-view+json"
MATCHED_LUFS = -20.0
IMAGE_LABELS = {"width": "width (0 mono, 1 as it is)", "pan": PAN_LABEL}
FIGURE_WIDTH = 6.0  # inches; narrower than a chapter's figures, for the screens of telephones


class _Screen(anywidget.AnyWidget):
    _esm = _HERE / "explorer.js"


class Explorer(ABC):
    """Controls of a function of the library, with a picture and players. A notebook shows it.

    A page without a kernel shows the picture and the sounds for the last settings.

    Attributes:
        controls: Controls of ipywidgets by name. `explorer.controls["pan"].value = 0.2` moves a slider.
        box: Controls and the screen below them, an `ipywidgets.VBox`. Its last child is the screen.
        sample_rate: Sample rate in Hz.
    """

    _alt = ""  # what the picture shows, for any settings

    def __init__(
        self, sample_rate: int, controls: dict[str, ipywidgets.Widget], *, matched: bool = True
    ) -> None:
        self.sample_rate = sample_rate
        self.controls = dict(controls)
        if matched:
            self.controls["match_loudness"] = ipywidgets.Checkbox(
                True, description="same loudness", indent=False
            )
        self._audio: torch.Tensor | None = None
        self._watched = False  # nothing is computed before a browser shows the explorer
        self._screen = _Screen()
        self._screen.on_msg(self._answer)
        self.box = ipywidgets.VBox([*self.controls.values(), self._screen])  # the order on the screen
        for control in self.controls.values():
            control.observe(self._moved, "value")

    @property
    def settings(self) -> dict[str, Any]:
        """The current values, as keyword arguments of the library's function."""
        values = {name: control.value for name, control in self.controls.items() if name != "match_loudness"}
        return {name: value if isinstance(value, bool) else round(value, 6) for name, value in values.items()}

    @property
    def audio(self) -> torch.Tensor:
        """The excerpt (channels, num_samples), processed with the current settings."""
        if self._audio is None:
            with torch.no_grad():
                self._audio = self._process()
        return self._audio

    @abstractmethod
    def picture(self) -> Figure:
        """Draw the current settings."""

    @abstractmethod
    def _process(self) -> torch.Tensor:
        """Process the excerpt with the current settings."""

    @abstractmethod
    def _sounds(self) -> dict[str, torch.Tensor]:
        """Return the sounds of the players by label."""

    @abstractmethod
    def _caption(self) -> str:
        """Describe the current settings in one line."""

    @property
    def _match(self) -> bool:
        return "match_loudness" in self.controls and self.controls["match_loudness"].value

    def _moved(self, change: dict[str, Any]) -> None:
        self._audio = None
        if self._watched:
            self._show()

    def _answer(self, _widget: _Screen, message: Any, _buffers: list[Any]) -> None:
        if message == {"type": "ready"}:
            self._watched = True
            self._show()

    def _show(self) -> None:
        # Sent as a message: a notebook saves every trait and would store the audio a second time.
        try:
            page = self._page()
        except Exception as error:  # some front ends do not show the error of a callback
            self._screen.send({"type": "error", "text": f"{type(error).__name__}: {error}"})
            raise
        self._screen.send({"type": "show", "html": page})

    def _page(self, hint: str = "") -> str:
        """Return picture, caption and players as HTML."""
        caption = self._caption()
        picture = figure_html(self.picture(), f"{self._alt} {caption}")
        players = listen(
            self._sounds(),
            self.sample_rate,
            seconds=self.audio.shape[-1] / self.sample_rate,
            match_lufs=MATCHED_LUFS if self._match else None,
        )
        return (
            f"<style>{(_HERE / 'explorer.css').read_text('utf-8')}</style>"
            f'<div class="dm-explore">{picture}<p>{html.escape(caption)}</p>{players.html}{hint}</div>'
        )

    def _repr_html_(self) -> str:
        return self._page("<p><small>Run this page (Colab or Jupyter) to change the settings.</small></p>")

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = self._screen._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        view = data[VIEW] | {"model_id": self.box.model_id}
        return data | {VIEW: view, "text/plain": repr(self), "text/html": self._repr_html_()}, metadata

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._caption()})"


def effect_specs(effect: str, sample_rate: int) -> dict[str, ParamSpec]:
    """Return the rows of the parameter table for one effect of a strip, by name."""
    specs = param_table("track", sample_rate=sample_rate)
    return {spec.name: spec for spec in specs if spec.effect == effect}


def sliders(specs: dict[str, ParamSpec], values: dict[str, float]) -> dict[str, ipywidgets.Widget]:
    """Make one slider per knob with its range and scale, {name: slider}. It takes effect when released."""
    layout, style = ipywidgets.Layout(width="100%", max_width="36rem"), ipywidgets.FloatSlider().style
    style.description_width = "9rem"
    made = {}
    for name, spec in specs.items():
        check_range(name, values[name], spec)
        log = spec.scale == "log"
        digits = 2 if spec.high - spec.low <= 1 else 1
        options = (
            log_range(spec) | {"readout_format": ".3r"}
            if log
            else {"min": spec.low, "max": spec.high, "step": 10.0**-digits, "readout_format": f".{digits}f"}
        )
        make = ipywidgets.FloatLogSlider if log else ipywidgets.FloatSlider
        made[name] = make(
            value=values[name],
            description=_label(name, spec.unit),
            continuous_update=False,
            layout=layout,
            style=style,
            **options,
        )
    return made


def log_range(spec: ParamSpec) -> dict[str, float]:
    """Return the range of a logarithmic slider as exponents."""
    low, high = math.log10(spec.low), math.log10(spec.high)
    return {"min": low, "max": high, "step": (high - low) / 200}


def check_range(name: str, value: float, spec: ParamSpec) -> None:
    """Raise ValueError when the value of a knob is out of range."""
    if not spec.low <= value <= spec.high:  # also raises for NaN
        raise ValueError(f"{name} = {value:g} is outside {spec.low:g} to {spec.high:g} {spec.unit}".rstrip())


def check_names(settings: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise ValueError when a setting is not one of the known ones."""
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ValueError(f"no setting {unknown[0]!r}: {what} has {', '.join(known)}")


def excerpt_of(track: torch.Tensor, sample_rate: int, start_s: float, seconds: float) -> torch.Tensor:
    """Return the excerpt (channels, num_samples) of a mono or stereo track."""
    samples = as_samples(track, "track")
    span = excerpt_span(len(samples), sample_rate, start_s, seconds, "track")
    return torch.from_numpy(samples[span].T.copy())


def _label(name: str, unit: str) -> str:
    if name in IMAGE_LABELS:
        return IMAGE_LABELS[name]
    words = name.removesuffix("_" + unit.lower()).replace("_", " ") if unit else name.upper()
    return f"{words} ({unit})" if unit else words
