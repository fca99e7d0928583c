"""Tasks on powers: what is drawn, known answers, what the model gets, losses, and that it learns."""

import dataclasses

import numpy as np
import pytest
import torch
from audio_helpers import one_line
from model_helpers import model as speaking_model
from rehearsal_helpers import colored, heard_record, heard_song, noise_record, noise_song
from training_helpers import small_cnn

import diffmst_lib as dm
from diffmst_lib.audio.loudness import level_stems
from diffmst_lib.console.params import ConsoleParams
from diffmst_lib.inputs import InputError
from diffmst_lib.network.powers import BANDS
from diffmst_lib.training import rehearsal as module
from diffmst_lib.training.known import Knobs, known_loss
from diffmst_lib.training.recipes import recipe
from diffmst_lib.training.rehearsal import Rehearsal, Tasks, check_config

LIKE = recipe("af-16", "tiny")
EQUALIZER = ("low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf")


@pytest.fixture(scope="module")
def heard():
    """Three songs, one of them mono, whose two moments are the same; four records."""
    model = speaking_model()
    songs = [
        heard_song(model, noise_song(count, seed, side=side))
        for seed, (count, side) in enumerate([(4, 0.4), (6, 0.8), (3, 0.0)])
    ]
    return songs, [heard_record(model, noise_record(seed)) for seed in range(4)]


@pytest.fixture
def rehearsal(heard):
    return Rehearsal(speaking_model(), *heard)


def draw(rehearsal, count=6, seed=0, **options):
    return rehearsal.draw(count, np.random.default_rng(seed), **options)


def parts(tasks):
    """All tensors of tasks by name."""
    found = {field.name: getattr(tasks, field.name) for field in dataclasses.fields(tasks)}
    return found | vars(found.pop("answer"))


def never(monkeypatch, *names):
    """Some of the things that happen now and then do not happen."""
    for name in names:
        monkeypatch.setattr(module, name, 0.0)


def as_delivered(monkeypatch):
    """Songs have the balance, tone and image of their stems, and the other moment differs as it does."""
    monkeypatch.setattr(
        Knobs, "draw_artist", classmethod(lambda cls, level_db, rng: untouched(len(level_db)))
    )
    never(monkeypatch, "MOMENT_DB")


# Tasks


def test_shapes_and_padding(rehearsal):
    tasks = draw(rehearsal, 12)
    stems = tasks.mask.sum(dim=1)
    assert stems.min() >= 3 and stems.max() == tasks.mask.shape[1] > stems.min()
    assert tasks.power.shape == (12, stems.max(), 3, BANDS) and tasks.record.shape == (12, 3, BANDS)
    for name, value in parts(tasks).items():
        assert torch.isfinite(value).all(), name
        if name in ("statistics", "power", "response_db", "lean_db", "width_db"):
            assert (value[~tasks.mask] == 0).all(), name


