"""Evidence: what a stem can read about its own setting, from the powers of stems, present mix and record.

A transformer that sees only what each stem and the record sound like would have to multiply tokens with tokens
to find out which stem is too loud. Here that product is made for it, and a first guess as well: the gains with
which the spectra of the stems explain that of the record, while the stems stay near where they are or near one
level.

    share_i = p_i / sum_j p_j                of stem i in a band, with p its mean power there
    d = 10 log10(record / mix)               the difference in that band, in dB, at one loudness
    e = lean of the record - of the mix      in that band, with lean (L^2 - R^2) / (L^2 + R^2)
    evidence_i = [share_i d and share_i e in each band, four fitted gains, d and e where stem i is,
                  its level, its share of mid, its lean]

Bands are those of mid and those of side. Everything is relative to the present mix, so a second pass of
listening reads what is still missing.

Chapter: The controller.
"""

from __future__ import annotations

import torch

from .powers import BANDS

LIMIT_DB = 15.0  # differences beyond it count as this
FLOOR = 1e-5  # of the total power, added to every band: what is 50 dB down cannot be told apart
TINY = 1e-12
# Of the fits of gains: towards where the stems are, and towards equal levels, as those of a mix nearly are.
PULLS = ((0.1, 0.0), (0.3, 0.3), (1.0, 1.0), (0.3, 0.0))
STEPS, STEP_DB = 60, 0.5  # of Adam
HUBER_DB = 1.0
PULL_DB = 5.0
AUDIBLE_DB = -45.0  # a stem further below the sum of all has no level to speak of
SIZE = 3 * BANDS + len(PULLS) + 6  # numbers for each stem


@torch.no_grad()
def stem_evidence(stems: torch.Tensor, mix: torch.Tensor, record: torch.Tensor) -> torch.Tensor:
    """Collect what each stem can read, from the powers of stems, present mix and record.

    Args:
        stems: Powers of the stems in the present mix (B, N, 3, bands); zeros for padding.
        mix: Powers of the present mix (B, 3, bands), at the loudness of the record.
        record: Powers of the record (B, 3, bands).

    Returns:
        Numbers for each stem, (B, N, SIZE), about -3 to 3: share times difference in each band, in 5 dB; share
        times lean in each band; the four fitted gains, in 6 dB; the difference where the stem has its power,
        in its mid and in its side, in 5 dB; its level in the mix, in 20 dB above -20 dB; its share of mid, 0 to
        1; its own lean, and what the record leans more where the stem has its power.

    Example:
        >>> stem_evidence(torch.rand(1, 3, 3, 40), torch.rand(1, 3, 40), torch.rand(1, 3, 40)).shape
        torch.Size([1, 3, 130])
    """
    lean = _lean(record) - _lean(mix)  # (B, bands)
    stems, product = stems[:, :, :2], stems[:, :, 2]  # (B, N, 2, bands), (B, N, bands)
    record, mix = record[:, :2], mix[:, :2]
    total = stems.sum(dim=1)  # (B, 2, bands)
    share = stems / (total + _floor(total))[:, None]  # (B, N, 2, bands)
    floor = _floor(record)
    difference_db = 10.0 * torch.log10((record + floor) / (mix + floor))
    difference_db = difference_db.clamp(-LIMIT_DB, LIMIT_DB)  # (B, 2, bands)
    of_signal = stems.sum(dim=-1)  # (B, N, 2)
    profile = stems / (of_signal[..., None] + TINY)
    missing_db = (profile * difference_db[:, None]).sum(dim=-1)  # (B, N, 2)
    bands, of_stem = stems.sum(dim=2), of_signal.sum(dim=-1)  # (B, N, bands), (B, N)
    of_bands = bands / (total.sum(dim=1) + floor[:, 0])[:, None]  # share of mid and side together
    level_db = 10.0 * torch.log10(of_stem / (of_stem.sum(dim=-1, keepdim=True) + TINY) + 1e-6)
    numbers = [
        (share * difference_db[:, None]).flatten(2) / 5.0,
        of_bands * lean[:, None],
        fitted_gains_db(share, difference_db, level_db) / 6.0,
        missing_db / 5.0,
        level_db[..., None] / 20.0 + 1.0,
        (of_signal[..., 0] / (of_stem + TINY))[..., None],
        (2.0 * product.sum(dim=-1) / (of_stem + TINY))[..., None],
        ((bands * lean[:, None]).sum(dim=-1) / (of_stem + TINY))[..., None],
    ]
    return torch.cat(numbers, dim=-1)


