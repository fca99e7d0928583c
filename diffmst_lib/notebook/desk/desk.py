"""A mixing desk: the default console in the browser, with knobs, meters and a reference.

Chapter: The console.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets

from ...audio.loudness import BUS_LUFS, MIX_LUFS, loudest_window, loudness
from ...audio.multitrack import Multitrack, check_stereo
from ...console.mixing_console import MixingConsole
from ...console.params import ConsoleParams
from ...console.specs import takes_stems
from ...console.table import OFF_DB
from ...mixing.result import MixResult
from ...mixing.start import neutral_params
from ..players.encoding import as_samples, encode_samples, excerpt_span, headroom_gain
from .constants import (
    EFFECTS,
    MASTER,
    console_constants,
    feature_constants,
    loudest_start,
    measured_levels,
    plain_sum_levels,
    remark,
    switched_off,
)
from .page import SCRIPT, STYLE, static_page

__all__ = ["SCRIPT", "Desk", "desk"]

CONTROLS = ("fader", "pan", "width", "eq", "compressor", "master")
COMPRESSIONS = (0.3, 0.4, 0.5, 0.6)  # the first that fits; at 0.6 a mix loses more than 1 dB above 15 kHz
AUDIO_BYTES = 1_300_000  # limit in base64; with script and settings, a desk takes less than 1.5 MB


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
    _css = STYLE
    setup = traitlets.Dict(read_only=True).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    muted = traitlets.List(traitlets.Unicode()).tag(sync=True)
    soloed = traitlets.List(traitlets.Unicode()).tag(sync=True)
    bypassed = traitlets.List().tag(sync=True)

    def __init__(
        self,
        song: Multitrack | MixResult,
        params: ConsoleParams | None = None,
        *,
        reference: torch.Tensor | MixResult | None = None,
        controls: str | Sequence[str] = CONTROLS,
        seconds: float = 8.0,
        start_s: float | None = None,
        features: bool = False,
    ) -> None:
        result = song if isinstance(song, MixResult) else None
        song = result.song if result else song
        if not isinstance(song, Multitrack):
            raise ValueError(f"a desk needs a song, a Multitrack, or a mix of one, got {type(song).__name__}")
        controls = (controls,) if isinstance(controls, str) else tuple(controls)
        unknown = [name for name in controls if name not in CONTROLS]
        if unknown or not controls:
            got = ", ".join(map(repr, unknown)) or "none"
            raise ValueError(f"controls must be some of {', '.join(CONTROLS)}, got {got}")
        begins_s = (loudest_start(result, seconds) if result else 0.0) if start_s is None else start_s
        span = excerpt_span(song.audio.shape[-1], song.sample_rate, begins_s, seconds, "song")
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
        if params is None:
            params = result.params if result else _as_delivered(song)
        self.params = params
        whole = result.reference if result and reference is None else reference
        self.reference: torch.Tensor | None = None
        measured = None
        if whole is not None:
            from_loudest = result is not None and reference is None  # another song: there is no same place
            self.reference, measured = self._matched(whole, span, from_loudest)
        self._result = result or MixResult(
            torch.zeros(2, 1),  # rendered when it is asked for
            self.params,
            song,
            reference=getattr(whole, "audio", whole),
        )
        description = self._describe(controls) | {"reference": measured}
        if result:
            description["plain_sum"] = plain_sum_levels(self._audio.sum(dim=0), self.mix(), self._sample_rate)
            description["remark"] = remark(result)
        if features:
            description["features"] = feature_constants(self.reference, self._sample_rate)
        self.set_trait("setup", description)
        super().__init__()  # last: it sends the state to the browser
        self.on_msg(self._answer)

    def _describe(self, controls: tuple[str, ...]) -> dict[str, Any]:
        """Return the constants for the browser."""
        return console_constants(self.params) | {
            "sample_rate": self._sample_rate,
            "num_samples": self._audio.shape[-1],
            "strips": [
                {"name": name, "channels": channels}
                for name, channels in zip(self._names, self._channels, strict=True)
            ],
            "controls": list(controls),
            "initial": self.settings,
        }

    def _matched(
        self, reference: torch.Tensor | MixResult, span: slice, from_loudest: bool
    ) -> tuple[torch.Tensor, dict[str, float | None]]:
        """Return the excerpt of the reference at the loudness of the mix, and its measures as sent."""
        sample_rate = getattr(reference, "sample_rate", self._sample_rate)
        if sample_rate != self._sample_rate:
            raise ValueError(f"the reference has {sample_rate} Hz, the song {self._sample_rate} Hz")
        audio, lufs = check_stereo(getattr(reference, "audio", reference), sample_rate=sample_rate)
        length = span.stop - span.start
        start = span.start if audio.shape[-1] >= span.stop else 0
        if from_loudest:
            start = loudest_window(audio, length / sample_rate, sample_rate=sample_rate)
        clip = audio[:, start : start + length].detach().cpu().float()
        if clip.shape != audio.shape:
            lufs = loudness(clip, sample_rate=sample_rate)
        mix_lufs = loudness(self.mix(), sample_rate=sample_rate)
        if math.isfinite(lufs) and math.isfinite(mix_lufs):
            clip, lufs = clip * 10 ** ((mix_lufs - lufs) / 20), mix_lufs
        return clip, measured_levels(clip, sample_rate, lufs)

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
            if len(pair) != 2 or pair[0] not in (*self._names, MASTER) or pair[1] not in EFFECTS:
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
        params, audio = self._bypassing(self.params), self._audio.clone()
        for row, name in enumerate(self._names):
            if not self._sounds(name):
                audio[row] = 0.0
        return MixingConsole(self._sample_rate, params.preset).render(audio, params)

    def to_result(self, *, switches: bool = False) -> MixResult:
        """Mix the whole song with the knobs as they are on the desk.

        Args:
            switches: Whether mute, solo and bypass count as well: what is silent on the desk has its fader off,
                what is bypassed is neutral.

        Returns:
            The result that the desk shows, with what was moved on it as an edit: `undo` leads back. With nothing
            moved, that result itself. Of a mix with sections, what was moved is moved in all of them.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
            >>> d = desk(dm.equal_loudness(song))
            >>> p = d.params
            >>> p.track("vox_lead")["pan"] = 0.4
            >>> d.params = p
            >>> d.to_result().edits[["strip", "knob", "after"]].values.tolist()
            [['vox_lead', 'pan', 0.4]]
        """
        params = self.params
        if switches:
            params = self._bypassing(params)
            for name in self._names:
                if not self._sounds(name):
                    params.track(name)["fader_db"] = OFF_DB
        if self._result.audio.any() and params.to_json() == self._result.params.to_json():
            return self._result
        return self._result.with_params(params)

    def _sounds(self, name: str) -> bool:
        """Tell whether a stem is heard: not muted, and soloed where any is."""
        return name not in self.muted and (not self.soloed or name in self.soloed)

    def _bypassing(self, params: ConsoleParams) -> ConsoleParams:
        """Return a copy in which bypassed effects are neutral."""
        params = params.clone()
        for name, effect in self.bypassed:
            strip, section = (params.master_bus, MASTER) if name == MASTER else (params.track(name), "track")
            for knob, neutral in switched_off(params.specs(section), effect).items():
                strip[knob] = neutral
        return params

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
        return static_page(state, self._names)


def _as_delivered(song: Multitrack) -> ConsoleParams:
    """Return the knobs with which a song sounds as delivered: its plain sum, at -16 LUFS."""
    params = neutral_params(song)
    params.master_bus["output_gain_db"] = MIX_LUFS - BUS_LUFS
    return params


def desk(
    song: Multitrack | MixResult,
    params: ConsoleParams | None = None,
    *,
    reference: torch.Tensor | MixResult | None = None,
    controls: str | Sequence[str] = CONTROLS,
    seconds: float = 8.0,
    start_s: float | None = None,
    features: bool = False,
) -> Desk:
    """Show a mixing desk: the default console plays in the browser while you turn its knobs.

    The desk plays (Web Audio) in a live notebook and on a static page. Each stem has a strip: trim, six-band
    equalizer, compressor, width, pan, fader, mute and solo. The master bus follows. The dots of an equalizer
    stand at the frequency and the gain of their bands, and can be dragged; the wheel turns their Q. Ctrl+Z
    undoes. "Settings" holds the JSON of `ConsoleParams`, to copy, to load and to paste into
    `ConsoleParams.from_json`.

    The desk shows loudness (LUFS) and correlation of the mix, measured over the whole excerpt. The reference
    plays as loud as the mix, also while knobs are turned. A desk of a `MixResult` plays the plain sum of the
    stems as well, and what is moved on it comes back with `.to_result()`.

    The console runs at the song's sample rate. Stems above 48 kHz are sent to it as MP3 at 44.1 or 48 kHz.
    The browser does not play the effects bus, nor the effects of a registered console (`register_console`),
    and says so; their knobs stay in `.params`, and `.mix()` renders them.

    Args:
        song: Song with the stems, or a `MixResult` of it. A mix with sections is shown with the console of its
            loudest.
        params: Start values of the knobs for the song's stems, of a console of stems. Default: those of the
            result, or the song as delivered, its plain sum at -16 LUFS.
        reference: Stereo audio (2, num_samples) at the song's sample rate, or a `MixResult`, to compare with.
            It plays from `start_s` on, or from its own start if it is too short, at the loudness (LUFS) of
            the mix. Default: the record of the result, from its loudest part.
        controls: Controls to show, some of "fader", "pan", "width", "eq", "compressor", "master". Hidden
            effects still work.
        seconds: Length of the excerpt in seconds. Nine stereo stems of 8 s take about a megabyte.
        start_s: Start of the excerpt in seconds. Default: the start of the song; of a result its loudest part.
        features: Whether to show a panel with the `audio_features` of the whole excerpt. It follows every
            knob while it is turned, even before playing. With a reference, it also shows the reference's
            features, at the loudness of the mix with `params`, and the weighted terms of the
            `audio_feature_loss`. The mix is measured at the level at which it plays or, with a button, at the
            reference's power. The panel measures stems decoded from MP3. Levels may differ from those of
            `.mix()` by about 0.1 dB, Bark bands by 0.5 dB.

    Returns:
        Desk, which a notebook shows, with `.params`, `.mix()`, `.to_result()`, `.muted`, `.soloed` and
        `.bypassed`.

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