def test_the_seed_decides(rehearsal):
    one, again, other = (parts(draw(rehearsal, seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not torch.equal(one["record"], other["record"])


def test_the_share_of_known_answers(rehearsal):
    assert draw(rehearsal, known=1.0).known.all() and not draw(rehearsal, known=0.0).known.any()
    assert 8 < draw(rehearsal, 40).known.sum() < 32


def test_records_at_their_level_stems_at_that_of_the_bus(rehearsal):
    tasks, loudness = draw(rehearsal), rehearsal.imitation.loudness
    below_db = 10 * torch.log10(loudness(tasks.power.sum(dim=1)) / loudness(tasks.record))
    torch.testing.assert_close(below_db, torch.full((6,), -4.0), rtol=0, atol=1e-3)


def far_from_heard(rehearsal, tasks):
    """How far the features of each task's record are from those of the nearest record that was heard."""
    heard = torch.stack([one.features for one in rehearsal.records])
    return (tasks.features[:, None] - heard).abs().amax(dim=-1).amin(dim=-1)


def test_a_real_record_is_as_it_was_heard_unless_it_gets_another_master(rehearsal, monkeypatch):
    never(monkeypatch, "OTHER_MASTER")
    as_heard = far_from_heard(rehearsal, draw(rehearsal, 24, known=0.0))
    monkeypatch.setattr(module, "OTHER_MASTER", 1.0)
    assert as_heard.max() < 0.2 < far_from_heard(rehearsal, draw(rehearsal, 24, known=0.0)).mean()


def test_statistics_change_as_those_of_the_sound(rehearsal):
    """Settings applied to powers and statistics give what the sound gives that they are applied to."""
    stems = noise_song(3, 7)
    knobs = Knobs.draw(3, np.random.default_rng(3), True)
    knobs.pan[:] = 0.5
    before = heard_song(rehearsal.model, stems)
    after = heard_song(rehearsal.model, knobs.apply(stems, 44100))
    statistics, power = rehearsal._process_heard(knobs, before.statistics[0], before.power[0])
    bands, half = rehearsal.model.config.bands, statistics.shape[-1] // 2
    decibels = 10 * torch.log10(torch.stack([power, after.power[0]])[:, :, :2])
    torch.testing.assert_close(decibels[0], decibels[1], rtol=0, atol=1.0)
    for first in (0, half):
        spectra = slice(first, first + bands)
        error = statistics[:, spectra] - after.statistics[0][:, spectra]
        assert error.abs().mean() < 0.3 and error.abs().max() < 4.0
        level = first + 2 * bands
        torch.testing.assert_close(statistics[:, level], after.statistics[0][:, level], rtol=0, atol=0.5)
    assert (before.statistics - after.statistics).abs().max() > 5.0


def test_mono_stems_are_those_of_the_sound(rehearsal, monkeypatch):
    stems = colored(5).mean(dim=0).expand(1, 2, -1)
    wide = heard_song(rehearsal.model, torch.stack([stems[0, 0], 0.5 * stems[0, 1]])[None])
    found = rehearsal._silent_side(wide.statistics[0])
    half = found.shape[-1] // 2
    torch.testing.assert_close(found[:, half:], heard_song(rehearsal.model, stems).statistics[0][:, half:])
    monkeypatch.setattr(module, "ALL_MONO", 1.0)
    monkeypatch.setattr(Knobs, "draw_two", classmethod(lambda cls, n, rng: (untouched(n), untouched(n))))
    as_delivered(monkeypatch)
    assert (draw(rehearsal).power[:, :, 1:] == 0).all()


def test_the_other_moment_differs_smoothly(monkeypatch):
    power = torch.ones(50, 3, BANDS)
    found = module.differing(power, np.random.default_rng(0))
    difference_db = 10 * torch.log10(found)
    assert 0.6 * module.MOMENT_DB < difference_db.std() < 1.1 * module.MOMENT_DB
    assert difference_db.diff(dim=-1).abs().mean() < 0.3 * module.MOMENT_DB
    assert torch.equal(difference_db[:, 0], difference_db[:, 1])  # no band changes its image
    never(monkeypatch, "MOMENT_DB")
    assert torch.equal(module.differing(power, np.random.default_rng(0)), power)


# Known answers


def untouched(count):
    return Knobs.draw(count, np.random.default_rng(0), False)


def only_the_record(monkeypatch):
    """One engineer touches nothing. Return the settings of the other, a list that grows with every task."""
    never(monkeypatch, "ALL_MONO", "MOMENT_DB")
    drawn = []

    def draw_two(cls, count, rng):
        drawn.append(Knobs.draw(count, rng, True))
        return untouched(count), drawn[-1]

    monkeypatch.setattr(Knobs, "draw_two", classmethod(draw_two))
    return drawn


def console_of(theirs, stems):
    """The console that does what settings do; strips beyond are padding."""
    params = ConsoleParams.neutral([f"stem {i}" for i in range(stems)])
    for i, gain_db in enumerate(theirs.gain_db):
        strip = params.track(f"stem {i}")
        strip["fader_db"], strip["pan"], strip["width"] = gain_db - 4.0, theirs.pan[i], theirs.width[i]
        for band, name in enumerate(EQUALIZER):
            strip[f"{name}_gain_db"] = theirs.eq_gain_db[i, band]
            strip[f"{name}_frequency_hz"] = theirs.frequency_hz[i, band]
            strip[f"{name}_q"] = 0.7
    return params


def stacked(consoles):
    names = ("tracks", "fx_bus_values", "master_bus_values")
    return ConsoleParams(*(torch.stack([getattr(one, name) for one in consoles]) for name in names))


def test_a_console_that_does_as_the_answer_says_has_no_loss(rehearsal, monkeypatch):
    """And its mix is the record, since both moments are the same here; all levels are 4 dB lower, which is free."""
    theirs = only_the_record(monkeypatch)
    tasks = draw(rehearsal, 8, known=1.0)
    params = stacked([console_of(one, tasks.mask.shape[1]) for one in theirs])
    losses = known_loss(params, tasks.answer, tasks.power, tasks.mask, each=True)
    _, mix = rehearsal.imitation.mix(tasks.power, params)
    assert losses.max() < 1e-3 and rehearsal.imitation.distance(mix, tasks.record).max() < 1e-4
    nothing = stacked([console_of(untouched(len(one.gain_db)), tasks.mask.shape[1]) for one in theirs])
    assert known_loss(nothing, tasks.answer, tasks.power, tasks.mask, each=True).min() > 0.05
    _, plain = rehearsal.imitation.mix(tasks.power, nothing)
    assert rehearsal.imitation.distance(plain, tasks.record).mean() > 0.01


def test_the_answer_undoes_what_the_tracks_engineer_did(rehearsal, monkeypatch):
    """With faders alone: the other way round, in the same task."""
    never(monkeypatch, "ALL_MONO")
    as_delivered(monkeypatch)
    gains = []

    def draw_two(cls, count, rng):
        ours = untouched(count)
        ours.gain_db = torch.tensor(rng.normal(0, 5, count), dtype=torch.float32)
        gains.append(ours.gain_db)
        return ours, untouched(count)

    monkeypatch.setattr(Knobs, "draw_two", classmethod(draw_two))
    tasks = draw(rehearsal, 4, known=1.0)
    for answer, ours in zip(tasks.answer.response_db, gains, strict=True):
        torch.testing.assert_close(answer[: len(ours)], -ours[:, None].expand(-1, BANDS))


# Answers


def exact(stems, record, rehearsal):
    """A task of one song on powers, and an imitation that knows the sound of its plain sum."""
    model = rehearsal.model
    mix = dm.normalize_loudness(stems.sum(dim=0))
    of_mix, of_record, of_stems = (
        heard_record(model, mix),
        heard_record(model, record),
        heard_song(model, stems),
    )
    task = draw(rehearsal, 1, known=1.0)
    task = dataclasses.replace(
        task,
        statistics=of_stems.statistics[:1],
        power=of_stems.power[:1],
        mask=torch.ones(1, len(stems), dtype=torch.bool),
        record=of_record.power[None],
        features=of_record.features[None],
        views=of_record.statistics[None],
    )
    rehearsal.imitation.at_record_level = lambda power: of_mix.power[None]
    rehearsal.imitation.describe = lambda power: (of_mix.features[None], of_mix.statistics[None])
    return task


def test_the_first_answer_is_that_of_the_model_to_the_sound(rehearsal):
    """But for what is only estimated."""
    stems, _ = level_stems(noise_song(4, 9))
    record = noise_record(9)
    with torch.no_grad():
        found, *_ = rehearsal.answer(exact(stems, record, rehearsal), 1)
        wanted = rehearsal.model.predict(stems, record, passes=1)
        other = rehearsal.model.predict(stems, noise_record(10), passes=1)
    for name in ("tracks", "master_bus_values"):
        one, same, differs = (getattr(params, name) for params in (found, wanted, other))
        torch.testing.assert_close(one[0], same, rtol=1e-3, atol=1e-3)
        assert (same - differs).abs().max() > 0.1


def test_the_second_pass_corrects_the_first(rehearsal):
    tasks = draw(rehearsal)
    with torch.no_grad():
        (once, *_), (twice, strips, mix) = (rehearsal.answer(tasks, passes) for passes in (1, 2))
    assert (once.tracks - twice.tracks).abs().max() > 0.1
    again = rehearsal.imitation.mix(tasks.power, twice)
    assert torch.equal(strips, again[0]) and torch.equal(mix, again[1])


# Losses


def changed(tasks, **parts_of_tracks):
    """Tasks with other tensors; what belongs to tracks is named as in `parts`."""
    answer = {name: parts_of_tracks.pop(name) for name in ("response_db", "lean_db", "width_db")}
    return dataclasses.replace(tasks, answer=dataclasses.replace(tasks.answer, **answer), **parts_of_tracks)


OF_TRACKS = ("statistics", "power", "mask", "response_db", "lean_db", "width_db")


@pytest.mark.parametrize("passes", [1, 2])
def test_order_and_padding_change_no_loss(rehearsal, passes):
    tasks = draw(rehearsal, 4)
    of_tracks = {name: parts(tasks)[name] for name in OF_TRACKS}
    order = torch.randperm(tasks.mask.shape[1], generator=torch.Generator().manual_seed(0))
    turned = changed(tasks, **{name: value[:, order] for name, value in of_tracks.items()})
    padding = {name: value.new_zeros(4, 3, *value.shape[2:]) for name, value in of_tracks.items()}
    padded = changed(
        tasks, **{name: torch.cat([of_tracks[name], padding[name]], dim=1) for name in OF_TRACKS}
    )
    with torch.no_grad():
        wanted = rehearsal.losses(tasks, LIKE, passes)
        for other in (turned, padded):
            torch.testing.assert_close(rehearsal.losses(other, LIKE, passes), wanted, rtol=1e-3, atol=1e-4)
    assert wanted.std() > 0.001


def test_pull_keep_and_soft_limit_reach_the_tasks_that_they_are_for(rehearsal):
    tasks = draw(rehearsal, 8)
    bare = dataclasses.replace(LIKE, pull=0.0, keep=0.0, soft_limit=None)
    with torch.no_grad():
        plain = rehearsal.losses(tasks, bare, 1)
        found = {
            name: rehearsal.losses(tasks, dataclasses.replace(bare, **{name: value}), 1) - plain
            for name, value in {"pull": 0.1, "keep": 1.0, "soft_limit": 0.3}.items()
        }
        params, _, mix = rehearsal.answer(tasks, 1)
    of_record = rehearsal.imitation.distance(mix, tasks.record)
    torch.testing.assert_close(plain[~tasks.known], of_record[~tasks.known])
    of_known = 0.04 * known_loss(params, tasks.answer, tasks.power, tasks.mask, each=True)
    torch.testing.assert_close(plain[tasks.known], of_known[tasks.known])
    assert (found["pull"] > 0).all() and (found["keep"][~tasks.known] >= 0).all()
    assert (found["keep"][~tasks.known] > 0).any() and (found["soft_limit"][~tasks.known] < 0).all()
    assert (found["keep"][tasks.known] == 0).all() and (found["soft_limit"][tasks.known] == 0).all()


def silent(model, stems):
    """A song of which some stems, or all, are silent."""
    sounds = noise_song(4, 3)
    sounds[stems] = 0.0
    return heard_song(model, sounds)


@pytest.mark.parametrize("stems", [[1], [0, 1, 2], [0, 1, 2, 3]])
def test_silent_stems_are_finite(heard, stems):
    model = speaking_model()
    rehearsal = Rehearsal(model, [silent(model, stems)], heard[1])
    for known in (0.0, 1.0):
        tasks: Tasks = draw(rehearsal, 4, known=known)
        losses = rehearsal.losses(tasks, LIKE, 2)
        losses.mean().backward()
        assert torch.isfinite(losses).all()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


def test_disturbed_faders_are_found(rehearsal):
    """Thirty updates, then tasks that were not among those learned from."""
    optimizer = torch.optim.Adam(rehearsal.model.parameters(), lr=3e-3)
    held = draw(rehearsal, 12, seed=100, known=1.0)
    with torch.no_grad():
        before = rehearsal.losses(held, LIKE, 1).mean()
    for step in range(30):
        optimizer.zero_grad()
        rehearsal.losses(draw(rehearsal, 8, seed=step, known=1.0), LIKE, 1).mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert rehearsal.losses(held, LIKE, 1).mean() < 0.8 * before


# Models


@pytest.mark.parametrize(
    ("config", "lacks"),
    [
        (small_cnn(style=True, passes=1), "the encoder 'cnn'"),
        (dataclasses.replace(LIKE.config, evidence=False), "evidence=False"),
        (dm.ModelConfig.preset("paper"), "the encoder 'cnn'"),
    ],
)
def test_models_that_cannot_rehearse(config, lacks):
    with pytest.raises(InputError) as caught:
        check_config(config)
    assert one_line(caught, "'statistics' and evidence", f"not with {lacks}")


def test_an_encoder_of_ones_own_cannot_rehearse():
    dm.register_encoder("in_a_rehearsal", lambda config, signals: torch.nn.Identity())
    with pytest.raises(InputError) as caught:
        check_config(dataclasses.replace(LIKE.config, encoder="in_a_rehearsal"))
    assert one_line(caught, "not with the encoder 'in_a_rehearsal'")


def test_the_model_is_standardized_on_what_was_heard(rehearsal, heard):
    songs, records = heard
    statistics = torch.cat([song.statistics.flatten(0, 1) for song in songs])
    torch.testing.assert_close(rehearsal.model.track_encoder.standardize.mean, statistics.mean(dim=0))
    features = torch.stack([record.features for record in records])
    torch.testing.assert_close(rehearsal.model.style.standardize.mean, features.mean(dim=0))
