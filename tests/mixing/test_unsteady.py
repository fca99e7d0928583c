"""Knobs about which the windows of a song disagree: what is measured, what is told, and where it is kept."""

import json

import pytest
import torch
from model_helpers import model

import diffmst_lib as dm
from diffmst_lib import Multitrack
from diffmst_lib.mixing.unsteady import Unsteady, still_unsteady, unsteady_knobs

pytestmark = pytest.mark.filterwarnings("ignore:the mix is farther from its record")
NAMES = ["kick", "bass"]
ALL = {"balance": 1.0, "tone": 1.0, "dynamics": 1.0, "image": 1.0}


def consoles(*settings):
    """A batch of neutral consoles of two stems, one a window, with some knobs set: {"kick.fader_db": 3.0}."""
    windows = []
    for knobs in settings:
        params = dm.ConsoleParams.neutral(NAMES)
        for name, value in knobs.items():
            strip, knob = name.split(".")
            (params.master_bus if strip == "master_bus" else params.track(strip))[knob] = value
        windows.append(params)
    return dm.ConsoleParams(
        *(
            torch.stack([getattr(p, part) for p in windows])
            for part in ("tracks", "fx_bus_values", "master_bus_values")
        ),
        names=NAMES,
    )


def measured(*settings, energy=None):
    """How unsteady each knob is that is so by more than a hundredth of a dB."""
    energy = torch.ones(len(settings), 2) if energy is None else torch.tensor(energy)
    found = unsteady_knobs(consoles(*settings), energy)
    return {f"{one.where}.{one.knob}": one.deviation_db for one in found if one.deviation_db > 0.01}


def test_windows_that_agree_leave_nothing_to_say():
    setting = {"kick.fader_db": -6.0, "kick.peak_2_gain_db": 9.0, "master_bus.makeup_gain_db": 3.0}
    assert measured(setting, setting, setting) == {}


@pytest.mark.parametrize("knob", ["kick.makeup_gain_db", "master_bus.makeup_gain_db"])
def test_a_deviation_is_weighted_by_the_energy_of_the_windows(knob):
    energy = [[3.0, 3.0], [1.0, 1.0], [0.0, 0.0]]
    found = measured({knob: 0.0}, {knob: 4.0}, {knob: 6.0}, energy=energy)
    assert found == {knob: pytest.approx(4.0 * (0.75 * 0.25) ** 0.5, abs=1e-4)}


def test_a_window_counts_only_for_the_stems_that_sound_there():
    settings = [{"kick.makeup_gain_db": 0.0}, {"kick.makeup_gain_db": 10.0}]
    assert measured(*settings, energy=[[1.0, 1.0], [0.0, 1.0]]) == {}


def test_faders_count_against_each_other():
    together = [{"kick.fader_db": f, "bass.fader_db": f - 3.0} for f in (-6.0, 0.0, 6.0)]
    assert measured(*together) == {}
    apart = measured({"kick.fader_db": 6.0}, {"kick.fader_db": -6.0})
    assert apart == {name: pytest.approx(3.0, abs=0.01) for name in ("kick.fader_db", "bass.fader_db")}
    alone = measured({"kick.fader_db": 6.0}, {"kick.fader_db": -6.0}, energy=[[1.0, 0.0], [1.0, 1e-30]])
    assert alone.get("kick.fader_db", 0.0) < 0.01


@pytest.mark.parametrize(("ratio", "told_db"), [(1.0, None), (2.0, 5.0), (4.0, 7.5)])
def test_a_threshold_counts_by_what_it_takes_off(ratio, told_db):
    found = measured(*({"kick.ratio": ratio, "kick.threshold_db": t} for t in (-40.0, -20.0)))
    assert found == ({} if told_db is None else {"kick.threshold_db": pytest.approx(told_db, abs=0.01)})


def test_of_an_equalizer_the_response_counts_and_its_busiest_band_is_named():
    opposite = [{"bass.peak_2_gain_db": g, "bass.peak_2_frequency_hz": 1000.0} for g in (-8.0, 8.0)]
    (one,) = [one for one in unsteady_knobs(consoles(*opposite), torch.ones(2, 2)) if one.deviation_db > 0.01]
    assert (one.where, one.knob, one.aspect, one.frequency_hz) == ("bass", "peak_2_gain_db", "tone", 1000.0)
    assert one.deviation_db == pytest.approx(8.0, abs=0.1)
    flat = [{"bass.peak_1_frequency_hz": f} for f in (50.0, 500.0)]  # at 0 dB a frequency moves nothing
    assert measured(*flat) == {}