def _lean(power: torch.Tensor) -> torch.Tensor:
    """Compute how far left is above right in each band, -1 to 1, (B, bands), from powers (B, 3, bands)."""
    mid, side, product = power.unbind(dim=1)
    return 2.0 * product / (mid + side + _floor(power[:, :2])[:, 0])


def _floor(power: torch.Tensor) -> torch.Tensor:
    """Compute what is added to every band of powers (B, 2, bands), (B, 1, 1)."""
    return FLOOR * power.sum(dim=(-2, -1), keepdim=True) + TINY


@torch.no_grad()
def fitted_gains_db(
    share: torch.Tensor,
    difference_db: torch.Tensor,
    level_db: torch.Tensor,
    pulls: tuple[tuple[float, float], ...] = PULLS,
) -> torch.Tensor:
    """Fit gains with which the stems' shares explain the difference between record and mix.

        g = argmin  mean over bands of h(10 log10(sum_i 10^(g_i / 10) share_i) - d - c)
                    + mean_i [ a (g_i / 5 dB)^2 + b ((g_i + l_i) / 5 dB)^2 ]

    with Huber's function h, quadratic up to 1 dB, and l the levels. The bands do not tell all stems apart, so the
    gains are pulled: towards 0 dB, as far as the present balance is right, and towards equal levels, since the
    stems of a mix lie within some 5 dB of each other. c is the mean over bands of what is left, and the means
    of g and l are left out of the pulls: the level that all stems share is free, since mix and record have one
    loudness. Bands without power do not count, and stems below -45 dB have no level and no part in these means. It takes 60 steps of Adam from 0 dB,
    with gradients written down here, since nobody differentiates the fit.

    Args:
        share: Shares of the stems in each band, (B, N, 2, bands), 0 to 1.
        difference_db: d, (B, 2, bands), in dB.
        level_db: Levels of the stems against their sum, (B, N), in dB; -45 or less for padding.
        pulls: Weights a and b, 0 or more, a pair for each fit.

    Returns:
        Gains (B, N, len(pulls)) in dB.

    Example:
        >>> low, high = torch.eye(2)[:, None].expand(-1, 2, -1)     # two stems that share no band
        >>> share, difference_db = torch.stack([low, high])[None], torch.tensor([[[3.0, -3.0]] * 2])
        >>> level_db = torch.tensor([[-3.0, -3.0]])
        >>> fitted_gains_db(share, difference_db, level_db, ((0.0, 0.0),)).round().flatten().tolist()
        [3.0, -3.0]
    """
    share, wanted = share[:, None], difference_db[:, None]  # (B, 1, N, 2, bands), (B, 1, 2, bands)
    audible = (share.sum(dim=2) > 0.5).to(share)  # bands in which the stems have any power
    weight = audible / audible.sum(dim=(-2, -1), keepdim=True).clamp(min=1.0)
    heard = (level_db > AUDIBLE_DB).to(share)[:, None]
    each = 1.0 / heard.sum(dim=-1, keepdim=True).clamp(min=1.0)
    counts = each * heard  # (B, 1, N)
    level_db = heard * _less_mean(level_db[:, None], counts)
    to_start, to_equal = (2.0 / PULL_DB**2 * share.new_tensor(pulls)).T[:, :, None]  # (pulls, 1) each
    gains = share.new_zeros(len(share), len(pulls), share.shape[2])
    mean, square = torch.zeros_like(gains), torch.zeros_like(gains)
    for step in range(1, STEPS + 1):
        free = _less_mean(gains, counts)
        pull = each * (to_start * free + to_equal * (free + level_db))
        gradient = _slope(gains, share, wanted, weight) + pull
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient.square()
        rate = STEP_DB * min(1.0, 2.0 * (1.0 - step / (STEPS + 1)))
        gains = gains - rate * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    return gains.transpose(1, 2)


def _less_mean(values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Leave out the mean over the stems that count."""
    return values - (counts * values).sum(dim=-1, keepdim=True)


def _slope(
    gains: torch.Tensor, share: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Compute the derivative of the fit's first term by the gains (B, pulls, N)."""
    parts = 10.0 ** (gains / 10.0)[..., None, None] * share  # (B, pulls, N, 2, bands)
    total = parts.sum(dim=2) + 1e-9
    error = 10.0 * torch.log10(total) - wanted
    error = error - (weight * error).sum(dim=(-2, -1), keepdim=True)
    slope = weight * (error / HUBER_DB).clamp(-1.0, 1.0)
    slope = slope - weight * slope.sum(dim=(-2, -1), keepdim=True)
    return (slope[:, :, None] * parts / total[:, :, None]).sum(dim=(-2, -1))
