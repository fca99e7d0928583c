"""A network that leads away from its record is led back by halves, and says so."""

import math
import warnings

import pytest
from model_helpers import model

import diffmst_lib as dm
from diffmst_lib import InputNote
from diffmst_lib.console.table import knob_index, param_table
from diffmst_lib.mixing.result import render_mix
from diffmst_lib.mixing.start import start_params
from diffmst_lib.network.controller import start_console


@pytest.fixture
def tiny():
    return model()


def brighten(monkeypatch, model, gain_db):
    """Have a network turn up the treble of every stem, and nothing else."""

    def console_logits(embeddings, style, tracks, *, pans):
        strips, *buses = start_console(pans, "default")
        gain = param_table("track")[knob_index("high_shelf_gain_db")]
        strips[..., knob_index("high_shelf_gain_db")] = math.log((gain_db - gain.low) / (gain.high - gain_db))
        return [strips, *(bus.expand(1, -1) for bus in buses)]

    monkeypatch.setattr(model, "console_logits", console_logits)


def brighter(song, gain_db):
    """A record: the song with more treble."""
    params = start_params(song)
    params.tracks[:, knob_index("high_shelf_gain_db")] = gain_db
    return render_mix(song, params).audio


@pytest.mark.parametrize(
    ("wanted_db", "share", "told"),
    [(6.0, 1.0, None), (4.0, 0.5, "it goes 0.5 of its way"), (0.0, 0.0, "the song stays as it starts")],
)
def test_a_network_that_leads_away_from_the_record_is_led_back_by_halves(
    tiny, song, monkeypatch, wanted_db, share, told
):
    brighten(monkeypatch, tiny, 11.0)
    record = brighter(song, wanted_db)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", InputNote)
        result = tiny.mix(song, record)
        far = tiny.mix(song, record, keep=0)
    plain = dm.unity(song, reference=record).loss["total"]
    assert result.params.values("track")["high_shelf_gain_db"].tolist() == pytest.approx(
        [11.0 * share] * 3, abs=0.01
    )
    assert result.loss["total"] <= plain + 1e-4 and result.plain_loss == pytest.approx(plain)
    assert (far.loss["total"] > plain) == (share < 1)
    led = [str(note.message) for note in notes if "led farther" in str(note.message)]
    assert len(led) == (share < 1)
    if told:
        assert told in led[0] and led[0].endswith("(keep=0 takes it as it is)")
        assert f"loss {far.loss['total']:.4f} against {plain:.4f}" in led[0]


def test_nothing_is_led_back_where_the_song_stays_or_steps_refine(tiny, song, monkeypatch):
    brighten(monkeypatch, tiny, 11.0)
    record = brighter(song, 0.0)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", InputNote)
        tiny.mix(song, record, amount=0.0)
        tiny.mix(song, record, refine_steps=1)
    assert not any("led farther" in str(note.message) for note in notes)
