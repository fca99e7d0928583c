"""DiffMST on songs and references of any kind and length: windows, levels, locks, refinement, attention."""

import dataclasses
import math

import pytest
import torch
from mix_helpers import bus_lufs, mono_song
from model_helpers import TWIN, model

import diffmst_lib as dm
from diffmst_lib import InputError, InputNote, Multitrack
from diffmst_lib.console.specs import ASPECTS
from diffmst_lib.console.table import param_table
from diffmst_lib.mixing.start import start_params
from diffmst_lib.mixing.whole_song import reference_style

# Untrained networks do not come nearer, and say so. Without `keep` nothing leads them back.
pytestmark = pytest.mark.filterwarnings(
    "ignore:the mix is farther from its record", "ignore:the network's console led farther"
)


@pytest.fixture(scope="module")
def tiny():
    return model()


@pytest.fixture(scope="module")
def of_seconds(tiny):
    """The same network with windows of a second."""
    shorter = dm.DiffMST(dataclasses.replace(tiny.config, window_seconds=1.0)).eval()
    shorter.load_state_dict(tiny.state_dict())
    return shorter


def strips(params):
    """The strips in the unit interval without trims and faders, which depend on the level of the whole song."""
    specs = param_table("track")
    return params.to_unit()[0][:, [i for i, spec in enumerate(specs) if spec.aspect != "balance"]]


@pytest.mark.parametrize("num_tracks", [1, 3, 64])
def test_any_number_of_mono_stems(tiny, reference, noise, num_tracks):
    result = tiny.mix(mono_song(noise(num_tracks, 20_000, seed=num_tracks)), reference)
    assert torch.isfinite(result.audio).all() and len(result.params.names) == num_tracks
    width = dm.features.stereo_width(result.audio)
    assert width > 1e-4 or num_tracks == 1  # mono stems alone do not end in mono


@pytest.mark.parametrize("samples", [2000, 30_000, 44_100 * 11 + 17])
def test_any_length(tiny, reference, noise, samples):
    result = tiny.mix(Multitrack(["a", "b"], noise(2, 2, samples)), reference)
    assert result.audio.shape == (2, samples) and torch.isfinite(result.audio).all()


def test_a_song_of_mono_and_stereo_stems_with_one_silent_channel(tiny, song, reference, noise):
    audio = torch.cat([song.audio, noise(1, song.audio.shape[-1])[:, None].repeat(1, 2, 1)])
    audio[0, 1] = 0.0
    result = tiny.mix(Multitrack([*song.names, "mono"], audio), reference, refine_steps=1)
    assert torch.isfinite(result.audio).all() and math.isfinite(result.loss["total"])


# Windows


def test_a_song_that_repeats_itself_gets_the_console_of_one_window(of_seconds, song, reference):
    window = song.audio[..., :44_100]
    single = of_seconds.analyze(Multitrack(song.names, window), reference)
    triple = of_seconds.analyze(Multitrack(song.names, window.repeat(1, 1, 3)), reference)
    torch.testing.assert_close(strips(triple), strips(single), rtol=0, atol=1e-3)
    torch.testing.assert_close(triple.to_unit()[2], single.to_unit()[2], rtol=0, atol=1e-3)


def test_windows_count_by_the_energy_of_each_stem(of_seconds, reference, noise):
    first, second = noise(2, 2, 44_100), noise(2, 2, 44_100, seed=3)
    alone = strips(of_seconds.analyze(Multitrack(["a", "b"], first), reference))
    second[1] = 0.0  # b sounds in the first window only
    both = strips(of_seconds.analyze(Multitrack(["a", "b"], torch.cat([first, second], dim=-1)), reference))
    torch.testing.assert_close(both[1], alone[1], rtol=0, atol=1e-3)
    assert (both[0] - alone[0]).abs().max() > 1e-3


