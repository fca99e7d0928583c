"""Explorers: sliders on the library's own effects, with a picture and players. Chapters: Gain and pan, The equalizer, The compressor, The console."""

import ipywidgets
import torch

from ...audio.loudness import SAMPLE_RATE, normalize_loudness
from ...audio.multitrack import Multitrack
from ...console import effects
from ...console.mixing_console import MixingConsole, compressor_lookahead, uses_fx_bus
from ...console.params import EQ_BANDS, ConsoleParams, param_table
from ...plots import figures as plots
from ...style.features import stereo_width
from .base import MATCHED_LUFS, Explorer, check_names, check_range, log_range, mono_excerpt, sliders

WIDTH = 6.0  # inches: narrower than a chapter's figures, to be read on a telephone as well
EQ_KEYS = ("gain_db", "frequency_hz", "q")
EQ_START_DB = (-6.0, 0.0, 0.0, 0.0, 0.0, 6.0)  # from dark to bright: a flat one would have nothing to show
COMPRESSOR_START = {"threshold_db": -30.0, "ratio": 4.0}  # the other knobs start neutral


def _knobs(effect: str, sample_rate: int) -> dict:
    return {
        spec.name: spec for spec in param_table("track", sample_rate=sample_rate) if spec.effect == effect
    }


class PanExplorer(Explorer):
    """A fader and a pan pot on one track: what `explore_pan` returns."""

    _alt = "The pan law: gain of the left and the right side and their total power in dB over pan, with one pan marked."

    def __init__(self, track, sample_rate, gain_db, pan, seconds, start_s):
        self._track = mono_excerpt(track, sample_rate, start_s, seconds)
        specs = {
            "gain_db": _knobs("gain", sample_rate)["input_gain_db"],
            "pan": _knobs("panner", sample_rate)["pan"],
        }
        super().__init__(sample_rate, sliders(specs, {"gain_db": gain_db, "pan": pan}), matched=False)

    def _process(self):
        faded = effects.gain(self._track, gain_db=torch.tensor(self.settings["gain_db"]))
        return effects.panner(faded, pan=torch.tensor(self.settings["pan"]))[0]

    def picture(self):
        """The pan law with the current point, and the two channels that come out, on one scale."""
        figure, axes = plots._axes(3, 4.4, WIDTH, height_ratios=(3, 1, 1))
        plots._draw_pan_law(axes[0], self.settings["pan"])
        peak = max(self._track.abs().max().item(), self.audio.abs().max().item(), 1e-6)
        for axis, side, color, channel in zip(axes[1:], ("left", "right"), plots.COLORS, self.audio):
            plots._draw_waveform(axis, channel[None], self.sample_rate, color)
            axis.set(ylabel=side, ylim=(-peak, peak), xlim=(0, self.audio.shape[-1] / self.sample_rate))
        axes[1].tick_params(labelbottom=False)
        axes[2].set_xlabel("time (s)")
        return figure

    def _sounds(self):
        return {"": self.audio}

    def _caption(self):
        gain_db, pan = self.settings["gain_db"], self.settings["pan"]
        law = plots._pan_db(pan)
        left, right = (f"{law[s] + gain_db:+.1f} dB" if law[s] > -200 else "off" for s in ("left", "right"))
        return f"Fader {gain_db:+.1f} dB, pan {pan:.2f}: left {left}, right {right}."


