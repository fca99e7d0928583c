"""Records whose style is taken: one, or several with weights. Chapter: Mix your own song."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real

import torch

from ..audio.loudness import MIX_LUFS, loudness
from ..audio.meters import stereo_powers, true_peak_db
from ..audio.multitrack import Multitrack, check_stereo
from ..inputs import InputError, note
from ..style.features import audio_features
from ..style.losses import feature_distance, term_weights
from ..style.own_features import Feature, OwnFeatures, check_sizes, own_features
from .limits import NEGATIVE

SILENT = 1e-6  # power of a channel against the other's, at which it counts as silent: -60 dB
SHORTEST_S = 0.1  # of a reference: less has no spectrum and no level
SHORT_S = 1.0  # of one that is told: a window of the Bark spectrum alone is 0.74 s
LOUD_LUFS, LIMITED_DB = -8.0, 9.0  # louder than that, and with a lower PLR, it has been through a limiter

References = torch.Tensor | Sequence[torch.Tensor | tuple[torch.Tensor, float]]


@dataclass
class Reference:
    """A record whose style is taken, or several, measured once.

    Attributes:
        audio: The record (2, num_samples), as it was given; of several, that of the highest weight, the first
            of equal ones.
        features: Its audio features at -16 LUFS; of several, their weighted mean.
        own: The features of the user's own among them, which the loss compares as well.
        records: All of them, where there are several; empty: `audio` alone.
        weights: Their weights, of sum 1.
    """

    audio: torch.Tensor
    features: dict[str, torch.Tensor]
    own: dict[str, Feature] = field(default_factory=dict)
    records: list[torch.Tensor] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def weighted(self) -> list[tuple[torch.Tensor, float]]:
        """List the records with their weights, of sum 1."""
        return list(zip(self.records, self.weights, strict=True)) or [(self.audio, 1.0)]

    def terms(self, mix: torch.Tensor, *, sample_rate: int) -> dict[str, torch.Tensor]:
        """Compute the audio-feature loss of a mix (2, num_samples) at -16 LUFS, by term. Differentiable."""
        features = audio_features(mix, sample_rate=sample_rate, features=self.own)
        return feature_distance(features, self.features, features=self.own)

    @torch.no_grad()
    def distance(self, mix: torch.Tensor, lufs: float, *, sample_rate: int) -> dict[str, float]:
        """Compute the audio-feature loss of a mix (2, num_samples) of known loudness, by term."""
        gain = 10.0 ** ((MIX_LUFS - lufs) / 20.0) if math.isfinite(lufs) else 1.0
        features = audio_features(mix, sample_rate=sample_rate, features=self.own, gain=gain)
        terms = feature_distance(features, self.features, features=self.own)
        return {name: term.item() for name, term in terms.items()}


def check_reference(reference: References, *, sample_rate: int, features: OwnFeatures = None) -> Reference:
    """Check a record, or several with their weights, and measure their audio features at -16 LUFS.

    Features of several are averaged, each in its own unit (RMS linear, crest factor in dB, width and imbalance
    as ratios, Bark bands in nepers). Equation 8 is a sum of squares in these units, so that

        sum_i w_i L(mix, record_i) = L(mix, mean) + a constant

    and a fit to the mean is a fit to all of them.

    A record that a mix of these stems can hardly come near is named in an `InputNote`: one that is mono, one
    with a silent channel, one whose channels are of opposite polarity, and one that is loud and heavily
    limited.

    Args:
        reference: A stereo mix (2, num_samples) of at least 0.1 s; or a list of such mixes or pairs
            (mix, weight), with weights above 0, 1 where there is none.
        sample_rate: Sample rate of all of them, in Hz.
        features: Features of the user's own, as in `audio_feature_loss`.

    Returns:
        The record.

    Raises:
        InputError: About the "reference", or of several the "reference 2", for anything that is not a stereo
            mix, for one that is shorter than 0.1 s, and for a weight that is not above 0; for a feature
            that does not fit.

    Example:
        >>> import diffmst_lib as dm
        >>> folder = dm.data_dir() / "references"
        >>> loud, soft = (dm.load_audio(folder / f"{name}.ogg") for name in ("lets_go_fishin", "vibe_ace"))
        >>> both = check_reference([(loud, 3), soft], sample_rate=44100)
        >>> both.weights, torch.equal(both.audio, loud)
        ([0.75, 0.25], True)
    """
    own = own_features(features)
    term_weights(own)
    given = weighted_records(reference)
    records, measured = [], []
    for number, (record, _) in enumerate(given, 1):
        about = "reference" if len(given) == 1 else f"reference {number}"
        audio, gain = _check_record(record, about, sample_rate)
        records.append(audio)
        measured.append(audio_features(audio, sample_rate=sample_rate, features=own, gain=gain))
    _tell_same(records)
    total = sum(weight for _, weight in given)
    weights = [weight / total for _, weight in given]
    heaviest = records[weights.index(max(weights))]
    if len(records) == 1:
        return Reference(heaviest, measured[0], own)
    return Reference(heaviest, mean_features(measured, weights), own, records, weights)


def weighted_records(reference: References) -> list[tuple[torch.Tensor, float]]:
    """List the records that are asked for, with their weights as they are given.

    Args:
        reference: As in `check_reference`.

    Returns:
        Pairs (record, weight); nothing is known about the records yet.

    Raises:
        InputError: About the "reference", for an empty list, and for a weight that is not a number above 0.

    Example:
        >>> weighted_records(torch.zeros(2, 3))[0][1]
        1.0
    """
    if not isinstance(reference, list | tuple):
        return [(reference, 1.0)]  # type: ignore[list-item]  # what is no tensor, `check_stereo` refuses
    if not reference:
        raise InputError("there is no record in the list of references", about="reference")
    pairs = []
    for number, one in enumerate(reference, 1):
        record, weight = one if isinstance(one, tuple) and len(one) == 2 else (one, 1.0)
        share = float(weight) if isinstance(weight, Real) and not isinstance(weight, bool) else math.nan
        if not 0 < share < math.inf:
            raise InputError(
                f"the weight of reference {number} must be a number above 0, not {weight!r}",
                about="reference",
            )
        pairs.append((record, share))
    return pairs


def _check_record(record: torch.Tensor, about: str, sample_rate: int) -> tuple[torch.Tensor, float]:
    """Check one record: its sound (2, num_samples), and the gain that brings it to -16 LUFS."""
    what = "the reference" if about == "reference" else about
    try:
        audio, lufs = check_stereo(record, what, sample_rate=sample_rate)
    except InputError as error:
        raise InputError(str(error), about=about) from None
    if audio.shape[-1] < SHORTEST_S * sample_rate:
        raise InputError(
            f"{what} is {audio.shape[-1] / sample_rate:.3f} s long, at least {SHORTEST_S:g} s are needed",
            about=about,
        )
    if audio.shape[-1] < SHORT_S * sample_rate:
        note(
            f"{what} is only {audio.shape[-1] / sample_rate:.2f} s long: a note or two, not the style of a record; "
            "take ten seconds or more"
        )
    audio = audio.detach()
    powers = stereo_powers(audio)
    if torch.equal(audio[0], audio[1]):
        note(f"{what} is mono: its two channels are equal, and so the mix will be narrow")
    elif min(powers.left, powers.right) < SILENT * max(powers.left, powers.right):
        note(f"one channel of {what} is silent: no mix of these stems should lean that far")
    elif powers.correlation < NEGATIVE:
        note(
            f"{what} has a correlation of {powers.correlation:.2f}: its channels are more opposite than alike, "
            "and it loses in mono what no mix of these stems should"
        )
    if lufs > LOUD_LUFS and (plr_db := true_peak_db(audio) - lufs) < LIMITED_DB:
        note(
            f"{what} is very loud and heavily limited: {lufs:.1f} LUFS, its true peak only {plr_db:.1f} dB above "
            "that (PLR); a mix that follows it is squeezed by its master compressor, look at the report's gain "
            "reduction"
        )
    return audio, 10.0 ** ((MIX_LUFS - lufs) / 20.0)


def _tell_same(records: Sequence[torch.Tensor]) -> None:
    for second, record in enumerate(records):
        for first in range(second):
            if record.shape == records[first].shape and torch.equal(record, records[first]):
                note(f"references {first + 1} and {second + 1} are the same sound: their weights add up")


def mean_features(
    measured: Sequence[dict[str, torch.Tensor]], weights: Sequence[float]
) -> dict[str, torch.Tensor]:
    """Average features of sounds by name, each in its own unit.

    Args:
        measured: What `audio_features` returns, of each sound.
        weights: Their weights, of sum 1.

    Returns:
        The weighted mean, by name.

    Raises:
        InputError: For a feature of the user's own that has more numbers for one sound than for another.

    Example:
        >>> mean_features([{"rms": torch.zeros(2)}, {"rms": torch.ones(2)}], [0.75, 0.25])
        {'rms': tensor([0.2500, 0.2500])}
    """
    mean = {}
    for name, first in measured[0].items():
        for one in measured[1:]:
            if first.ndim:
                check_sizes(name, one[name], first)
        mean[name] = sum((w * one[name] for w, one in zip(weights, measured, strict=True)), 0.0 * first)
    return mean


def distance_of_plain_sum(song: Multitrack, reference: Reference) -> float:
    """Compute the audio-feature loss of the plain sum of a song's stems."""
    plain_sum = song.audio.sum(dim=0)
    level = loudness(plain_sum, sample_rate=song.sample_rate)
    return reference.distance(plain_sum, level, sample_rate=song.sample_rate)["total"]
