"""The balance test and the pairs, with models whose answer is known."""

import numpy as np
import pytest
import torch
from training_helpers import small_cnn

import diffmst_lib as dm
from diffmst_lib.mixing.result import render_mix
from diffmst_lib.mixing.start import neutral_params
from diffmst_lib.training.exam import balance_task, balance_test, pair_task, pair_test, sounding_halves


class Says(dm.DiffMST):
    """Mixes with a console that `answer` makes of the song, and notes what it was asked."""

    def __init__(self, answer):
        super().__init__("tiny")
        self.answer, self.asked = answer, []

    def mix(self, song, reference, *, refine_steps=0):
        self.asked.append((reference, refine_steps))
        return render_mix(song, self.answer(song))


def moved(gains_db):
    """An answer that moves the faders from where they were delivered."""

    def answer(song):
        params = neutral_params(song)
        for name, gain_db in zip(song.names, gains_db, strict=True):
            params.track(name)["fader_db"] = float(gain_db)
        return params

    return answer


def test_a_model_that_does_nothing_leaves_everything(song):
    table = balance_test(Says(neutral_params), [song], draws=3)
    assert table["disturbed"].to_numpy() == pytest.approx(5.0)
    assert table["found"].to_numpy() == pytest.approx(5.0, abs=1e-3)
    assert table[["song", "draw", "stems"]].values.tolist() == [[song.title, draw, 3] for draw in range(3)]


def test_the_right_faders_leave_nothing(song):
    gains_db = balance_task(Says(neutral_params), song, np.random.default_rng(7))["disturbed"]
    table = balance_task(Says(moved(-gains_db)), song, np.random.default_rng(7))
    assert list(table.index) == song.names
    assert table["disturbed"].to_numpy() == pytest.approx(gains_db.to_numpy())
    assert table["found"].abs().max() < 1e-3
    levels = [dm.loudness(stem) for stem in sounding_halves(song)[1].audio]
    assert table["equal"].to_numpy() == pytest.approx(np.mean(levels) - levels)


def test_the_record_is_the_undisturbed_mix_of_the_first_half(song):
    model = Says(neutral_params)
    balance_test(model, [song], draws=2, refine_steps=5)
    first = song.audio[..., : song.audio.shape[-1] // 2].sum(dim=0)
    assert len(model.asked) == 2
    assert all(torch.equal(record, first) and steps == 5 for record, steps in model.asked)


def test_draws_depend_on_the_seed_alone(song):
    one, again, other = (
        balance_task(Says(neutral_params), song, np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert one.equals(again) and not np.allclose(one["disturbed"], other["disturbed"])


def test_pairs_of_a_model_that_does_nothing(song, reference, noise):
    records = {"one": reference, "other": noise(2, 44100)}
    model = Says(neutral_params)
    table = pair_test(model, [song], records)
    assert list(table["record"]) == ["one", "other"]
    for column in ("right", "wrong"):
        assert table[column].to_numpy() == pytest.approx(table["plain"].to_numpy(), rel=1e-3)
    costs = ["moved_db", "worst_moved_db", "leaned_db", "worst_leaned_db"]
    assert table[costs].to_numpy() == pytest.approx(0.0, abs=1e-3)
    assert [steps for _, steps in model.asked] == [0] * 4
    refined = pair_test(model, [song], records, refine_steps=3)
    assert refined["wrong"].isna().all() and [steps for _, steps in model.asked[4:]] == [3, 3]


def test_wrong_is_the_other_records_mix_compared_with_the_right_record(song, reference, noise):
    other = noise(2, 44100)

    class Copies(Says):
        def mix(self, song, reference, *, refine_steps=0):
            result = super().mix(song, reference)
            result.audio = reference
            return result

    row = pair_task(Copies(neutral_params), song, reference, other)
    levelled = (dm.normalize_loudness(audio) for audio in (other, reference))
    assert row["right"] == pytest.approx(0.0, abs=1e-9)
    assert row["wrong"] == pytest.approx(dm.audio_feature_loss(*levelled)["total"].item(), rel=1e-4)


def test_what_a_mix_costs(song, reference):
    silent = dm.Multitrack([*song.names, "rest"], torch.cat([song.audio, torch.zeros_like(song.audio[:1])]))
    row = pair_task(Says(moved([6.0, 0.0, 0.0, 0.0])), silent, reference)
    assert row["moved_db"] == pytest.approx(2.0, abs=1e-3)
    assert row["worst_moved_db"] == pytest.approx(6.0, abs=1e-3)

    def panned(song):
        params = neutral_params(song)
        params.track("bgvox_main")["pan"] = 0.75
        return params

    row = pair_task(Says(panned), song, reference)
    assert row["worst_leaned_db"] == pytest.approx(20 * np.log10(np.tan(0.75 * np.pi / 2)), abs=0.01)
    stereo = [not mono for mono in song.is_mono()]
    assert row["leaned_db"] == pytest.approx(row["worst_leaned_db"] / sum(stereo))


def test_mono_stems_cannot_lean(song, reference):
    mono = dm.Multitrack(song.names, song.audio.mean(dim=1, keepdim=True).expand(-1, 2, -1).contiguous())
    row = pair_task(Says(neutral_params), mono, reference)
    assert np.isnan(row["leaned_db"]) and np.isnan(row["worst_leaned_db"])


def test_only_stems_that_sound_in_both_halves_count(song):
    late = song.audio.clone()
    late[0, :, : late.shape[-1] // 2] = 0
    late[1, :, late.shape[-1] // 2 :] *= 1e-4
    names = [
        part.names
        for part in sounding_halves(dm.Multitrack([*song.names, "more"], torch.cat([late, song.audio[1:2]])))
    ]
    assert names == [[song.names[2], "more"]] * 2
    with pytest.raises(dm.InputError, match="two stems that sound in both halves"):
        sounding_halves(dm.Multitrack(song.names, late))


def test_models_of_channels_have_no_strips_of_stems(song):
    model = dm.DiffMST(small_cnn(console="reference", track_lufs=-48.0))
    with pytest.raises(dm.InputError, match="mono channels"):
        balance_test(model, [song])
    with pytest.raises(dm.InputError, match="mono channels"):
        dm.training.strip_test(model, [song])