def test_levels_that_are_held_elsewhere_do_not_count():
    knobs = ("kick.input_gain_db", "kick.send_db", "master_bus.output_gain_db", "kick.knee_db")
    assert measured({}, *({knob: 12.0} for knob in knobs)) == {}


def test_what_is_locked_or_not_taken_is_not_told():
    knobs = [
        Unsteady("kick", "makeup_gain_db", "dynamics", 8.0),
        Unsteady("kick", "fader_db", "balance", 5.0),
        Unsteady("master_bus", "peak_1_gain_db", "tone", 4.0, 100.0),
        Unsteady("bass", "fader_db", "balance", 2.9),
    ]

    def told(lock=(), **shares):
        heard = still_unsteady(knobs, NAMES, lock, ALL | shares)
        return [(f"{one.where}.{one.knob}", one.deviation_db) for one in heard]

    all_three = [("kick.makeup_gain_db", 8.0), ("kick.fader_db", 5.0), ("master_bus.peak_1_gain_db", 4.0)]
    assert told() == all_three  # not the last, which is within the limit
    assert told([(0, None)]) == all_three[2:]
    assert told([(0, "fader_db"), ("master_bus", None), (1, None)]) == all_three[:1]
    assert told(dynamics=0.5) == [("kick.fader_db", 5.0), ("kick.makeup_gain_db", 4.0), all_three[2]]
    assert told(dynamics=0.25, balance=0.0) == all_three[2:]


# In a mix


@pytest.fixture(scope="module")
def song(noise):
    """Two windows of a second."""
    return Multitrack(NAMES, noise(2, 2, 88_200))


@pytest.fixture
def torn(monkeypatch):
    """A network that turns the kick down, and its treble up, in every other window."""
    torn = model(window_seconds=1.0)
    windows = []

    def console_logits(embeddings, style, tracks, *, pans):
        windows.append(1)
        sign = (-1) ** len(windows)
        knobs = {"kick.fader_db": sign * 10.0, "kick.high_shelf_gain_db": sign * -7.0}
        return list(consoles(knobs).to_logits())

    monkeypatch.setattr(torn, "console_logits", console_logits)
    return torn


def test_a_mix_tells_about_which_knobs_its_windows_disagree(torn, song, reference, tmp_path):
    result = torn.mix(song, reference, keep=0)
    first, *others = result.unsteady
    assert (first.where, first.knob) == ("kick", "high_shelf_gain_db")
    assert first.deviation_db == pytest.approx(7.0, abs=0.1)
    assert {(one.where, one.knob) for one in others} == {("kick", "fader_db"), ("bass", "fader_db")}
    warnings = [warning for warning in result.report().warnings if warning.check == "windows"]
    assert [(w.where, w.knob) for w in warnings] == [
        (one.where, f"{one.where}.{one.knob}") for one in (first, *others)
    ]
    assert "kick: windows disagree about its equalizer by 7.0 dB at 1" in warnings[0].message
    assert "(limit 3 dB, ours); listen" in warnings[0].message
    assert result.params.track("kick")["high_shelf_gain_db"] == pytest.approx(0.0, abs=0.2)  # the mean
    remixed = result.remix()
    assert remixed.unsteady == result.unsteady and "windows disagree" in str(remixed.report())
    saved = json.loads((remixed.save(tmp_path) / "report.json").read_text())
    of_windows = [warning for warning in saved["warnings"] if warning["check"] == "windows"]
    assert of_windows == [warning.to_dict() for warning in warnings]


def test_only_the_worst_are_told_and_none_after_a_fit(torn, song, reference):
    many = Multitrack([f"t{i}" for i in range(9)], song.audio[:1].repeat(9, 1, 1))
    result = dm.equal_loudness(many)
    result.unsteady = [Unsteady(name, "fader_db", "balance", 9.0 - i) for i, name in enumerate(many.names)]
    told = [warning.where for warning in result.report().warnings if warning.check == "windows"]
    assert told == many.names[:5]
    assert not torn.mix(song, reference, refine_steps=1).unsteady
    assert not torn.mix(song, reference, keep=0, amount=0.2).unsteady