def test_loud_windows_count_more(of_seconds, reference, noise):
    parts = [noise(2, 2, 44_100), 0.01 * noise(2, 2, 44_100, seed=3).cumsum(dim=-1)]
    parts = [part - part.mean(dim=-1, keepdim=True) for part in parts]
    masters = [of_seconds.analyze(Multitrack(["a", "b"], x), reference).to_unit()[2] for x in parts]
    power = torch.stack([x.square().flatten(1).mean(dim=-1) for x in parts])  # (2 windows, 2 stems)
    share = (power / power.sum(dim=0)).mean(dim=1)
    both = of_seconds.analyze(Multitrack(["a", "b"], torch.cat(parts, dim=-1)), reference)
    want = share[0] * masters[0] + share[1] * masters[1]
    torch.testing.assert_close(both.to_unit()[2], want, rtol=0, atol=1e-4)


def test_a_window_of_silence_does_not_count(of_seconds, reference, noise):
    x = noise(2, 2, 44_100)
    alone = of_seconds.analyze(Multitrack(["a", "b"], x), reference)
    half = of_seconds.analyze(Multitrack(["a", "b"], torch.cat([x, 0 * x], dim=-1)), reference)
    torch.testing.assert_close(strips(half), strips(alone), rtol=0, atol=1e-3)
    torch.testing.assert_close(half.to_unit()[2], alone.to_unit()[2], rtol=0, atol=1e-5)


def test_a_reference_counts_by_the_energy_of_its_windows(of_seconds, reference):
    loud, soft = reference[:, :44_100], 0.001 * reference.flip(0)[:, 44_100:88_200].cumsum(dim=-1)
    soft = soft - soft.mean(dim=-1, keepdim=True)
    whole = reference_style(of_seconds, torch.cat([loud, soft], dim=-1))
    parts = [reference_style(of_seconds, part) for part in (loud, soft)]
    power = torch.stack([loud.square().mean(), soft.square().mean()])
    weights = (power / power.sum()).tolist()
    want = weights[0] * parts[0].features + weights[1] * parts[1].features
    assert 0.001 < weights[1] < 0.5 and (parts[0].features - parts[1].features).abs().max() > 0.5
    torch.testing.assert_close(whole.features, want, rtol=0, atol=1e-4)
    want = weights[0] * parts[0].embeddings + weights[1] * parts[1].embeddings
    torch.testing.assert_close(whole.embeddings, want, rtol=0, atol=1e-4)


# Levels


@pytest.mark.parametrize("options", [{}, {"balance": "equal"}, {"refine_steps": 2}], ids=str)
def test_the_song_goes_into_the_master_bus_at_minus_20_lufs(tiny, song, reference, options):
    assert bus_lufs(tiny.mix(song, reference, **options)) == pytest.approx(-20.0, abs=0.1)


def test_the_level_of_song_and_reference_does_not_matter(tiny, song, reference):
    softer = Multitrack(song.names, 0.1 * song.audio, song.sample_rate)
    want, found = tiny.mix(song, reference), tiny.mix(softer, 0.3 * reference)
    torch.testing.assert_close(found.audio, want.audio, rtol=0, atol=1e-4)
    change = found.params.values("track")["input_gain_db"] - want.params.values("track")["input_gain_db"]
    torch.testing.assert_close(change, torch.full((3,), 20.0), rtol=0, atol=1e-3)


def test_the_balance_is_the_artists_unless_the_stems_are_made_equally_loud(tiny, song, reference):
    faders = torch.tensor([-12.0, 6.0, 0.0])
    other = Multitrack(song.names, song.audio * 10 ** (faders[:, None, None] / 20), song.sample_rate)
    want, found = (tiny.mix(x, reference, balance="equal", keep=0) for x in (song, other))
    torch.testing.assert_close(found.audio, want.audio, rtol=0, atol=1e-4)
    change = found.params.values("track")["input_gain_db"] - want.params.values("track")["input_gain_db"]
    torch.testing.assert_close(change, -faders, rtol=0, atol=1e-3)
    delivered = [tiny.mix(x, reference, keep=0).audio for x in (song, other)]
    assert (delivered[0] - delivered[1]).norm() > 0.1 * delivered[0].norm()
    with pytest.raises(ValueError, match="balance must be one of delivered, equal, not 'loud'"):
        tiny.mix(song, reference, balance="loud")