class EqualizerExplorer(Explorer):
    """A menu of six bands and the knobs of the chosen one: what `explore_equalizer` returns."""

    _alt = (
        "The equalizer's gain in dB over frequency, each band thin and all together thick; "
        "below, the spectra before and after."
    )

    def __init__(self, track, sample_rate, settings, seconds, start_s):
        self._track = mono_excerpt(track, sample_rate, start_s, seconds)
        specs = _knobs("eq", sample_rate)
        self._specs = [{key: specs[f"{band}_{key}"] for key in EQ_KEYS} for band in EQ_BANDS]
        start = {key: [band[key].neutral for band in self._specs] for key in EQ_KEYS} | {
            "gain_db": list(EQ_START_DB)
        }
        check_names(settings or {}, EQ_KEYS, "an equalizer")
        self._settings = plots._six_bands(start | (settings or {}))
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
    def settings(self):
        """The current values, (1, 6) each: `effects.parametric_eq(x, sample_rate=..., **explorer.settings)`."""
        return {key: values.clone() for key, values in self._settings.items()}

    def _of_band(self, band):
        specs = self._specs[band]  # float32 may put a range end just outside
        return {
            key: min(max(self._settings[key][0, band].item(), specs[key].low), specs[key].high)
            for key in EQ_KEYS
        }

    def _load(self, band):
        """Bring the sliders to another band: their ranges first, and no sound meanwhile."""
        self._loading = True
        try:
            for key, value in self._of_band(band).items():
                slider = self.controls[key]
                with slider.hold_trait_notifications():
                    if key == "frequency_hz":
                        for name, bound in log_range(self._specs[band][key]).items():
                            setattr(slider, name, bound)
                    slider.value = value
        finally:
            self._loading = False

    def _moved(self, change):
        if self._loading:
            return
        if change["owner"] is self.controls["band"]:
            self._load(change["new"])
            return
        for key in EQ_KEYS:
            if change["owner"] is self.controls[key]:
                self._settings[key][0, self.controls["band"].value] = change["new"]
        super()._moved(change)

    def _process(self):
        return effects.parametric_eq(self._track, sample_rate=self.sample_rate, **self._settings)

    def picture(self):
        """Each band's response thin and their product thick; below, the spectrum before and after."""
        figure, axes = plots._axes(2, 5.0, WIDTH)
        plots._draw_bands(axes[0], self._settings, self.sample_rate)
        axes[0].set_xlabel("")
        axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
        plots._draw_spectra(axes[1], self._sounds(), self.sample_rate)
        return figure

    def _sounds(self):
        return {"before": self._track, "after": self.audio}

    def _caption(self):
        bands = [
            f"{name.replace('_', ' ')} {gain:+.1f} dB at {cutoff:.0f} Hz, Q {q:.2f}"
            for name, gain, cutoff, q in zip(EQ_BANDS, *(self._settings[key][0].tolist() for key in EQ_KEYS))
            if gain
        ]
        text = "; ".join(bands) or "all bands flat"
        return f"{text[0].upper()}{text[1:]}."


class CompressorExplorer(Explorer):
    """The six knobs of a compressor: what `explore_compressor` returns."""

    _alt = (
        "The static curve, level in to level out in dB; "
        "below, over time, the peak level before and after and the gain in dB."
    )

    def __init__(self, track, sample_rate, settings, lookahead_samples, seconds, start_s):
        if lookahead_samples is None:
            lookahead_samples = compressor_lookahead("track", sample_rate=sample_rate)
        if lookahead_samples < 0:
            raise ValueError(f"lookahead_samples must be 0 or more, got {lookahead_samples}")
        self._track = mono_excerpt(track, sample_rate, start_s, seconds)
        self._lookahead_samples = lookahead_samples
        specs = _knobs("compressor", sample_rate)
        check_names(settings or {}, specs, "a compressor")
        neutral = {name: spec.neutral for name, spec in specs.items()}
        super().__init__(sample_rate, sliders(specs, neutral | COMPRESSOR_START | (settings or {})))

    def _process(self):
        return effects.compressor(
            self._track,
            sample_rate=self.sample_rate,
            lookahead_samples=self._lookahead_samples,
            **self.settings,
        )

    def picture(self):
        """The static curve with its knee; below, peak level and gain over time."""
        figure, axes = plots._axes(3, 6.4, WIDTH, height_ratios=(2.6, 1, 1))
        plots._draw_static_curves(axes[0], {"compressor": self.settings})
        axes[1].sharex(axes[2])
        plots._draw_gain_reduction(axes[1:], self._track, self.audio, self.sample_rate)
        axes[1].axhline(
            self.settings["threshold_db"], color="#888888", linestyle=":", linewidth=1, label="threshold"
        )
        axes[1].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
        axes[1].tick_params(labelbottom=False)
        return figure

    def _sounds(self):
        return {"before": self._track, "after": self.audio}

    def _caption(self):
        s = self.settings
        return (
            f"Threshold {s['threshold_db']:.1f} dB, ratio {s['ratio']:.1f}:1, attack {s['attack_ms']:.0f} ms, release "
            f"{s['release_ms']:.0f} ms, knee {s['knee_db']:.1f} dB, make-up {s['makeup_gain_db']:.1f} dB."
        )


