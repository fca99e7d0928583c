"""A fader board: stems in the browser, gains in Python."""

import base64
import html
import json
from functools import cached_property
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets

from diffmst_lib.widgets.encoding import STEM_COMPRESSION, as_samples, encode_samples, excerpt_span, headroom_gain

_HERE = Path(__file__).parent
MIN_DB, MAX_DB = -48.0, 12.0


class Faders(anywidget.AnyWidget):
    """The board that `faders` returns.

    gains_db: {stem: gain in dB, -48 to 12}; muted, soloed: lists of stems. With a live kernel they
    follow the board in the browser, and assigning moves the board: `board.gains_db = {"vox": -3.0}`
    (stems left out keep their gain; changing the dict in place is not seen).

    A stem sounds when it is not muted and, if any stem is soloed, is soloed itself.
    """

    _esm = _HERE / "faders.js"
    _css = _HERE / "faders.css"
    names = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    initial_gains_db = traitlets.Dict(read_only=True).tag(sync=True)
    gains_db = traitlets.Dict().tag(sync=True)
    muted = traitlets.List(traitlets.Unicode()).tag(sync=True)
    soloed = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, stems, sample_rate=44100, *, gains_db=None, seconds=8.0, start_s=0.0):
        if not stems:
            raise ValueError("stems is empty: give at least one")
        self._stems = {str(name): as_samples(audio, f"stem {name!r}") for name, audio in stems.items()}
        self._sample_rate = sample_rate
        self._num_samples = max(len(samples) for samples in self._stems.values())
        self._span = excerpt_span(self._num_samples, sample_rate, start_s, seconds, "stems")
        self.gains_db = dict.fromkeys(self._stems, 0.0) | (gains_db or {})
        self.set_trait("names", list(self._stems))
        self.set_trait("initial_gains_db", dict(self.gains_db))
        super().__init__()  # last: it sends the state to the browser
        self.on_msg(self._answer)

    @traitlets.validate("gains_db")
    def _check_gains(self, proposal):
        gains = {name: float(gain) for name, gain in proposal["value"].items()}
        self._check_names(gains)
        for name, gain in gains.items():
            if not MIN_DB <= gain <= MAX_DB:
                raise ValueError(f"gain of stem {name!r} is {gain} dB: expected {MIN_DB:g} to {MAX_DB:g}")
        return self.gains_db | gains

    @traitlets.validate("muted", "soloed")
    def _check_switches(self, proposal):
        self._check_names(proposal["value"])
        return proposal["value"]

    def _check_names(self, names):
        unknown = [name for name in names if name not in self._stems]
        if unknown:
            raise ValueError(f"no stem {unknown[0]!r}; the stems are {', '.join(self._stems)}")

    def mix(self):
        """Return the mix that the board makes of the whole stems, not of their MP3 excerpts.

        Returns:
            float32 tensor (2, num_samples), num_samples of the longest stem: the sum of the stems
            that sound, each times 10^(gain_db / 20); a mono stem goes to both channels unchanged.
            Not limited, so the peak may exceed 1.

        Example:
            >>> import torch
            >>> faders({"kick": torch.ones(1, 4)}, gains_db={"kick": -20.0}).mix().shape
            torch.Size([2, 4])
        """
        mix = torch.zeros(2, self._num_samples)
        for name, samples in self._stems.items():
            if name not in self.muted and (not self.soloed or name in self.soloed):
                gain = 10 ** (self.gains_db[name] / 20)
                mix[:, : len(samples)] += gain * torch.from_numpy(samples).T  # (1 or 2, T) -> (2, T)
        return mix

    @cached_property
    def _files(self):
        """Return the excerpts as MP3 files, and the factors that undo what kept each from clipping."""
        files, scales = [], []
        for samples in self._stems.values():
            clip = samples[self._span]
            missing = self._span.stop - self._span.start - len(clip)  # a short stem ends in silence
            clip = np.pad(clip, ((0, missing), (0, 0)))
            gain = headroom_gain(float(np.abs(clip).max()))
            files.append(encode_samples(clip * gain, self._sample_rate, compression=STEM_COMPRESSION))
            scales.append(1 / gain)
        return files, scales

    def _answer(self, _widget, message, _buffers):
        # The audio travels when a browser asks for it and is no trait: an executed notebook saves
        # every trait, and the page would hold the audio a second time.
        if message == {"type": "load"}:
            files, scales = self._files
            self.send({"type": "audio", "scales": scales}, buffers=files)

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return data | {"text/html": self._repr_html_()}, metadata

    def _repr_html_(self):
        """Return the board for a page without a kernel: the same module, its state in the page."""
        files, scales = self._files
        keys = ("names", "initial_gains_db", "gains_db", "muted", "soloed")
        state = {key: getattr(self, key) for key in keys}
        state |= {"scales": scales, "audio": [base64.b64encode(file).decode() for file in files]}
        stems = html.escape(", ".join(self.names))
        return (
            f"<style>{(_HERE / 'faders.css').read_text('utf-8')}</style>"
            f'<div class="dm-faders" data-static>Faders for {stems}: they need JavaScript.</div>'
            f'<script type="application/json">{json.dumps(state).replace("<", chr(92) + "u003c")}</script>'
            f'<script type="module">{(_HERE / "faders.js").read_text("utf-8")}\nrenderStatic();\n</script>'
        )


def faders(stems, sample_rate=44100, *, gains_db=None, seconds=8.0, start_s=0.0):
    """Show a fader board: one fader, mute and solo for each stem, meters, and the peak of the sum.

    It plays in the browser (Web Audio), in a live notebook and on a static page alike. "Copy
    settings" gives JSON, {stem: {"input_gain_db": gain}}, with null for a muted stem; solo only
    helps to listen and is not copied.

    Args:
        stems: a `Multitrack`, or {name: audio}, each (1 or 2, num_samples) or (num_samples,); [-1, 1]; shorter stems
            end in silence.
        sample_rate: in Hz, one for all.
        gains_db: {name: initial gain in dB}, -48 to 12; 0 for a stem left out.
        seconds: length of the loop that the browser plays (8); 8 stems of 8 s weigh 0.3 to 0.7 MB.
        start_s: where the loop starts, in s (0).

    Returns:
        Faders: shows itself in a notebook; `.gains_db`, `.muted`, `.soloed`, `.mix()`.

    Raises:
        ValueError: no stem, samples that are not finite, another shape, an unknown stem in
            gains_db, a gain out of range, a start past the end.

    Example:
        >>> import torch
        >>> board = faders({"kick": torch.zeros(44100), "vox": torch.zeros(2, 44100)}, gains_db={"vox": -6.0})
        >>> board.gains_db
        {'kick': 0.0, 'vox': -6.0}
    """
    stems = getattr(stems, "stems", stems)
    return Faders(stems, sample_rate, gains_db=gains_db, seconds=seconds, start_s=start_s)