@pytest.mark.parametrize("lufs", [-68.5, -69.9])
def test_sounds_just_above_silence(tiny, of_seconds, song, reference, lufs):
    quiet = dm.normalize_loudness(reference, lufs)
    assert torch.isfinite(tiny.mix(song, quiet).audio).all()
    burst = torch.zeros(2, 2, 44_100 * 3)  # half of it in one window, half in the next
    burst[..., 44_100 * 2 - 9000 : 44_100 * 2 + 9000] = song.audio[:2, :, :18_000]
    burst = dm.normalize_loudness(burst, lufs)
    assert torch.isfinite(of_seconds.mix(Multitrack(["a", "b"], burst), reference).audio).all()


def test_a_song_so_loud_that_its_trims_end(tiny, song, reference):
    result = tiny.mix(Multitrack(song.names, 1000.0 * song.audio), reference, keep=0)
    assert result.params.values("track")["input_gain_db"].tolist() == [-48.0] * 3
    result.params.check()
    assert bus_lufs(result) == pytest.approx(-20.0, abs=0.1)  # the faders do the rest


def test_a_silent_stem_stays_silent_and_changes_nothing(tiny, song, reference):
    audio = torch.cat([song.audio, torch.zeros_like(song.audio[:1])])
    result = tiny.mix(Multitrack([*song.names, "empty"], audio), reference)
    torch.testing.assert_close(result.audio, tiny.mix(song, reference).audio, rtol=0, atol=1e-5)
    assert not result.stems()["empty"].any()
    assert result.params.track("empty")["pan"] == pytest.approx(0.5, abs=1e-4)


# Records


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("mono", "the reference is mono"),
        ("anti-phase", "the reference has a correlation of -1.00"),
        ("one channel", None),
        ("long silence", None),
    ],
)
def test_references_of_every_kind_give_finite_mixes(tiny, song, reference, shape, said):
    left = reference[0]
    kinds = {
        "mono": torch.stack([left, left]),
        "anti-phase": torch.stack([left, -left]),
        "one channel": torch.stack([left, 0 * left]),
        "long silence": torch.cat([reference, torch.zeros(2, 44_100 * 21)], dim=-1),
    }
    if said:
        with pytest.warns(InputNote, match=said):
            result = tiny.mix(song, kinds[shape])
    else:
        result = tiny.mix(song, kinds[shape])
    assert torch.isfinite(result.audio).all()


def test_an_offset_of_the_reference_is_told_once_where_it_was_given(tiny, song, reference):
    with pytest.warns(InputNote) as notes:
        tiny.mix(song, reference + 0.5, refine_steps=1)
    offsets = [note for note in notes if "DC offset" in str(note.message)]
    assert len(offsets) == 1 and offsets[0].filename == __file__


def test_a_mix_farther_from_its_record_than_the_plain_sum_is_named_with_both_losses(tiny, song, reference):
    with pytest.warns(InputNote, match="the mix is farther from its record than the plain sum") as notes:
        result = tiny.mix(song, reference, keep=0)
    plain = dm.unity(song, reference=reference).loss["total"]
    assert result.loss["total"] > plain
    assert f"loss {result.loss['total']:.4f} against {plain:.4f}" in str(notes[0].message)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(2, 999), "silent"),
        (torch.randn(1, 999), "1 channel"),
        (torch.full((2, 9), math.nan), "NaN"),
        (None, "NoneType"),
    ],
)
def test_bad_references_are_refused(tiny, song, bad, message):
    with pytest.raises(InputError, match=message):
        tiny.mix(song, bad)


# Locks and amounts