class BypassExplorer(Explorer):
    """Check boxes that switch off parts of a console: what `explore_bypass` returns."""

    _alt = "Bark spectra of mid and side of the mix, with everything on and as set."
    _parts = {
        "gain": "gain",
        "eq": "equalizer",
        "compressor": "compressor",
        "panner": "panner",
        "fx_bus": "fx_bus",
    }

    def __init__(self, song, params, off, seconds, start_s):
        if not isinstance(song, Multitrack):
            raise ValueError(f"explore_bypass needs a song, a Multitrack, got {type(song).__name__}")
        if not isinstance(params, ConsoleParams):
            raise ValueError(f"params must be ConsoleParams, got {type(params).__name__}")
        self._song = song.excerpt(start_s, seconds)
        self._all = params.clone()
        self._console = MixingConsole(song.sample_rate, preset=params.preset)
        self._everything = self._render(self._all)
        parts = [part for part in self._parts.values() if part != "fx_bus" or uses_fx_bus(params)]
        boxes = {
            part: ipywidgets.Checkbox(part not in off, description=part.replace("_", " "), indent=False)
            for part in (*parts, "master_bus")
        }
        check_names(dict.fromkeys(off), boxes, "the console")
        super().__init__(song.sample_rate, boxes)

    @property
    def params(self):
        """The console's parameters as set: what is off has its neutral values."""
        params = self._all.clone()
        for i, spec in enumerate(params.specs("track")):
            if not self.settings.get(self._parts[spec.effect], True):
                params.tracks[:, i] = spec.neutral
        if not self.settings["master_bus"]:
            params.master_bus_values = torch.tensor([spec.neutral for spec in params.specs("master_bus")])
        return params

    def _render(self, params):
        return self._console.render(self._song.audio, params)

    def _process(self):
        return self._render(self.params)

    def picture(self):
        """Bark spectra of the mix with everything on and as set, as loud as they are played."""
        mixes = self._sounds()
        if self._match:
            mixes = {
                name: normalize_loudness(mix, MATCHED_LUFS, sample_rate=self.sample_rate)
                for name, mix in mixes.items()
            }
        return plots.plot_bark(mixes, sample_rate=self.sample_rate)

    def _sounds(self):
        return {"everything on": self._everything, "as set": self.audio}

    def _caption(self):
        off = [part.replace("_", " ") for part, on in self.settings.items() if not on]
        widths = [stereo_width(mix).item() for mix in (self.audio, self._everything)]
        return f"Off: {', '.join(off) or 'nothing'}. Stereo width {widths[0]:.3f}, with everything on {widths[1]:.3f}."


def explore_pan(track, sample_rate=SAMPLE_RATE, *, gain_db=0.0, pan=0.5, seconds=6.0, start_s=0.0):
    """Sliders for the fader and the pan pot of one track, with the pan law and the stereo sound. Chapter: Gain and pan.

    In a live notebook the sliders drive `effects.gain` and `effects.panner`; on a page without a kernel picture and
    sound stay at the settings given here. The same holds for the other explorers.

    Args:
        track: mono audio, (num_samples,) or (1, num_samples); [-1, 1].
        sample_rate: Hz.
        gain_db: -48 to 48 dB. pan: 0 (left) to 1 (right).
        seconds: length of the excerpt. start_s: where it starts, in s.

    Returns an `Explorer`: `.settings` (keywords of the effect), `.audio` (the excerpt as it sounds, here (2, T)),
    `.picture()` (a matplotlib figure), `.controls` (the sliders by name).

    Raises ValueError for a track that is not mono or not finite, a setting out of range, a start past the end.

    >>> explorer = explore_pan(torch.zeros(44100), pan=0.2)
    >>> explorer.controls["pan"].value = 1.0
    >>> explorer.settings
    {'gain_db': 0.0, 'pan': 1.0}
    """
    return PanExplorer(track, sample_rate, gain_db, pan, seconds, start_s)


