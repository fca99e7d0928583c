"""Going on with a fit after edits: nearer to the record, and what was edited stays."""

import pytest
import torch

import diffmst_lib as dm
from diffmst_lib import InputError, refine
from diffmst_lib.console.automation import Automation

FEW = {"steps": 4, "fit_seconds": 1}


@pytest.fixture(scope="module")
def short(song, reference):
    return dm.optimize_mix(song.excerpt(0, 1), reference, steps=2, fit_seconds=1)


def moved(old, new):
    """The knobs that differ, as (strip, knob)."""
    strips = [(old.track(name), new.track(name)) for name in old.names]
    strips += [(old.fx_bus, new.fx_bus), (old.master_bus, new.master_bus)]
    return {(a.label, knob) for a, b in strips for knob in a if abs(a[knob] - b[knob]) > 1e-6}


def test_what_was_edited_stays_and_the_rest_comes_nearer(short):
    edited = short.edit("kick", pan=0.45, peak_2_gain_db=3.0).nudge("minilogue_synth", fader_db=-3.0)
    better = refine(edited, **FEW)
    changed = moved(edited.params, better.params)
    assert changed and not changed & {
        ("kick", "pan"),
        ("kick", "peak_2_gain_db"),
        ("minilogue_synth", "fader_db"),
    }
    before = edited.record.distance(edited.audio, edited.loudness_lufs, sample_rate=edited.sample_rate)
    assert better.loss["total"] < before["total"]
    assert better.loudness_lufs == pytest.approx(edited.loudness_lufs, abs=0.05)
    assert better.edits["what"].iloc[-1] == "refine" and len(better.history) == FEW["steps"] + 1
    assert better.undo().params.to_json() == edited.params.to_json()


def test_locks_and_no_locks(short):
    edited = short.edit("kick", peak_2_gain_db=3.0)
    free = refine(edited, **FEW, lock_edits=False)
    assert ("kick", "peak_2_gain_db") in moved(edited.params, free.params)
    held = refine(edited, **FEW, lock=["bgvox_main", "kick.ratio", "master_bus"])
    changed = moved(edited.params, held.params)
    assert {strip for strip, _ in changed} == {"kick", "minilogue_synth", "master_bus"}
    assert {knob for strip, knob in changed if strip == "master_bus"} == {"output_gain_db"}  # the level
    assert ("kick", "ratio") not in changed


def test_what_a_refinement_moved_is_not_locked_in_the_next(short):
    once = refine(short, **FEW)
    twice = refine(once, **FEW)
    assert len(moved(once.params, twice.params)) > 20


def test_the_reverbs_edited_knobs_stay(short):
    edited = short.edit("kick", send_db=-12.0).edit("fx_bus", mix=0.7)
    better = refine(edited, **FEW)
    assert better.params.fx_bus["mix"] == pytest.approx(0.7, abs=1e-6)
    assert better.params.track("kick")["send_db"] == -12.0
    assert any(strip == "fx_bus" for strip, _ in moved(edited.params, better.params))


def test_nothing_moves_in_no_steps(short):
    same = refine(short, steps=0, fit_seconds=1)
    assert moved(short.params, same.params) <= {("master_bus", "output_gain_db")} | {
        (name, "fader_db")
        for name in short.params.names  # the level before the master bus, written there again
    }


def test_each_section_by_itself(short):
    verse, chorus = short.params.clone(), short.params.clone()
    chorus.track("kick")["fader_db"] -= 2.0
    moving = short.with_params(
        Automation([0.0, 0.5], [verse, chorus], ["verse", "chorus"], fade_s=0.05, loudest=1)
    )
    refined = refine(moving.edit("kick", pan=0.45, section="chorus"), **FEW)
    consoles = refined.automation.consoles
    assert consoles[1].track("kick")["pan"] == pytest.approx(0.45, abs=1e-6)
    assert moved(consoles[0], consoles[1]) and moved(verse, consoles[0])
    one = refine(moving, **FEW, section="chorus")
    rest = moved(one.automation.consoles[0], moving.automation.consoles[0])
    assert rest <= {("master_bus", "output_gain_db")}
    with pytest.raises(InputError, match=r"^no section 'bridge': there are verse, chorus$"):
        refine(moving, section="bridge")


def test_several_records_with_their_weights(song, reference):
    mix = dm.optimize_mix(song.excerpt(0, 1), [(reference, 3), reference.flip(-1)], steps=1, fit_seconds=1)
    assert refine(mix, **FEW).record is mix.record


def test_bad_input_is_refused_in_one_line(song, short):
    for call, message in [
        (lambda: refine(dm.unity(song)), "this mix was made without a record"),
        (lambda: refine(short, lock=["kik"]), "lock: no stem or knob 'kik': did you mean 'kick'"),
        (lambda: refine(short, -1), "steps must be a whole number of at least 0, got -1"),
        (lambda: refine(short, amount=2), "amount must be from 0 to 1, got 2"),
        (lambda: refine(song), "refine takes a mix, a MixResult, not Multitrack"),
    ]:
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert torch.isfinite(short.audio).all()