@pytest.mark.parametrize("refine_steps", [0, 2])
def test_what_is_locked_stays_as_it_was_delivered(tiny, song, reference, refine_steps):
    start, locks = start_params(song), ["bgvox_main", "kick.pan", "kick.peak_1_gain_db", "master_bus.ratio"]
    params = tiny.mix(song, reference, lock=locks, refine_steps=refine_steps, keep=0).params
    voice = [name for name in params.track("bgvox_main") if name != "fader_db"]
    assert [params.track("bgvox_main")[knob] for knob in voice] == [
        start.track("bgvox_main")[k] for k in voice
    ]
    kick = params.track("kick")
    assert (kick["pan"], kick["peak_1_gain_db"], params.master_bus["ratio"]) == (0.5, 0.0, 1.0)
    assert kick["peak_2_gain_db"] != 0.0 and params.track("minilogue_synth")["pan"] != 0.5


def test_a_locked_master_bus_stays_but_for_its_gain(tiny, song, reference):
    bus = tiny.mix(song, reference, lock=["master_bus"]).params.master_bus
    neutral = {spec.name: spec.neutral for spec in param_table("master_bus")}
    assert {k: bus[k] for k in bus if k != "output_gain_db"} == {
        k: pytest.approx(v) for k, v in neutral.items() if k != "output_gain_db"
    }


def test_no_amount_is_the_song_as_it_was_delivered_and_half_is_half_of_the_way(tiny, song, reference):
    start = start_params(song).to_unit()[0]
    mixes = {amount: tiny.mix(song, reference, amount=amount, keep=0) for amount in (0.0, 0.5, 1.0)}
    torch.testing.assert_close(mixes[0.0].audio, dm.unity(song).audio, rtol=0, atol=1e-5)
    found, half = (mixes[amount].params.to_unit()[0] for amount in (1.0, 0.5))
    torch.testing.assert_close(half, (start + found) / 2, rtol=0, atol=1e-4)
    assert all(dm.loudness(mix.audio) == pytest.approx(-16.0, abs=0.05) for mix in mixes.values())


@pytest.mark.parametrize("aspect", ASPECTS)
def test_an_amount_by_aspect_leaves_the_others_alone(tiny, song, reference, aspect):
    def check(params, wanted):
        for i, spec in enumerate(param_table("track")):
            got, want = params.tracks[:, i], wanted(spec.aspect).tracks[:, i]
            if spec.name == "fader_db":  # together they hold the level before the master bus
                got, want = got - got[0], want - want[0]
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)

    whole, start = tiny.mix(song, reference, keep=0).params, start_params(song)
    amount = dict.fromkeys(ASPECTS, 0) | {aspect: 1}
    only = tiny.mix(song, reference, amount=amount, keep=0).params
    check(only, lambda of_knob: whole if of_knob == aspect else start)
    others = tiny.mix(song, reference, amount={aspect: 0}, keep=0).params  # what is not named is taken whole
    check(others, lambda of_knob: start if of_knob == aspect else whole)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"refine_steps": -1}, ValueError, "refine_steps must be a whole number of at least 0, got -1"),
        ({"refine_steps": 2.5}, ValueError, "refine_steps must be a whole number of at least 0, got 2.5"),
        ({"refine_steps": True}, ValueError, "refine_steps must be a whole number"),
        ({"fit_seconds": math.nan}, ValueError, "fit_seconds must be a number above 0"),
        ({"keep": -1.0}, ValueError, "keep must be"),
        ({"keep": math.nan}, ValueError, "keep must be"),
        ({"amount": 1.5}, InputError, "amount must be from 0 to 1"),
        ({"amount": True}, InputError, "amount must be from 0 to 1, got True"),
        ({"amount": {"ton": 1.0}}, InputError, "no aspect 'ton': there are balance, tone"),
        ({"lock": ["vox"]}, InputError, "no stem or knob 'vox'"),
        ({"lock": ["kick.pam"]}, InputError, "did you mean 'kick.pan'"),
        ({"lock": "kick"}, InputError, "lock takes a list"),
        ({"center": ["vox"]}, InputError, "center names no stem vox"),
    ],
)
def test_bad_options_are_refused(tiny, song, reference, options, error, message):
    with pytest.raises(error, match=message) as caught:
        tiny.mix(song, reference, **options)
    assert "\n" not in str(caught.value)


