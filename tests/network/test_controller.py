"""The controller: permutation, padding, buses, pans, start; and that its transformer is the textbook's."""

import math

import pytest
import torch

from diffmst_lib import ConsoleParams, param_table
from diffmst_lib.console.table import SECTIONS
from diffmst_lib.network.controller import Controller, start_console, start_logits

WIDTH = 16


def controller(seed=0, **options):
    torch.manual_seed(seed)
    options = {"width": WIDTH, "layers": 2, "heads": 4, "feedforward": 32} | options
    made = Controller(**options).eval()
    for head in made.heads.values():  # a neutral start would hide every difference
        if isinstance(head, torch.nn.Sequential):
            torch.nn.init.normal_(head[-1].weight, std=0.1)
    return made


def inputs(num_tracks=5, batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, num_tracks, WIDTH, generator=generator), torch.randn(
        batch, 2, WIDTH, generator=generator
    )


FULL = {"style_size": 6, "start_pans": True, "neutral_start": True, "norm_first": True, "evidence_size": 7}
VARIANTS = pytest.mark.parametrize("options", [{}, FULL], ids=["paper", "ours"])


def extras(options, batch=2, num_tracks=5):
    generator = torch.Generator().manual_seed(2)
    if not options:
        return {}
    return {
        "style": torch.randn(batch, 6, generator=generator),
        "pans": torch.rand(batch, num_tracks, generator=generator),
        "evidence": torch.randn(batch, num_tracks, 7, generator=generator),
    }


