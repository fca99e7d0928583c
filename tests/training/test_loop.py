"""The loop: what a run leaves, what reaches the weights, rows of the log, gradients that are not finite."""

import pandas as pd
import pytest
import torch
from audio_helpers import one_line
from lightning_fabric import Fabric
from training_helpers import OPTIONS, Unsteady, moved, same, short, small_cnn, way_apart, weights

import diffmst_lib as dm
from diffmst_lib.data.batches import loader
from diffmst_lib.inputs import InputError
from diffmst_lib.training.examples import examples_of
from diffmst_lib.training.first_look import new_model
from diffmst_lib.training.hardware import Hardware
from diffmst_lib.training.loop import train, update


def test_a_run(unbroken):
    """Weights that load, that moved, logs from step 0 on."""
    loaded = dm.DiffMST.from_pretrained(unbroken.folder)
    assert not loaded.training and not unbroken.model.training
    assert loaded.config == dm.ModelConfig.preset("tiny")
    trained = ("controller.heads.track.2.weight", "style.standardize.mean", "track_encoder.network.0.weight")
    assert moved(loaded).issuperset(trained)
    assert unbroken.log["step"].tolist() == [6] and unbroken.validation["step"].tolist() == [0, 3, 6]
    first = unbroken.validation.iloc[0]
    assert first["right"] == pytest.approx(first["wrong"], abs=1e-6)  # nothing learned, nothing listened to
    last = unbroken.validation.iloc[-1]
    assert last["right"] != pytest.approx(last["wrong"], abs=1e-6)
    on_disk = pd.read_csv(unbroken.folder / "validation.csv")
    pd.testing.assert_frame_equal(on_disk, unbroken.validation)


def test_sounds_and_knobs_at_every_validation(unbroken):
    found = {path.name for path in (unbroken.folder / "examples").iterdir()}
    kinds = ["target.ogg", *(f"step{step:07d}.{kind}" for step in (0, 3, 6) for kind in ("ogg", "csv"))]
    assert found == {f"{n}-{what}" for n in (1, 2) for what in kinds}
    knobs = pd.read_csv(unbroken.folder / "examples" / "1-step0000006.csv", index_col=0)
    assert 5 <= len(knobs) <= 7  # strips and two buses
    assert {"input_gain_db", "pan", "ratio"} <= set(knobs.columns)
    mix = dm.load_audio(unbroken.folder / "examples" / "1-step0000006.ogg")
    assert mix.shape == (2, 44100) and dm.loudness(mix) > -25


def test_it_learns(index, tmp_path):
    run = train(short(steps=40, validate_every=40), index, tmp_path, **OPTIONS)
    assert run.log["loss"].iloc[-1] < 0.8 * run.log["loss"].iloc[0], run.log


def test_the_loop_by_hand(index, tmp_path):
    """Updates alone give the weights of `train`; each row of the log is the mean loss since the one before."""
    recipe = short(steps=12, batch_size=1, accumulate=2, validate_every=12)
    run = train(recipe, index, tmp_path, **OPTIONS)
    fabric, examples = Fabric(accelerator="cpu", devices=1), examples_of(recipe, index)
    model = new_model(recipe, examples, 0).train()
    adam = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)
    network, optimizer = fabric.setup(model, adam)
    batches = iter(loader(examples, recipe.batch_size, steps=24))
    losses, norms = zip(
        *(update(fabric, network, optimizer, recipe, batches, step, 0) for step in range(12)), strict=True
    )
    assert same(model.state_dict(), run.model.state_dict())
    assert run.log["step"].tolist() == [10, 12]
    means = [sum(losses[:10]) / 10, sum(losses[10:]) / 2]
    assert run.log["loss"].tolist() == pytest.approx(means, rel=1e-6)
    assert run.log["gradient_norm"].tolist() == pytest.approx([norms[9], norms[11]], rel=1e-6)
    assert run.log["learning_rate"].tolist() == pytest.approx([recipe.rate(9), recipe.rate(11)])


def test_accumulated_batches_are_one_large_batch(index, unbroken, tmp_path):
    run = train(short(batch_size=1, accumulate=2), index, tmp_path, **OPTIONS)
    assert run.log["loss"].to_numpy() == pytest.approx(unbroken.log["loss"].to_numpy(), abs=1e-5)
    assert way_apart(weights(unbroken), weights(run)) < 0.05


@pytest.mark.parametrize(
    "changes", [{"schedule": "constant"}, {"pull": 1.0}, {"clip_norm": 1e-3}, {"weight_decay": 0.5}]
)
def test_schedule_pull_clipping_and_decay_reach_the_weights(index, unbroken, tmp_path, changes):
    run = train(short(**changes, validate_every=6), index, tmp_path, **OPTIONS)
    assert way_apart(weights(run), weights(unbroken)) > 0.001
    assert unbroken.log["learning_rate"].iloc[-1] == pytest.approx(short().rate(5))


def test_gradients_that_are_not_finite_are_skipped_and_counted(index, tmp_path):
    once = Unsteady(lambda number: float("nan") if number == 2 else 1.0)
    run = train(short(), index, tmp_path / "one", init=once, **OPTIONS)
    assert run.log["skipped"].tolist() == [1] and run.log["gradient_norm"].notna().all()
    assert all(torch.isfinite(value).all() for value in weights(run).values())
    with pytest.raises(InputError) as caught:
        train(short(), index, tmp_path / "all", init=Unsteady(lambda number: float("nan")), **OPTIONS)
    assert one_line(caught, "2 of 2 updates", "not finite", "learning rate")


def test_weights_that_run_away_are_reported_in_one_line(index, tmp_path):
    with pytest.raises(InputError) as caught:
        train(short(learning_rate=1e30, schedule="constant"), index, tmp_path, **OPTIONS)
    assert one_line(caught, "step ", "network gives NaN", "learning rate")


def test_nobody_elses_random_numbers_change(index, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(short(steps=1), index, tmp_path, hardware=Hardware(workers=1), **OPTIONS)
    assert torch.equal(torch.rand(3), expected)


def test_fine_tuning_goes_on_from_a_model(index, tmp_path):
    first = train(short("mrstft-8", steps=2), index, tmp_path / "first", **OPTIONS)
    before = {name: value.clone() for name, value in first.model.state_dict().items()}
    for resume in (False, True):
        with pytest.raises(InputError, match="mrstft\\+af-8 goes on from a model trained as mrstft-8"):
            train(short("mrstft+af-8", steps=2), index, tmp_path / "second", resume=resume, **OPTIONS)
    second = train(short("mrstft+af-8", steps=2), index, tmp_path / "second", init=first.model, **OPTIONS)
    after = second.model.state_dict()
    assert second.model is first.model and not same(before, after)
    assert torch.equal(before["style.standardize.mean"], after["style.standardize.mean"])
    assert second.validation["right"].iloc[0] == pytest.approx(first.validation["right"].iloc[-1])


def test_paper_like_models_train_too(index, tmp_path):
    """A CNN with batch norm, no statistics, the reference console; heads that begin at random."""
    config = small_cnn(console="reference", track_lufs=-48.0, chunk=None)
    recipe = short("mrstft-8", model=config, steps=2, batch_size=1, max_tracks=4, validate_every=2)
    run = train(recipe, index, tmp_path, **OPTIONS)
    assert run.log["loss"].notna().all() and dm.DiffMST.from_pretrained(tmp_path).config == config
