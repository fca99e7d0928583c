"""A finished mix: sound, console settings and the song they belong to."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from ..audio.loading import save_audio
from ..audio.loudness import MIX_LUFS, loudness
from ..audio.multitrack import Multitrack
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..disk import output_folder

FILES = ("mix.wav", "params.json", "params.csv")  # what a saved mix consists of


@dataclass
class MixResult:
    """What every mixing system here returns.

    `audio` (2, num_samples) is exactly what the console makes of `song` with `params`: there is no hidden gain, the
    normalization to -16 LUFS is in the master's output gain. `history` is a DataFrame of the losses by step, where
    there was a fit.
    """

    audio: torch.Tensor
    params: ConsoleParams
    song: Multitrack
    history: pd.DataFrame | None = None

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.song.sample_rate

    def remix(self) -> MixResult:
        """Render `params` again, after an edit; the level follows the edit, nothing is normalized.

        >>> import diffmst_lib as dm
        >>> result = dm.equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
        >>> result.params.track("vox_lead")["input_gain_db"] += 3
        >>> result.remix().audio.shape == result.audio.shape
        True
        """
        console = MixingConsole(self.sample_rate, preset=self.params.preset)
        audio = console.render(self.song.audio, self.params)
        return MixResult(audio, self.params.clone(), self.song, self.history)

    def save(self, folder: str | Path) -> Path:
        """Write mix.wav (32-bit float), params.json and params.csv into `folder`; nothing if one of them cannot be."""
        with (
            output_folder(folder, FILES) as folder,
            tempfile.TemporaryDirectory(dir=folder, prefix=".diffmst-") as staging,
        ):
            staging = Path(staging)
            save_audio(staging / "mix.wav", self.audio, sample_rate=self.sample_rate)
            (staging / "params.json").write_text(self.params.to_json() + "\n", encoding="utf-8")
            self.params.to_frame().to_csv(staging / "params.csv")
            for part in staging.iterdir():
                os.replace(part, folder / part.name)
        return folder


def finish(song: Multitrack, params: ConsoleParams, *, lufs: float = MIX_LUFS, history=None) -> MixResult:
    """Render the song and put the gain that brings it to `lufs` into the master's output fader."""
    console = MixingConsole(song.sample_rate, preset=params.preset)
    params = params.clone()
    audio = console.render(song.audio, params)
    level = loudness(audio, sample_rate=song.sample_rate)
    if level > -float("inf"):
        fader = params.master_bus
        low, high = next((s.low, s.high) for s in params.specs("master_bus") if s.name == "output_gain_db")
        before = fader["output_gain_db"]
        fader["output_gain_db"] = min(max(before + lufs - level, low), high)
        audio = audio * 10.0 ** ((fader["output_gain_db"] - before) / 20.0)
    return MixResult(audio, params, song, history)
