"""Comparison of a mix with its reference: `compare`.

Chapter: Losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import torch

from ..audio.loudness import MIX_LUFS
from ..audio.multitrack import check_stereo
from ..inputs import check_rate
from ..mixing.result import MixResult
from ..options import SAMPLE_RATE
from ..style.features import DB_PER_NEPER, audio_features, bark_edges_hz
from ..style.losses import feature_distance, term_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Comparison:
    """Comparison of a mix with its reference. It is a picture in a notebook and two tables elsewhere.

    Attributes:
        labels: Labels of the mix and of the reference.
        features: Features, one row per number with its unit in the name, one column for the mix and one for
            the reference.
        bark: Bark spectra in dB, one row per band by its center in Hz; columns (label, "mid" or "side").
        terms: Terms of the audio-feature loss, one row per term: distance, weight, loss, and share of the
            total.
        total: Audio-feature loss.
        compared_at: Level at which the two were compared, in words.
    """

    labels: tuple[str, str]
    features: pd.DataFrame
    bark: pd.DataFrame
    terms: pd.DataFrame
    total: float
    compared_at: str
    _sounds: tuple[torch.Tensor, torch.Tensor]

    @property
    def figure(self) -> Figure:
        """A new matplotlib figure of the comparison: `sheet.figure.savefig("sheet.pdf")`."""
        from ..plots.comparison import plot_comparison

        return plot_comparison(
            self.features, self.bark, self.terms, self._sounds, total=self.total, compared_at=self.compared_at
        )

    def _repr_html_(self) -> str:
        from ..plots.figure import figure_html

        picture = figure_html(
            self.figure,
            f"{self.labels[0]} compared with {self.labels[1]}: audio-feature loss {self.total:.4f}; "
            "tables of features and loss terms, Bark spectra of mid and side, two goniometers.",
        )
        features = self.features.to_html(float_format="{:.3f}".format)
        terms = self.terms.to_html(float_format="{:.2g}".format)
        return (
            f"{picture}<details><summary>The numbers as tables</summary>"
            f'<div style="overflow-x: auto">{features}{terms}</div></details>'
        )

    def __repr__(self) -> str:
        tables = f"{self.features.round(3)}\n\n{self.terms.round(4)}"
        return f"{tables}\n\naudio-feature loss {self.total:.4f}, {self.compared_at}"


def compare(
    mix: torch.Tensor | MixResult,
    reference: torch.Tensor | MixResult,
    *,
    sample_rate: float | None = None,
    labels: tuple[str, str] = ("mix", "reference"),
    match_lufs: float | None = MIX_LUFS,
) -> Comparison:
    """Compare a mix with its reference: features, Bark spectra, loudness, stereo image, and the loss.

    Loudness and peak are those of the sounds as given. Everything else is measured after both sounds are
    scaled to `match_lufs`, since the overall level is not part of the style. Content and length may differ.
    An InputNote warns of a DC offset.

    Args:
        mix: Stereo audio (2, num_samples) or (1, 2, num_samples), in [-1, 1], or a `MixResult`.
        reference: Reference in the same form as `mix`.
        sample_rate: Sample rate of both sounds in Hz. Default: that of a `MixResult`, otherwise 44,100.
        labels: Labels of the mix and of the reference.
        match_lufs: Loudness to which both are scaled, -70 to 0 LUFS; None: both stay as given.

    Returns:
        `Comparison` with `.features`, `.bark`, `.terms` (DataFrames), `.total` and `.figure`. A notebook
        shows it as a picture.

    Raises:
        InputError: For audio that is not stereo, silent or not finite. The message names the sound.
        ValueError: For different sample rates, labels that are not two different words, and a `match_lufs`
            out of range.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium")
        >>> mix = dm.equal_loudness(song, panned=True)
        >>> sheet = compare(mix, dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg"))
        >>> sheet.features.loc["loudness as it came (LUFS)"].round(1).tolist()
        [-16.0, -16.5]
        >>> bool(sheet.terms["loss"].sum().round(6) == round(sheet.total, 6))
        True
    """
    import pandas as pd

    labels = _two_labels(labels)
    if match_lufs is not None and not (isinstance(match_lufs, Real) and -70 < match_lufs < 0):
        raise ValueError(f"match_lufs must be a loudness between -70 and 0 LUFS or None, got {match_lufs!r}")
    rate = _one_rate(mix, reference, sample_rate=sample_rate)
    sounds, features, numbers, bands = [], [], {}, {}
    for label, given in zip(labels, (mix, reference), strict=True):
        audio = given.audio if isinstance(given, MixResult) else given
        audio, lufs = check_stereo(audio, label, sample_rate=rate)
        audio = audio.detach().cpu().float()
        sound = audio if match_lufs is None else audio * 10.0 ** ((match_lufs - lufs) / 20.0)
        measured = audio_features(sound, sample_rate=rate)
        sounds.append(sound)
        features.append(measured)
        numbers[label] = {
            "loudness as it came (LUFS)": lufs,
            "peak as it came (dBFS)": 20 * audio.abs().max().clamp(min=1e-10).log10().item(),
            **_numbers(sound, measured),
        }
        for part, values in zip(("mid", "side"), measured["bark_spectrum"].T, strict=True):
            bands[label, part] = values.numpy() * DB_PER_NEPER
    terms = pd.DataFrame(term_rows(feature_distance(*features))).set_index("term")
    total = float(terms["loss"].sum())
    terms["share"] = terms["loss"] / max(total, 1e-30)
    centers = pd.Index(bark_edges_hz()[1:-1], name="band center (Hz)")
    return Comparison(
        labels,
        features=pd.DataFrame(numbers),
        bark=pd.DataFrame(bands, index=centers),
        terms=terms,
        total=total,
        compared_at="as they came" if match_lufs is None else f"both at {match_lufs:g} LUFS",
        _sounds=(sounds[0], sounds[1]),
    )


def _two_labels(labels: tuple[str, str]) -> tuple[str, str]:
    if isinstance(labels, (tuple, list)) and len(labels) == 2:
        first, second = (str(label) for label in labels)
        if first != second:
            return first, second
    raise ValueError(f"labels must be two different words, got {labels!r}")


def _one_rate(*sounds: torch.Tensor | MixResult, sample_rate: float | None) -> float:
    """Return the common sample rate of the sounds. Raise ValueError where they differ."""
    rates: set[float] = {sound.sample_rate for sound in sounds if isinstance(sound, MixResult)}
    if sample_rate is not None:
        check_rate(sample_rate)
        rates.add(sample_rate)
    if len(rates) > 1:
        different = " and ".join(f"{rate} Hz" for rate in sorted(rates))
        raise ValueError(f"the two have different sample rates, {different}")
    return rates.pop() if rates else SAMPLE_RATE


def _numbers(audio: torch.Tensor, features: dict[str, torch.Tensor]) -> dict[str, float]:
    """List the features of one sound and its correlation, by their names in the table."""
    rms_db = (20 * features["rms"].log10()).tolist()
    crest_db = features["crest_factor"].tolist()
    left, right = audio.double()
    power = (left.square().mean() * right.square().mean()).sqrt().clamp(min=1e-20)
    return {
        "RMS left (dBFS)": rms_db[0],
        "RMS right (dBFS)": rms_db[1],
        "crest factor left (dB)": crest_db[0],
        "crest factor right (dB)": crest_db[1],
        "stereo width": features["stereo_width"].item(),
        "stereo imbalance": features["stereo_imbalance"].item(),
        "correlation": float((left * right).mean() / power),
    }
