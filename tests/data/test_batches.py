"""Batches: collated, loaded by workers, shared by GPUs."""

import pytest
import torch
from data_miniatures import SHORT

import diffmst_lib as dm
from diffmst_lib.data.batches import Example, collate, loader
from diffmst_lib.data.examples import Method1, Method2


def examples(index, sampling=SHORT, **options):
    return Method2(index.multitracks(), index.references(), sampling, **options)


def same(a, b):
    return (
        torch.equal(a.tracks, b.tracks)
        and torch.equal(a.pans, b.pans)
        and torch.equal(a.mask, b.mask)
        and torch.equal(a.reference, b.reference)
        and a.names == b.names
        and a.songs == b.songs
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more than this machine has cores
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_do_not_change_the_batches(index, workers):
    alone = list(loader(examples(index), 3, steps=5))
    together = list(loader(examples(index), 3, steps=5, workers=workers))
    assert len(alone) == len(together) == 5 and all(map(same, alone, together))
    assert not same(alone[0], alone[1])


def test_an_empty_batch(index):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        loader(examples(index), 0, steps=1)


def test_training_goes_on_where_it_was(index):
    whole = list(loader(examples(index), 2, steps=6))
    rest = list(loader(examples(index), 2, steps=6, first_step=4))
    assert len(rest) == 2 and all(map(same, whole[4:], rest))


def test_collation(index):
    drawn = [examples(index)[item] for item in range(6)]
    batch = collate(drawn)
    most = max(len(example.names) for example in drawn)
    assert batch.tracks.shape == (6, most, 2, 2 * 44100) and batch.reference.shape == (6, 2, 2 * 44100)
    for i, example in enumerate(drawn):
        count = len(example.names)
        assert batch.mask[i].tolist() == [True] * count + [False] * (most - count)
        assert torch.equal(batch.tracks[i, :count], example.tracks) and not batch.tracks[i, count:].any()
        assert torch.equal(batch.pans[i, :count], example.pans) and (batch.pans[i, count:] == 0.5).all()
    assert (batch.names[2], batch.songs[2], batch.reference_songs[2]) == (
        drawn[2].names,
        drawn[2].song,
        drawn[2].reference_song,
    )


def test_halves(index):
    batch = collate([Method1(index.multitracks(), SHORT)[i] for i in range(2)])
    a, b = batch.halves()
    assert a.shape == b.shape == (*batch.mask.shape, 2, 44100) and batch.reference is None
    assert torch.equal(torch.cat([a, b], dim=-1), batch.tracks)
    odd = collate([Example(torch.ones(1, 7), torch.full((1,), 0.5), ["a"], "song", 0.0)])
    assert [half.shape[-1] for half in odd.halves()] == [3, 3]


def test_to_device(index):
    batch = collate([examples(index)[0]])
    moved = batch.to("meta")
    assert moved.tracks.device.type == moved.mask.device.type == moved.reference.device.type == "meta"
    assert moved.names == batch.names and batch.tracks.device.type == "cpu"


def test_a_batch_is_what_a_model_takes(index):
    """Mask, pans and references of a batch through the tiny model, with gradients."""
    batch = next(iter(loader(examples(index), 3, steps=1)))
    model = dm.DiffMST("tiny")
    mix, _params = model(batch.tracks, batch.reference, pans=batch.pans, mask=batch.mask)
    dm.audio_feature_loss(mix, batch.reference)["total"].mean().backward()
    assert mix.shape == (3, 2, 2 * 44100)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_ranks_share_a_batch(index):
    """What two GPUs read is what one would with twice the batch, in turn."""

    def starts(**options):
        return [[song for song in batch.names] for batch in loader(examples(index), steps=3, **options)]

    whole, first, second = (
        starts(batch_size=4),
        starts(batch_size=2, rank=0, ranks=2),
        starts(batch_size=2, rank=1, ranks=2),
    )
    assert whole == [a + b for a, b in zip(first, second, strict=True)]
    assert starts(batch_size=2, rank=1, ranks=2, first_step=1) == second[1:]


def test_items_travel_with_the_batch(index):
    """Step k holds the items from k * batch_size * ranks on, whoever loads them."""

    def items(**options):
        return [batch.items for batch in loader(examples(index), 2, steps=3, **options)]

    assert items() == items(workers=1) == [[0, 1], [2, 3], [4, 5]]
    assert items(first_step=2) == [[4, 5]]
    assert items(rank=1, ranks=2) == [[2, 3], [6, 7], [10, 11]]
    drawn = examples(index)[7]
    assert drawn.item == 7 and collate([drawn]).to("meta").items == [7]
    assert Method1(index.multitracks(), SHORT)[3].item == 3
