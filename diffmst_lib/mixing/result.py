"""A finished mix: sound, console settings and the song they belong to. Chapter: A first mix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..audio.loading import save_audio
from ..audio.loudness import MIX_LUFS, loudness
from ..audio.multitrack import Multitrack, check_stereo
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import knob_index
from ..disk import output_folder, write_together
from ..style.features import audio_features
from ..style.losses import feature_distance

if TYPE_CHECKING:
    import pandas as pd

FILES = ("mix.wav", "params.json", "params.csv")  # what a saved mix consists of


@dataclass
class MixResult:
    """What every mixing system here returns.

    `audio` is exactly what the console makes of `song` with `params`. There is no hidden gain: the
    normalization to -16 LUFS is in the master's output gain.

    Attributes:
        audio: The mix, (2, num_samples).
        params: The console.
        song: The stems.
        history: The losses by step, a DataFrame; None without a fit.
        loudness_lufs: Loudness of the mix, in LUFS.
        loss: The audio-feature loss between the whole mix and the whole reference, both at -16 LUFS, by term,
            with the "total"; None without a reference, and after `remix`.
    """

    audio: torch.Tensor
    params: ConsoleParams
    song: Multitrack
    history: pd.DataFrame | None = None
    loudness_lufs: float = math.nan
    loss: dict[str, float] | None = None

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        return self.song.sample_rate

    def remix(self) -> MixResult:
        """Render `params` again, after an edit, without normalizing: the level follows the edit.

        Example:
            >>> import diffmst_lib as dm
            >>> result = dm.equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
            >>> result.params.track("vox_lead")["input_gain_db"] += 3
            >>> result.remix().loudness_lufs > result.loudness_lufs
            True
        """
        console = MixingConsole(self.sample_rate, preset=self.params.preset)
        audio = console.render(self.song.audio, self.params)
        level = loudness(audio, sample_rate=self.sample_rate)
        return MixResult(audio, self.params.clone(), self.song, self.history, level)

    def save(self, folder: str | Path) -> Path:
        """Write mix.wav (32-bit float), params.json and params.csv into `folder`, all or none.

        Args:
            folder: Where to write; it is created if need be.

        Returns:
            The folder.

        Raises:
            InputError: In one line, when nothing can be written there.
        """
        with output_folder(folder, FILES) as folder:
            write_together(
                folder,
                {
                    "mix.wav": lambda path: save_audio(path, self.audio, sample_rate=self.sample_rate),
                    "params.json": lambda path: path.write_text(
                        self.params.to_json() + "\n", encoding="utf-8"
                    ),
                    "params.csv": lambda path: self.params.to_frame().to_csv(path),
                },
            )
        return folder


def render_mix(
    song: Multitrack,
    params: ConsoleParams,
    *,
    lufs: float = MIX_LUFS,
    target: dict[str, torch.Tensor] | None = None,
    history: pd.DataFrame | None = None,
) -> MixResult:
    """Render the song, and put the gain that brings it to `lufs` into the master's output gain.

    Args:
        song: The stems.
        params: The console, which is not changed.
        lufs: The level of the mix, in LUFS.
        target: Audio features of the reference at -16 LUFS, for the result's loss; None: no loss.
        history: The losses by step, for the result.

    Returns:
        The mix. When the range of the output gain does not reach the level, the mix comes as near as it can.
    """
    console = MixingConsole(song.sample_rate, preset=params.preset)
    params = params.clone()
    audio = console.render(song.audio, params)
    level = loudness(audio, sample_rate=song.sample_rate)
    if math.isfinite(level):
        strip = params.master_bus
        fader = params.specs("master_bus")[knob_index("output_gain_db", "master_bus", params.preset)]
        before = strip["output_gain_db"]
        strip["output_gain_db"] = min(max(before + lufs - level, fader.low), fader.high)
        change_db = strip["output_gain_db"] - before
        audio, level = audio * 10.0 ** (change_db / 20.0), level + change_db
    loss = None
    if target is not None:
        at_mix_level = audio * 10.0 ** ((MIX_LUFS - level) / 20.0) if math.isfinite(level) else audio
        terms = feature_distance(audio_features(at_mix_level, sample_rate=song.sample_rate), target)
        loss = {name: term.item() for name, term in terms.items()}
    return MixResult(audio, params, song, history, level, loss)


def reference_features(
    reference: torch.Tensor, lufs: float, *, sample_rate: float
) -> dict[str, torch.Tensor]:
    """Measure the audio features of a reference (2, num_samples) of known loudness, brought to -16 LUFS."""
    return audio_features(reference * 10.0 ** ((MIX_LUFS - lufs) / 20.0), sample_rate=sample_rate)


def check_reference(reference: torch.Tensor, *, sample_rate: float) -> dict[str, torch.Tensor]:
    """Check a reference, and measure its audio features at -16 LUFS.

    Args:
        reference: A stereo mix (2, num_samples).
        sample_rate: Sample rate in Hz.

    Returns:
        The features, without gradient.

    Raises:
        InputError: About the "reference", for anything that is not a stereo mix.
    """
    reference, lufs = check_stereo(reference, sample_rate=sample_rate)
    return reference_features(reference.detach(), lufs, sample_rate=sample_rate)