def explore_equalizer(track, sample_rate=SAMPLE_RATE, *, settings=None, seconds=6.0, start_s=0.0):
    """A menu of the six bands and sliders for the chosen one, with curves, spectra and sound. Chapter: The equalizer.

    Arguments, errors and what is returned as for `explore_pan`, with `settings` as `effects.parametric_eq` takes
    them: {"gain_db", "frequency_hz", "q"}, six values each in the ranges of `param_table`. What is left out starts at
    its neutral value, and the gains at -6 dB for the low and +6 dB for the high shelf.

    >>> explorer = explore_equalizer(torch.zeros(44100), settings={"gain_db": [0, 0, 6, 0, 0, 0]})
    >>> explorer.controls["band"].value = 2          # the menu: low shelf, peak 1, peak 2, ...
    >>> explorer.controls["gain_db"].value = -3.0
    >>> explorer.settings["gain_db"]
    tensor([[ 0.,  0., -3.,  0.,  0.,  0.]])
    """
    return EqualizerExplorer(track, sample_rate, settings, seconds, start_s)


def explore_compressor(
    track, sample_rate=SAMPLE_RATE, *, settings=None, lookahead_samples=None, seconds=6.0, start_s=0.0
):
    """Sliders for the compressor's six knobs, with its static curve, the gain over time and the sound. Chapter: The compressor.

    Arguments, errors and what is returned as for `explore_pan`, with `settings` as `effects.compressor` takes them,
    numbers in the ranges of `param_table`. What is left out starts at threshold -30 dB, ratio 4 and otherwise at its
    neutral value. `lookahead_samples`: how far the gain runs ahead of the sound, by default as far as in the console.

    >>> explorer = explore_compressor(torch.zeros(44100), settings={"ratio": 2.0})
    >>> explorer.controls["threshold_db"].value = -20.0
    >>> explorer.settings["threshold_db"], explorer.settings["ratio"]
    (-20.0, 2.0)
    """
    return CompressorExplorer(track, sample_rate, settings, lookahead_samples, seconds, start_s)


def explore_bypass(song, params, *, off=("equalizer",), seconds=6.0, start_s=0.0):
    """Check boxes that switch off parts of a console, with Bark spectra and the mix as a whole. Chapter: The console.

    A part that is off has its neutral values from `param_table`: a fader at 0 dB, a flat equalizer, ratio 1, pan in
    the middle, nothing sent; for the master bus all of that at once.

    Args:
        song: a `Multitrack`. params: `ConsoleParams` for its tracks.
        off: what is off at the start, of gain, equalizer, compressor, panner, fx_bus (when it is used), master_bus.
        seconds: length of the excerpt. start_s: where it starts, in s.

    Returns an `Explorer` as `explore_pan` does: `.settings` says what is on, `.params` are the parameters as set.

    Raises ValueError for no `Multitrack`, no `ConsoleParams`, parameters that do not fit the song, an unknown part, a
    start past the end.

    >>> import diffmst_lib as dm
    >>> mix = dm.equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"), panned=True)
    >>> explorer = explore_bypass(mix.song, mix.params, off=("panner",), seconds=1.0)
    >>> explorer.audio[0].equal(explorer.audio[1])      # without pans, both sides are the same
    True
    """
    return BypassExplorer(song, params, off, seconds, start_s)
