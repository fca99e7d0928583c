"""Evidence: gains that explain a difference, what a stem reads when it is too quiet or leans, and its limits."""

import torch

from diffmst_lib.network.evidence import PULLS, SIZE, fitted_gains_db, stem_evidence
from diffmst_lib.network.powers import BANDS, band_power

# Gains


def shares(*stems):
    """Shares (1, N, 2, bands) of stems (bands,) that are in the mid as in the side."""
    power = torch.tensor(stems)[None, :, None].expand(-1, -1, 2, -1)
    return power / power.sum(dim=1, keepdim=True)


def test_a_fit_without_pull_finds_the_gains_but_for_the_level_that_all_share():
    share = shares([8.0, 4.0, 1.0, 0.1], [1.0, 4.0, 1.0, 1.0], [0.1, 1.0, 4.0, 8.0])
    gains_db = torch.tensor([4.0, -1.0, -3.0])
    mixed = (10 ** (gains_db / 10))[:, None, None] * share[0]
    difference_db = 10 * torch.log10(mixed.sum(dim=0))[None] + 2.5
    found = fitted_gains_db(share, difference_db, torch.zeros(1, 3), ((0.0, 0.0),))[0, :, 0]
    # Sixty steps come near.
    torch.testing.assert_close(found - found.mean(), gains_db - gains_db.mean(), rtol=0, atol=0.8)


def test_more_pull_is_nearer_to_no_gain():
    share = shares([8.0, 1.0], [1.0, 8.0])
    pulls = ((0.0, 0.0), (0.3, 0.0), (1.0, 0.0), (100.0, 0.0))
    found = fitted_gains_db(share, torch.tensor([[[4.0, -4.0]] * 2]), torch.zeros(1, 2), pulls)
    moved = found[0].abs().mean(dim=0)
    assert (moved.diff() < 0).all() and moved[-1] < 0.5


def test_where_the_bands_tell_nothing_the_pull_makes_levels_equal_half_way_or_whole():
    """Two stems that sound alike, 6 dB apart; the record says nothing of them."""
    share = torch.tensor([0.8, 0.2])[None, :, None, None].expand(-1, -1, 2, 4)
    level_db, pulls = torch.tensor([[-1.0, -7.0]]), ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    found = fitted_gains_db(share, torch.zeros(1, 2, 4), level_db, pulls)[0]
    torch.testing.assert_close(found[1] - found[0], torch.tensor([0.0, 3.0, 6.0]), rtol=0, atol=0.3)


def test_a_stem_that_is_hardly_there_has_no_part_in_the_levels():
    share, difference_db = shares([8.0, 1.0], [1.0, 8.0]), torch.tensor([[[3.0, -3.0]] * 2])
    want = fitted_gains_db(share, difference_db, torch.tensor([[-3.0, -3.0]]))
    with_third = torch.cat([share, torch.full((1, 1, 2, 2), 1e-6)], dim=1)
    found = fitted_gains_db(with_third, difference_db, torch.tensor([[-3.0, -3.0, -60.0]]))
    torch.testing.assert_close(found[:, :2], want, rtol=0, atol=0.01)
    assert found[:, 2].abs().max() < 1.0


def test_the_same_spectrum_needs_no_gain_whatever_its_level():
    found = fitted_gains_db(shares([8.0, 1.0], [1.0, 8.0]), torch.full((1, 2, 2), 6.0), torch.zeros(1, 2))
    assert found.abs().max() < 1e-3


def test_padding_and_empty_bands_change_no_gain():
    share, difference_db = shares([8.0, 1.0, 2.0], [1.0, 8.0, 1.0]), torch.tensor([[[3.0, -3.0, 0.0]] * 2])
    level_db, padding = torch.tensor([[-2.0, -5.0]]), torch.full((1, 3), -60.0)
    want = fitted_gains_db(share, difference_db, level_db)
    padded = torch.cat([share, torch.zeros(1, 3, 2, 3)], dim=1)
    found = fitted_gains_db(padded, difference_db, torch.cat([level_db, padding], dim=1))
    torch.testing.assert_close(found[:, :2], want)
    empty = torch.cat(
        [share, torch.zeros(1, 2, 2, 1)], dim=-1
    )  # in that band the record may say what it likes
    more = torch.cat([difference_db, torch.full((1, 2, 1), 15.0)], dim=-1)
    torch.testing.assert_close(fitted_gains_db(empty, more, level_db), want)


