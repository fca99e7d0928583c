"""Where the pans of a song of mono stems start. Chapter: Gain and pan.

With every pan in the middle such a song has no side signal, and what is exactly zero has no gradient: no fit
and no network would ever find its way out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch

from ..disk import composed
from ..inputs import InputError
from ..options import SAMPLE_RATE
from .roles import belongs_in_the_middle

LEAN_DB = (1.5, 2.5)  # of the lowest and of the highest stem: modest, so that no stem hangs on a side
LOW_END_HZ = 120.0
FFT = 8192


def spread_pans(
    names: Sequence[str],
    audio: torch.Tensor,
    *,
    sample_rate: int = SAMPLE_RATE,
    center: Sequence[str] | None = None,
    also: Collection[str] = (),
) -> list[float]:
    """Place the stems of a mono song modestly apart; stems of a song with a stereo stem stay where they are.

    In the middle stay the stem that carries the low end and those whose names say lead voice, kick, bass or
    snare. The others go left and right by turns in the order of their spectral centroids, the brighter the
    further, at most 2.5 dB louder on one side. Neither names nor the order of the stems matter for that. A
    song of nothing but kick, bass and voice stays in the middle; `center=[]` spreads even that.

    Args:
        names: Names of the stems.
        audio: Stems (N, 2, num_samples).
        sample_rate: Sample rate in Hz.
        center: Names of the stems that stay in the middle, instead of those of the rule; None: the rule.
        also: Names that stay there as well, whatever they say: what is known of their sound.

    Returns:
        A pan for each stem, 0 to 1, 0.5 in the middle.

    Raises:
        InputError: About the "song", for a name in `center` that the song does not have.

    Example:
        >>> t = torch.arange(44100) / 44100
        >>> tones = torch.stack([torch.sin(2 * torch.pi * f * t) for f in (60.0, 500.0, 4000.0)])
        >>> pans = spread_pans(["deep", "middle", "bright"], tones[:, None].expand(-1, 2, -1))
        >>> [round(pan, 2) for pan in pans]
        [0.5, 0.45, 0.59]
    """
    if isinstance(center, str):
        raise InputError(f"center takes a list of names, as in center=[{center!r}]", about="song")
    names, center = [composed(name) for name in names], center and [composed(name) for name in center]
    unknown = [name for name in center or () if name not in names]
    if unknown:
        raise InputError(
            f"center names no stem {', '.join(unknown)}: there are {', '.join(names)}", about="song"
        )
    middle = [0.5] * len(names)
    sounding = [i for i, stem in enumerate(audio) if bool(stem.any())]
    if len(sounding) < 2 or any(not torch.equal(*audio[i]) for i in sounding):
        return middle
    spectra = {i: mean_power(audio[i, 0]) for i in sounding}
    hz = torch.linspace(0.0, sample_rate / 2, FFT // 2 + 1, dtype=torch.float64)
    low_end = {i: spectrum[hz < LOW_END_HZ].sum().item() for i, spectrum in spectra.items()}
    if center is None:
        kept = {composed(name) for name in also}
        stay = {i for i in sounding if belongs_in_the_middle(names[i]) or names[i] in kept} | {
            max(low_end, key=low_end.__getitem__)
        }
    else:
        stay = {i for i in sounding if names[i] in center}
    centroid = {i: ((hz * s).sum() / s.sum().clamp(min=1e-30)).item() for i, s in spectra.items()}
    apart = sorted((i for i in sounding if i not in stay), key=centroid.__getitem__)
    pans = middle
    for rank, i in enumerate(apart):
        share = rank / max(1, len(apart) - 1)
        lean_db = LEAN_DB[0] + share * (LEAN_DB[1] - LEAN_DB[0])
        pans[i] = pan_of_lean(lean_db if rank % 2 else -lean_db)
    return pans


def pan_of_lean(lean_db: float) -> float:
    """Compute the pan p at which the right channel is `lean_db` above the left: tan(p pi/2) = 10^(lean / 20)."""
    return math.atan(10.0 ** (lean_db / 20.0)) / (math.pi / 2)


def mean_power(x: torch.Tensor) -> torch.Tensor:
    """Average the power spectra of a sound's blocks: (num_samples,) to (4097,), float64, without gradient."""
    x = x.detach().cpu()
    blocks = torch.nn.functional.pad(x, (0, -x.shape[-1] % FFT)).view(-1, FFT)
    window = torch.hann_window(FFT, dtype=x.dtype)
    total = torch.zeros(FFT // 2 + 1, dtype=torch.float64)
    for some in blocks.split(64):
        total += torch.fft.rfft(some * window).abs().square().double().sum(dim=0)
    return total / len(blocks)