@VARIANTS
def test_permuting_tracks_permutes_their_logits_and_nothing_else(options):
    model, (tracks, mix), given = controller(**options), inputs(), extras(options)
    order = torch.tensor([3, 0, 4, 2, 1])
    want = model(tracks, mix, **given)
    for of_tracks in given.keys() - {"style"}:
        given[of_tracks] = given[of_tracks][:, order]
    found = model(tracks[:, order], mix, **given)
    torch.testing.assert_close(found[0], want[0][:, order], rtol=0, atol=1e-5)
    for ours, theirs in zip(found[1:], want[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert (want[0][:, 0] - want[0][:, 1]).abs().max() > 1e-2  # the tracks do differ


@VARIANTS
@pytest.mark.parametrize("grad", [False, True])
def test_padding_changes_nothing(options, grad):
    model, (tracks, mix), given = controller(**options), inputs(), extras(options)
    padded = torch.cat([tracks, 100.0 * torch.ones(2, 3, WIDTH)], dim=1)
    mask = torch.tensor([[True] * 5 + [False] * 3] * 2)
    with torch.set_grad_enabled(grad):
        want = model(tracks, mix, **given)
        if given:
            given["pans"] = torch.cat([given["pans"], torch.ones(2, 3)], dim=1)
            given["evidence"] = torch.cat([given["evidence"], torch.ones(2, 3, 7)], dim=1)
        found = model(padded, mix, mask=mask, **given)
        unmasked = model(padded, mix, **given)
    torch.testing.assert_close(found[0][:, :5], want[0], rtol=0, atol=1e-6)
    for ours, theirs in zip(found[1:], want[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert (unmasked[2] - want[2]).abs().max() > 1e-3  # without the mask it would


@VARIANTS
@pytest.mark.parametrize("num_tracks", [1, 2, 64])
def test_any_number_of_tracks(options, num_tracks):
    logits = controller(**options)(*inputs(num_tracks), **extras(options, num_tracks=num_tracks))
    strip, *buses = (len(param_table(section)) for section in SECTIONS)
    assert [z.shape for z in logits] == [(2, num_tracks, strip), *((2, bus) for bus in buses)]
    assert all(torch.isfinite(z).all() for z in logits)


def test_each_item_of_a_batch_is_alone():
    model, (tracks, mix), given = controller(**FULL), inputs(batch=3), extras(FULL, batch=3)
    want = model(tracks, mix, **given)
    for i in range(3):
        alone = model(tracks[i : i + 1], mix[i : i + 1], **{k: v[i : i + 1] for k, v in given.items()})
        for ours, theirs in zip(alone, want, strict=True):
            torch.testing.assert_close(ours[0], theirs[i], rtol=0, atol=1e-5)


def test_tokens_are_tracks_then_reference_then_buses():
    model, (tracks, mix) = controller(), inputs()
    tokens, padding = model.tokens(tracks, mix, mask=torch.tensor([[True] * 4 + [False]] * 2))
    assert tokens.shape == (2, 9, WIDTH)
    torch.testing.assert_close(tokens[:, :5], tracks + model.track_type)
    torch.testing.assert_close(tokens[:, 5:7], mix + model.mix_types)
    assert torch.equal(tokens[0, 7], model.fx_bus_token) and torch.equal(tokens[1, 8], model.master_bus_token)
    assert padding.tolist() == [[False] * 4 + [True] + [False] * 4] * 2


def test_each_head_reads_its_own_token():
    model, (tracks, mix) = controller(), inputs()
    out = model.transformer(model.tokens(tracks, mix)[0])
    strips, fx_bus, master_bus = model(tracks, mix)
    torch.testing.assert_close(strips, model.heads["track"](out[:, :5]), rtol=0, atol=1e-5)
    torch.testing.assert_close(fx_bus, model.heads["fx_bus"](out[:, 7]), rtol=0, atol=1e-5)
    torch.testing.assert_close(master_bus, model.heads["master_bus"](out[:, 8]), rtol=0, atol=1e-5)


def attention_by_hand(x, layer, heads):
    """Softmax(Q K^T / sqrt(d)) of every head, and what it reads, for one sequence (L, width)."""
    q, k, v = (x @ layer.in_proj_weight.T + layer.in_proj_bias).chunk(3, dim=-1)
    size, maps, read = x.shape[-1] // heads, [], []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        maps.append(torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(size), dim=-1))
        read.append(maps[-1] @ v[:, part])
    return torch.cat(read, dim=-1) @ layer.out_proj.weight.T + layer.out_proj.bias, torch.stack(maps)


@VARIANTS
def test_transformer_and_attention_maps_are_the_textbooks(options):
    model, (tracks, mix), given = controller(**options), inputs(batch=1), extras(options, batch=1)
    tokens, padding = model.tokens(tracks, mix, **given)
    x, maps = tokens[0], []
    for layer in model.transformer.layers:
        first = bool(options)
        read, found = attention_by_hand(layer.norm1(x) if first else x, layer.self_attn, 4)
        maps.append(found)
        x = x + read if first else layer.norm1(x + read)
        forward = layer.linear2(torch.relu(layer.linear1(layer.norm2(x) if first else x)))
        x = x + forward if first else layer.norm2(x + forward)
    if options:
        x = model.transformer.norm(x)
    torch.testing.assert_close(
        model.transformer(tokens, src_key_padding_mask=padding)[0], x, rtol=0, atol=1e-5
    )
    torch.testing.assert_close(model.attention(tokens, padding)[:, 0], torch.stack(maps), rtol=0, atol=1e-5)


def test_nobody_attends_to_padding():
    model, (tracks, mix) = controller(), inputs()
    maps = model.attention(*model.tokens(tracks, mix, mask=torch.tensor([[True] * 3 + [False] * 2] * 2)))
    assert maps[..., 3:5].abs().max() == 0.0
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(maps.shape[:-1]))


@pytest.mark.parametrize("preset", ["default", "reference", "channels"])
def test_heads_start_at_the_neutral_console(preset):
    torch.manual_seed(0)
    model = Controller(
        width=WIDTH, layers=1, heads=2, feedforward=16, preset=preset, **FULL | {"norm_first": False}
    )
    pans = torch.tensor([[0.2, 0.8, 0.5, 0.4, 0.6]] * 2)
    logits = model(*inputs(), **extras(FULL) | {"pans": pans})
    params = ConsoleParams.from_unit(*map(torch.sigmoid, logits), preset=preset)
    for section in SECTIONS:
        values = params.values(section)
        for spec in param_table(section, preset):
            if spec.name == "pan":
                torch.testing.assert_close(values["pan"], pans, rtol=0, atol=1e-5)
            elif (
                spec.name == "threshold_db" and spec.neutral == spec.high
            ):  # there a ratio has nothing to act on
                torch.testing.assert_close(values[spec.name], torch.full_like(values[spec.name], -30.0))
            elif spec.scale == "log":
                assert (values[spec.name] / spec.neutral).log().abs().max() < 0.021 * math.log(
                    spec.high / spec.low
                )
            else:
                reach = 0.021 * (spec.high - spec.low)
                assert (values[spec.name] - spec.neutral).abs().max() < reach, (section, spec.name)


@pytest.mark.parametrize("kind", ["pans", "evidence"])
def test_what_a_stem_alone_is_told_moves_its_own_token_only(kind):
    model, (tracks, mix), given = controller(**FULL), inputs(batch=1), extras(FULL, batch=1)
    other = {kind: given[kind].clone()}
    other[kind][:, 0] = 0.99 - other[kind][:, 0]
    tokens = [model.tokens(tracks, mix, **one)[0] for one in (given, given | other)]
    changed = (tokens[0] - tokens[1]).abs().amax(dim=-1)[0]
    assert changed[0] > 0.05 and (changed[1:] == 0).all()


def test_pans_at_the_ends_start_where_a_sigmoid_has_a_slope():
    strips, *_ = start_console(torch.tensor([0.0, 0.5, 1.0]))
    assert torch.sigmoid(
        strips[:, Controller(width=8, layers=1, heads=1, feedforward=8).pan_index]
    ).tolist() == pytest.approx([0.02, 0.5, 0.98])


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("preset", ["default", "reference", "channels"])
def test_start_logits_are_finite_one_a_knob(section, preset):
    start = start_logits(section, preset)
    assert start.shape == (len(param_table(section, preset)),) and start.abs().max() < 4.0