# Evidence


def powers(*shape):
    """Powers of noise (..., 3, 40) that leans."""
    balance = torch.linspace(0.5, 1.5, 2)[:, None]
    sound = torch.randn(*shape, 2, 8192, generator=torch.Generator().manual_seed(0))
    return band_power(0.1 * balance * sound)


def test_a_stem_that_is_too_quiet_reads_so():
    """Two stems that share no band; in the record the first is 4 dB louder and the second 4 dB softer."""
    half = BANDS // 2
    stems = torch.zeros(1, 2, 3, BANDS)
    stems[:, 0, :2, :half], stems[:, 1, :2, half:] = 1.0, 1.0
    mix = stems.sum(dim=1)
    record = mix * 10 ** torch.tensor([0.4] * half + [-0.4] * half)
    parts = stem_evidence(stems, mix, record)[0].split([2 * BANDS, BANDS, len(PULLS), 2, 1, 1, 1, 1], dim=-1)
    bands, leans, gains, missing, level, mid, lean, missing_lean = parts
    for stem, sign in ((0, 1.0), (1, -1.0)):
        own = bands[stem].view(2, BANDS)[:, stem * half : (stem + 1) * half]
        torch.testing.assert_close(5 * own, torch.full_like(own, sign * 4.0), rtol=0, atol=0.05)
        torch.testing.assert_close(5 * missing[stem], torch.full((2,), sign * 4.0), rtol=0, atol=0.05)
        assert (sign * 6 * gains[stem])[0] > 2.0
        assert bands[stem].count_nonzero() == BANDS  # and nothing of the other's bands
    torch.testing.assert_close(20 * (level[:, 0] - 1.0), torch.full((2,), -3.01), rtol=0, atol=0.01)
    torch.testing.assert_close(mid[:, 0], torch.full((2,), 0.5))
    assert all((part == 0).all() for part in (leans, lean, missing_lean))


def test_a_stem_that_is_too_far_left_reads_so():
    """Of two stems with bands of their own, the record has the first on the left, where the mix has its right."""
    half, stems = BANDS // 2, torch.zeros(1, 2, 3, BANDS)
    stems[:, 0, :2, :half], stems[:, 1, :2, half:] = 1.0, 1.0
    stems[:, 0, 2, :half] = -0.5
    mix = stems.sum(dim=1)
    record = mix.clone()
    record[:, 2, :half] = 0.25
    *_, lean, missing_lean = stem_evidence(stems, mix, record)[0].unbind(dim=-1)
    torch.testing.assert_close(lean, torch.tensor([-0.5, 0.0]), rtol=0, atol=1e-3)
    torch.testing.assert_close(missing_lean, torch.tensor([0.75, 0.0]), rtol=0, atol=1e-3)
    leans = stem_evidence(stems, mix, record)[0, :, 2 * BANDS : 3 * BANDS]
    torch.testing.assert_close(leans[0, :half], torch.full((half,), 0.75), rtol=0, atol=1e-3)
    assert (leans[0, half:] == 0).all() and (leans[1] == 0).all()


def test_evidence_is_finite_for_silence_mono_and_differences_without_end():
    some = powers(1, 3)
    none, mono = torch.zeros_like(some), some * torch.tensor([1.0, 0.0, 0.0])[:, None]
    for stems in (some, none, mono, 1e-12 * some, 1e6 * some):
        for mix in (stems.sum(dim=1), none[:, 0]):
            for record in (some[:, 0], mono[:, 0], none[:, 0]):
                found = stem_evidence(stems, mix, record)
                assert found.shape == (1, 3, SIZE) and torch.isfinite(found).all()
                assert found.abs().max() < 10


def test_evidence_of_a_stem_moves_with_it_and_padding_changes_none():
    stems, mix, record = powers(2, 6).split([4, 1, 1], dim=1)
    mix, record = mix[:, 0], record[:, 0]
    want, order = stem_evidence(stems, mix, record), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(stem_evidence(stems[:, order], mix, record), want[:, order], rtol=0, atol=1e-4)
    padded = torch.cat([stems, torch.zeros(2, 2, 3, BANDS)], dim=1)
    torch.testing.assert_close(stem_evidence(padded, mix, record)[:, :4], want, rtol=0, atol=1e-4)
    torch.testing.assert_close(stem_evidence(stems[1:], mix[1:], record[1:])[0], want[1], rtol=0, atol=1e-4)
