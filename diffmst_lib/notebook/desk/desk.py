"""A mixing desk: the default console in the browser, with knobs, meters and a reference.

Chapter: The console.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets

from ...audio.loudness import (
    ABSOLUTE_GATE,
    BLOCK_S,
    BUS_LUFS,
    MIX_LUFS,
    OFFSET_DB,
    RELATIVE_GATE,
    STEP,
    k_weighting,
    loudness,
)
from ...audio.multitrack import Multitrack, check_stereo
from ...console.compressor import compressor_lookahead
from ...console.mixing_console import MixingConsole
from ...console.params import ConsoleParams
from ...console.specs import ParamSpec, own_effects, takes_stems
from ...console.table import SECTIONS
from ...mixing.result import MixResult
from ...mixing.start import neutral_params
from ...style.bark import BARK_FFT, bark_edges_hz
from ...style.features import BARK_FLOOR, POWER_FLOOR, SIDE_FLOOR, WIDTH_KNEE, audio_features
from ...style.losses import AF_WEIGHTS
from ..players.encoding import as_samples, encode_samples, excerpt_span, headroom_gain

_HERE = Path(__file__).parent
# Each part uses the parts before it.
_PARTS = (
    "dsp",
    "settings",
    "settings_box",
    "history",
    "player",
    "controls",
    "curves",
    "levels",
    "features",
    "analyst",
    "feature_panel",
    "desk",
    "static_page",
)
_SCRIPTS = {part: (_HERE / f"{part}.js").read_text("utf-8") for part in _PARTS}
SCRIPT = "\n".join(_SCRIPTS.values())  # the desk as one ES module
CONTROLS = ("fader", "pan", "width", "eq", "compressor", "master")
COMPRESSIONS = (0.3, 0.4, 0.5, 0.6)  # the first that fits; at 0.6 a mix loses more than 1 dB above 15 kHz
AUDIO_BYTES = 1_300_000  # limit in base64; with script and settings, a desk takes less than 1.5 MB
MASTER = "master_bus"  # the master's name in `bypassed`


class Desk(anywidget.AnyWidget):
    """Mixing desk that `desk` returns.

    `muted`, `soloed` and `bypassed` only change what plays. They are not part of `params`.

    Attributes:
        params: Values of the knobs as `ConsoleParams`. With a live kernel they follow the browser, and an
            assignment moves the knobs. Reading them returns a copy: `p = d.params; p.track("vox")["pan"] =
            0.4; d.params = p`.
        reference: Excerpt of the reference, as loud as the mix at first, (2, num_samples), or None.
        muted: Names of the stems that are silent.
        soloed: Names of the stems that are soloed. With any, all other stems are silent.
        bypassed: Effects that are off, each as (stem or "master_bus", "eq" or "compressor").
        setup: Constants for the browser: tables, strips, lengths.
        settings: Values of the knobs as JSON of `ConsoleParams`, synchronized with the browser.
    """

    _esm = SCRIPT
    _css = _HERE / "desk.css"
    setup = traitlets.Dict(read_only=True).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    muted = traitlets.List(traitlets.Unicode()).tag(sync=True)
    soloed = traitlets.List(traitlets.Unicode()).tag(sync=True)
    bypassed = traitlets.List().tag(sync=True)

    def __init__(
        self,
        song: Multitrack,
        params: ConsoleParams | None = None,
        *,
        reference: torch.Tensor | MixResult | None = None,
        controls: str | Sequence[str] = CONTROLS,
        seconds: float = 8.0,
        start_s: float = 0.0,
        features: bool = False,
    ) -> None:
        if not isinstance(song, Multitrack):
            raise ValueError(f"a desk needs a song, a Multitrack, got {type(song).__name__}")
        controls = (controls,) if isinstance(controls, str) else tuple(controls)
        unknown = [name for name in controls if name not in CONTROLS]
        if unknown or not controls:
            got = ", ".join(map(repr, unknown)) or "none"
            raise ValueError(f"controls must be some of {', '.join(CONTROLS)}, got {got}")
        span = excerpt_span(song.audio.shape[-1], song.sample_rate, start_s, seconds, "song")
        self._audio = song.audio[..., span].detach().cpu().float()
        self._names, self._sample_rate = list(song.names), song.sample_rate
        if MASTER in self._names:
            raise ValueError(
                f"a stem named {MASTER!r} cannot be on a desk, whose master has this name: rename it"
            )
        # A mono stem is sent and played as one channel.
        self._channels = [1 if mono else 2 for mono in song.is_mono()]
        self._stems = [
            as_samples(stem[:channels], f"stem {name!r}")
            for name, stem, channels in zip(self._names, self._audio, self._channels, strict=True)
        ]
        self.params = _as_delivered(song) if params is None else params
        self.reference: torch.Tensor | None = None
        measured = None
        if reference is not None:
            self.reference, measured = self._matched(reference, span)
        description = self._describe(controls, measured)
        self.set_trait("setup", description | ({"features": self._feature_table()} if features else {}))
        super().__init__()  # last: it sends the state to the browser
        self.on_msg(self._answer)

    def _describe(
        self, controls: tuple[str, ...], reference: dict[str, float | None] | None
    ) -> dict[str, Any]:
        """Return the constants for the browser."""
        specs = {section: [asdict(spec) for spec in self.params.specs(section)] for section in SECTIONS}
        return {
            "sample_rate": self._sample_rate,
            "num_samples": self._audio.shape[-1],
            "strips": [
                {"name": name, "channels": channels}
                for name, channels in zip(self._names, self._channels, strict=True)
            ],
            "controls": list(controls),
            "specs": specs,
            "own_effects": [  # which the browser does not play
                effect.name for s in ("track", MASTER) for effect in own_effects(self.params.preset, s)
            ],
            "bypass": {
                effect: _switched_off(self.params.specs("track"), effect) for effect in ("eq", "compressor")
            },
            "lookahead": {  # in samples
                section: compressor_lookahead(section, sample_rate=self._sample_rate)
                for section in ("track", MASTER)
            },
            "levels": {
                "k_weighting": k_weighting(self._sample_rate).tolist(),
                "block_s": BLOCK_S,
                "step": STEP,
                "absolute_gate": ABSOLUTE_GATE,
                "relative_gate": RELATIVE_GATE,
                "offset_db": OFFSET_DB,
            },
            "initial": self.settings,
            "reference": reference,
        }

    def _feature_table(self) -> dict[str, Any]:
        """Return constants and the features of the reference, with which the browser measures the mix."""
        table = {
            "edges_hz": bark_edges_hz().tolist(),
            "bark_fft": BARK_FFT,
            "bark_floor": BARK_FLOOR["default"],
            "side_floor": SIDE_FLOOR,
            "power_floor": POWER_FLOOR,
            "width_knee": WIDTH_KNEE,
            "weights": AF_WEIGHTS,
            "reference": None,
        }
        if self.reference is not None:
            measured = audio_features(self.reference, sample_rate=self._sample_rate)
            table["reference"] = {name: value.numpy().T.tolist() for name, value in measured.items()}
        return table

    def _matched(
        self, reference: torch.Tensor | MixResult, span: slice
    ) -> tuple[torch.Tensor, dict[str, float | None]]:
        """Return the excerpt of the reference at the loudness of the mix, and its measures as sent."""
        sample_rate = getattr(reference, "sample_rate", self._sample_rate)
        if sample_rate != self._sample_rate:
            raise ValueError(f"the reference has {sample_rate} Hz, the song {self._sample_rate} Hz")
        audio, lufs = check_stereo(getattr(reference, "audio", reference), sample_rate=sample_rate)
        start = span.start if audio.shape[-1] >= span.stop else 0
        clip = audio[:, start : start + span.stop - span.start].detach().cpu().float()
        if clip.shape != audio.shape:
            lufs = loudness(clip, sample_rate=sample_rate)
        mix_lufs = loudness(self.mix(), sample_rate=sample_rate)
        if math.isfinite(lufs) and math.isfinite(mix_lufs):
            clip, lufs = clip * 10 ** ((mix_lufs - lufs) / 20), mix_lufs
        measured = {"lufs": lufs, "correlation": _correlation(clip)}
        return clip, {name: value if math.isfinite(value) else None for name, value in measured.items()}

    @property
    def params(self) -> ConsoleParams:
        """A copy of the current values of the knobs."""
        return ConsoleParams.from_json(json.dumps(self.settings))

    @params.setter
    def params(self, params: ConsoleParams) -> None:
        if not isinstance(params, ConsoleParams):
            raise ValueError(f"params must be ConsoleParams, got {type(params).__name__}")
        params.check()
        self.settings = json.loads(params.to_json())

    @traitlets.validate("settings")
    def _check_settings(self, proposal: dict[str, Any]) -> dict[str, Any]:
        settings = proposal["value"]
        params = ConsoleParams.from_json(json.dumps(settings))
        if not takes_stems(params.preset):
            raise ValueError(f"a desk plays consoles of stems, got parameters of preset {params.preset}")
        initial = self.setup.get("initial", settings)["preset"]
        if params.preset != initial:
            raise ValueError(
                f"this desk has a console of preset {initial}, got parameters of {params.preset}"
            )
        if params.sample_rate != self._sample_rate:
            raise ValueError(
                f"parameters for {params.sample_rate} Hz do not fit a song at {self._sample_rate} Hz"
            )
        strangers = [name for name in params.names if name not in self._names]
        missing = [name for name in self._names if name not in params.names]
        if strangers or missing:
            what = f"have none for {missing[0]!r}" if missing else f"are for {strangers[0]!r}, too"
            raise ValueError(f"parameters {what}; the stems are {', '.join(self._names)}")
        return settings | {"tracks": {name: settings["tracks"][name] for name in self._names}}

    @traitlets.validate("muted", "soloed")
    def _check_switches(self, proposal: dict[str, Any]) -> list[str]:
        unknown = [name for name in proposal["value"] if name not in self._names]
        if unknown:
            raise ValueError(f"no stem {unknown[0]!r}; the stems are {', '.join(self._names)}")
        return proposal["value"]

    @traitlets.validate("bypassed")
    def _check_bypassed(self, proposal: dict[str, Any]) -> list[list[str]]:
        pairs = [list(pair) for pair in proposal["value"]]
        for pair in pairs:
            if len(pair) != 2 or pair[0] not in (*self._names, MASTER) or pair[1] not in ("eq", "compressor"):
                raise ValueError(f"cannot bypass {pair}: expected (stem or {MASTER!r}, 'eq' or 'compressor')")
        return pairs

    def mix(self) -> torch.Tensor:
        """Render the excerpt with the library's console and these knobs.

        This is what the browser plays, plus the effects bus. As in the browser, muted stems are silent. So
        are stems that are not soloed, when others are. Bypassed effects are neutral.

        Returns:
            Mix (2, num_samples), float32. It is not limited, so its peak may exceed 1.

        Example:
            >>> import torch
            >>> from diffmst_lib import Multitrack
            >>> desk(Multitrack(["kick"], torch.zeros(1, 2, 44100)), seconds=0.5).mix().shape
            torch.Size([2, 22050])
        """
        params, audio = self.params, self._audio.clone()
        for row, name in enumerate(self._names):
            if name in self.muted or (self.soloed and name not in self.soloed):
                audio[row] = 0.0
        for name, effect in self.bypassed:
            strip, section = (params.master_bus, MASTER) if name == MASTER else (params.track(name), "track")
            for knob, neutral in _switched_off(params.specs(section), effect).items():
                strip[knob] = neutral
        return MixingConsole(self._sample_rate, params.preset).render(audio, params)

    @cached_property
    def _files(self) -> tuple[list[bytes], list[float]]:
        """Encode stems and reference as MP3. Return the files and the factors that undo `headroom_gain`."""
        clips = list(self._stems)
        if self.reference is not None:
            clips.append(as_samples(self.reference, "reference"))
        gains = [headroom_gain(float(np.abs(clip).max())) for clip in clips]
        for compression in COMPRESSIONS:
            files = [
                encode_samples(clip * gain, self._sample_rate, compression=compression)
                for clip, gain in zip(clips, gains, strict=True)
            ]
            if 4 / 3 * sum(map(len, files)) <= AUDIO_BYTES:
                break
        return files, [1 / gain for gain in gains]

    def _answer(self, _widget: anywidget.AnyWidget, message: Any, _buffers: list[Any]) -> None:
        # The audio is sent when a browser requests it. It is not a trait, since a notebook saves every trait.
        if message == {"type": "load"}:
            files, scales = self._files
            self.send({"type": "audio", "scales": scales}, buffers=files)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return data | {"text/html": self._repr_html_()}, metadata

    def _repr_html_(self) -> str:
        """Return the HTML for a page without a kernel: the same module, with its state in the page."""
        files, scales = self._files
        state = {key: getattr(self, key) for key in ("setup", "settings", "muted", "soloed", "bypassed")}
        state |= {"scales": scales, "audio": [base64.b64encode(file).decode() for file in files]}
        stems = html.escape(", ".join(self._names))
        unused = () if "features" in self.setup else ("features", "feature_panel")
        script = "\n".join(text for part, text in _SCRIPTS.items() if part not in unused)
        script = re.sub(
            r"(?m)^ *(//.*\n)?", "", script
        )  # no indents and comments: a page holds several desks
        return (
            f"<style>{(_HERE / 'desk.css').read_text('utf-8')}</style>"
            f'<div class="dm-desk" data-static>A mixing desk for {stems}: it needs JavaScript.</div>'
            f'<script type="application/json">{json.dumps(state).replace("<", chr(92) + "u003c")}</script>'
            f'<script type="module">{script}\nrenderStatic();\n</script>'
        )


def _as_delivered(song: Multitrack) -> ConsoleParams:
    """Return the knobs with which a song sounds as delivered: its plain sum, at -16 LUFS."""
    params = neutral_params(song)
    params.master_bus["output_gain_db"] = MIX_LUFS - BUS_LUFS
    return params


def _correlation(audio: torch.Tensor) -> float:
    """Return the correlation of left and right, NaN where one of them is silent."""
    left, right = audio.double()
    return float(left @ right / (left.norm() * right.norm()))


def _switched_off(specs: Sequence[ParamSpec], effect: str) -> dict[str, float]:
    """Return the knobs that switch off an effect, {name: neutral value}. Its other knobs can stay."""
    return {
        spec.name: spec.neutral
        for spec in specs
        if spec.effect == effect and (spec.name.endswith("gain_db") or spec.name == "ratio")
    }


def desk(
    song: Multitrack,
    params: ConsoleParams | None = None,
    *,
    reference: torch.Tensor | MixResult | None = None,
    controls: str | Sequence[str] = CONTROLS,
    seconds: float = 8.0,
    start_s: float = 0.0,
    features: bool = False,
) -> Desk:
    """Show a mixing desk: the default console plays in the browser while you turn its knobs.

    The desk plays (Web Audio) in a live notebook and on a static page. Each stem has a strip: trim, six-band
    equalizer, compressor, width, pan, fader, mute and solo. The master bus follows. The dots of an equalizer
    stand at the frequency and the gain of their bands, and can be dragged; the wheel turns their Q. Ctrl+Z
    undoes. "Settings" holds the JSON of `ConsoleParams`, to copy, to load and to paste into
    `ConsoleParams.from_json`.

    The desk shows loudness (LUFS) and correlation of the mix, measured over the whole excerpt. The reference
    plays as loud as the mix, also while knobs are turned.

    The console runs at the song's sample rate. Stems above 48 kHz are sent to it as MP3 at 44.1 or 48 kHz.
    The browser does not play the effects bus, nor the effects of a registered console (`register_console`),
    and says so; their knobs stay in `.params`, and `.mix()` renders them.

    Args:
        song: Song with the stems.
        params: Start values of the knobs for the song's stems, of a console of stems. Default: the song as
            delivered, its plain sum at -16 LUFS.
        reference: Stereo audio (2, num_samples) at the song's sample rate, or a `MixResult`, to compare with.
            It plays from `start_s` on, or from its own start if it is too short, at the loudness (LUFS) of
            the mix.
        controls: Controls to show, some of "fader", "pan", "width", "eq", "compressor", "master". Hidden
            effects still work.
        seconds: Length of the excerpt in seconds. Nine stereo stems of 8 s take about a megabyte.
        start_s: Start of the excerpt in seconds.
        features: Whether to show a panel with the `audio_features` of the whole excerpt. It follows every
            knob while it is turned, even before playing. With a reference, it also shows the reference's
            features, at the loudness of the mix with `params`, and the weighted terms of the
            `audio_feature_loss`. The mix is measured at the level at which it plays or, with a button, at the
            reference's power. The panel measures stems decoded from MP3. Levels may differ from those of
            `.mix()` by about 0.1 dB, Bark bands by 0.5 dB.

    Returns:
        Desk, which a notebook shows, with `.params`, `.mix()`, `.muted`, `.soloed` and `.bypassed`.

    Raises:
        ValueError: For a song that is not a Multitrack or has a stem named "master_bus", parameters that do
            not fit the song, a reference that is not stereo, silent or not finite, unknown controls, and a
            start past the end.

    Example:
        >>> import torch
        >>> from diffmst_lib import Multitrack
        >>> d = desk(Multitrack(["kick", "vox"], 0.1 * torch.randn(2, 2, 44100)))
        >>> p = d.params
        >>> p.track("vox")["fader_db"] = -6.0
        >>> d.params = p
        >>> d.params.track("vox")["fader_db"]
        -6.0

        With a panel of features, whose numbers are those of the library:

        >>> from diffmst_lib import audio_features
        >>> song = Multitrack(["kick", "vox"], 0.1 * torch.randn(2, 2, 44100))
        >>> d = desk(song, reference=0.1 * torch.randn(2, 44100), controls=("fader", "pan"), features=True)
        >>> audio_features(d.mix())["stereo_width"] < 2
        tensor(True)
    """
    return Desk(
        song,
        params,
        reference=reference,
        controls=controls,
        seconds=seconds,
        start_s=start_s,
        features=features,
    )