# Refinement


def test_refinement_starts_from_the_networks_console_and_gets_nearer(tiny, song, reference):
    result, first = (tiny.mix(song, reference, refine_steps=steps, keep=0) for steps in (3, 0))
    loss = dm.audio_feature_loss(first.audio, dm.normalize_loudness(reference))["total"].item()
    assert len(result.history) == 4
    assert result.history["total"].iloc[0] == pytest.approx(loss, rel=1e-4)
    assert result.history["total"].min() < result.history["total"].iloc[0]
    assert result.loss["total"] < first.loss["total"]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_refinement_where_gradients_are_switched_off(tiny, song, reference, mode):
    want = tiny.mix(song, reference, refine_steps=1)
    with mode():
        copy = Multitrack(song.names, song.audio * 1.0, song.sample_rate)
        found = tiny.mix(copy, reference, refine_steps=1)
    torch.testing.assert_close(found.audio, want.audio, rtol=0, atol=1e-5)


@pytest.mark.parametrize("refine_steps", [0, 2])
def test_an_own_feature_counts_in_the_loss_and_in_the_refinement(tiny, song, reference, refine_steps):
    own = {"peak": (lambda x, sample_rate: x.abs().amax(dim=(1, 2)), 0.5)}
    result = tiny.mix(song, reference, refine_steps=refine_steps, features=own)
    loss = dm.audio_feature_loss(
        dm.normalize_loudness(result.audio), dm.normalize_loudness(reference), features=own
    )
    assert result.loss == pytest.approx({name: term.item() for name, term in loss.items()}, rel=1e-3)
    assert result.history is None if not refine_steps else "peak" in result.history
    with pytest.raises(InputError, match="no feature is registered as 'loudest'"):
        tiny.mix(song, reference, features=["loudest"])


def test_refinement_of_the_papers_channels(song, reference):
    result = model("paper", **TWIN).mix(song.excerpt(0, 0.3), reference, refine_steps=1, lock=["kick"])
    assert result.params.preset == "reference" and torch.isfinite(result.audio).all()
    assert result.params.track("kick.L")["pan"] == 0.5 and result.params.track("bgvox_main.L")["pan"] != 0.5


@pytest.mark.parametrize("options", [{"balance": "equal"}, {"center": ["pad"]}])
def test_a_model_of_channels_says_what_it_cannot_follow(song, reference, options):
    with pytest.warns(InputNote, match="this model hears mono channels"):
        model("paper", **TWIN).analyze(song.excerpt(0, 0.3), reference, **options)


# Attention


def test_attention_is_of_the_loudest_window(of_seconds, reference, noise):
    parts = [noise(3, 2, 44_100), 3.0 * noise(3, 2, 44_100, seed=5) ** 3]
    songs = [
        Multitrack(["a", "b", "c"], part) for part in (*parts, torch.cat([0.01 * parts[0], parts[1]], dim=-1))
    ]
    first, second, both = (of_seconds.attention(song, reference)[0] for song in songs)
    torch.testing.assert_close(both, second, rtol=0, atol=1e-5)
    assert (first - second).abs().max() > 1e-3


def test_attention_names_the_tokens_of_what_sounds(tiny, song, reference):
    audio = torch.cat([song.audio, torch.zeros_like(song.audio[:1])])
    maps, names = tiny.attention(Multitrack([*song.names, "empty"], audio), reference)
    assert names == [*song.names, "mid", "side", "fx bus", "master bus"]
    assert maps.shape == (2, 4, len(names), len(names))
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 4, len(names)))
