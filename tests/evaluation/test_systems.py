"""The systems that are compared: their list, their mixes, and what stands in their way."""

import math
import pickle
import sys
import types
import warnings
from functools import partial

import pytest
import soundfile
import torch
from mix_helpers import bus_lufs, is_what_the_console_makes

import diffmst_lib as dm
from diffmst_lib.evaluation import mixers, systems
from diffmst_lib.evaluation.mixers import mean_console
from diffmst_lib.evaluation.systems import REGISTRY, SYSTEMS, optimize_system, register_system, system
from diffmst_lib.evaluation.task import Task
from diffmst_lib.inputs import InputError
from diffmst_lib.registry import Registry

VARIANTS = ["mrstft-8", "mrstft-16", "mrstft+af-8", "mrstft+af-16", "af-16"]
QUICK = ["equal-loudness", "equal-loudness-stereo", "sum", "rules", "random"]
NETWORKS = ["mean", "small", "small-refined", *VARIANTS]
FITS = ["optimize-free", "optimize"]


@pytest.fixture(scope="module")
def task(song, reference):
    return Task(song, reference, seed=3)


@pytest.fixture
def untrained(monkeypatch):
    """Every model is the untrained "tiny", which is quick and always there."""
    torch.manual_seed(0)
    model = dm.DiffMST("tiny").eval()
    monkeypatch.setattr(mixers, "load_model", lambda name: model)
    monkeypatch.setattr(mixers, "_MEANS", {})
    return model


@pytest.fixture
def registry(monkeypatch):
    """A registry of this test's own."""
    made = Registry("system", own=SYSTEMS)
    monkeypatch.setattr(systems, "REGISTRY", made)
    return made


def test_the_names_in_their_order():
    assert list(SYSTEMS) == [
        *QUICK,
        "mean",
        *FITS,
        "small",
        "small-refined",
        *VARIANTS,
        "matchering",
        "human",
    ]
    for name, one in SYSTEMS.items():
        assert one.name == name and one.about and "\n" not in one.about
        assert one.fits == (name in [*FITS, "small-refined"])
        assert one.listens == (name not in [*QUICK, "mean", "human"])
        pickle.dumps(one)  # other processes get them


def ours(name, task, **options):
    """The mix of one of ours, which must be quiet, at its level, and what its console makes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = system(name, **options).mix(task)
    assert isinstance(result, dm.MixResult) and is_what_the_console_makes(result)
    assert dm.loudness(result.audio) == pytest.approx(-16, abs=0.01)
    assert result.params.names == task.song.names and math.isfinite(result.total)
    return result


def test_the_quick_ones(task):
    mixes = {name: ours(name, task) for name in QUICK}
    assert torch.equal(*mixes["equal-loudness"].audio)
    assert not torch.equal(*mixes["equal-loudness-stereo"].audio)
    assert torch.equal(mixes["sum"].audio, dm.unity(task.song).audio)
    stems = [dm.loudness(stem) for stem in mixes["equal-loudness-stereo"].stems().values()]
    assert max(stems) - min(stems) < 0.01


def test_a_random_console_is_that_of_the_seed(task):
    one, again = ours("random", task), ours("random", task)
    other = ours("random", Task(task.song, task.record, seed=4))
    assert torch.equal(one.audio, again.audio) and not torch.equal(one.audio, other.audio)
    assert (
        len(set(one.params.tracks[:, 0].tolist())) == 1
    )  # the song's trim, so that thresholds mean something
    assert bus_lufs(one) == pytest.approx(-20, abs=0.1)


def test_fits_take_as_many_steps_as_asked(task):
    free, held = ours("optimize-free", task, steps=2), ours("optimize", task, steps=2)
    assert len(free.history) == len(held.history) == 3
    assert not free.history["pull"].any() and held.history["pull"].any()
    assert len(optimize_system(1).mix(task).history) == 2
    assert [optimize_system(7, keep=keep).name for keep in (0.0, 0.5)] == FITS


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(task, untrained, name):
    result = ours(name, task, steps=2)
    assert (result.history is None) == (name != "small-refined")
    if name == "small-refined":
        assert len(result.history) == 3
    if name in VARIANTS:  # as it is, without going back toward the song
        torch.testing.assert_close(result.audio, untrained.mix(task.song, task.record, keep=0).audio)


def test_the_mean_is_the_same_whatever_the_record(task, untrained, noise, monkeypatch):
    one = ours("mean", task)
    heard = []
    monkeypatch.setattr(untrained, "analyze", lambda *a: heard.append(a))
    other = ours("mean", Task(task.song, noise(2, 44100), seed=1))
    assert torch.equal(one.audio, other.audio) and not heard  # the console is kept
    assert bus_lufs(one) == pytest.approx(-20, abs=0.1)


def test_the_mean_is_that_of_the_records(song, untrained, monkeypatch):
    records = mixers._records(44100)
    assert len(records) == 6 and all(record.shape[0] == 2 for record in records)
    monkeypatch.setattr(mixers, "_records", lambda rate: records[:3])
    consoles = [untrained.analyze(song, record).to_unit()[0] for record in records[:3]]
    found = mean_console("tiny", song)
    torch.testing.assert_close(found.to_unit()[0], sum(consoles) / 3, rtol=0, atol=1e-6)
    found.tracks.zero_()  # a caller's edit stays the caller's
    assert mean_console("tiny", song).tracks.any()


def test_few_mean_consoles_are_kept(song, reference, untrained, monkeypatch):
    monkeypatch.setattr(mixers, "CONSOLES", 2)
    monkeypatch.setattr(mixers, "_records", lambda rate: [reference[:, :22050]])
    for gain in (1.0, 0.5, 0.25):
        mean_console("tiny", dm.Multitrack(song.names, gain * song.audio))
    assert len(mixers._MEANS) == 2


def test_weights_of_the_library(task):
    SYSTEMS["small"].ready()
    torch.testing.assert_close(
        ours("small", task).audio, dm.DiffMST.from_pretrained("small").mix(task.song, task.record).audio
    )


def test_missing_weights_are_told_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr("diffmst_lib.network.checkpoint.data_dir", lambda: tmp_path)
    mixers.load_model.cache_clear()
    for name in ("mean", "small", "mrstft-8"):
        with pytest.raises(InputError) as caught:
            SYSTEMS[name].ready()
        assert "\n" not in str(caught.value)
    mixers.load_model.cache_clear()


def test_the_human_mix(task, noise):
    with pytest.raises(InputError, match=r"no human mix of this part .*human_mix\.\*") as caught:
        system("human").mix(task)
    assert caught.value.about == "song"
    human = noise(2, task.song.audio.shape[-1]).double()
    mix = system("human").mix(Task(task.song, task.record, human=human))
    torch.testing.assert_close(mix, dm.normalize_loudness(human).float())
    with pytest.raises(InputError, match=r"human gives float64 \(2, 100\), not a mix of floats \(2, 66150\)"):
        system("human").mix(Task(task.song, task.record, human=human[:, :100]))


# Matchering


@pytest.fixture
def matchering(monkeypatch):
    """A stand-in with the same two public names."""
    module = types.ModuleType("matchering")
    module.__spec__ = types.SimpleNamespace(name="matchering")
    module.Result = lambda file, subtype: types.SimpleNamespace(file=file, subtype=subtype)

    def process(target, reference, results):
        module.got = [soundfile.read(path)[0] for path in (target, reference)]
        soundfile.write(results[0].file, -module.got[0], 44100, subtype=results[0].subtype)

    module.process = process
    monkeypatch.setitem(sys.modules, "matchering", module)
    return module


def test_matchering_gets_the_plain_sum_and_the_record(task, matchering):
    mix, plain_sum = system("matchering").mix(task), dm.normalize_loudness(task.song.audio.sum(dim=0))
    system("matchering").ready()
    torch.testing.assert_close(mix, -plain_sum)
    torch.testing.assert_close(torch.tensor(matchering.got[0].T).float(), plain_sum)
    torch.testing.assert_close(torch.tensor(matchering.got[1].T).float(), task.record)


def test_matchering_that_fails(task, matchering):
    def process(*_):
        raise RuntimeError("the reference\n is too short")

    matchering.process = process
    with pytest.raises(InputError) as caught:
        system("matchering").mix(task)
    assert str(caught.value) == "matchering: the reference is too short"


def test_matchering_that_is_not_installed(task, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for call in (system("matchering").ready, partial(system("matchering").mix, task)):
        with pytest.raises(InputError, match=r'pip install "diffmst-lib\[eval\]"'):
            call()


def test_the_real_matchering(task, capfd):
    pytest.importorskip("matchering")
    mix = system("matchering").mix(task)
    distance = [
        dm.audio_feature_loss(x, dm.normalize_loudness(task.record))["bark_spectrum"].item()
        for x in (mix, dm.unity(task.song).audio)
    ]
    assert distance[0] < distance[1] and capfd.readouterr() == ("", "")


# Systems of one's own


def flipped(task):
    return task.song.audio.sum(dim=0).flip(0)


def test_a_system_of_ones_own(task, registry):
    register_system("flipped", flipped, about="left is\n right", listens=False)
    register_system("flipped", flipped, about="left is right", listens=False)  # the cell once more
    found = system("flipped")
    assert (found.about, found.listens, found.fits) == ("left is right", False, False)
    torch.testing.assert_close(found.mix(task), dm.unity(task.song).audio.flip(0), rtol=0, atol=1e-5)
    assert torch.equal(pickle.loads(pickle.dumps(found)).mix(task), found.mix(task))
    register_system("as-it-is", lambda task: dm.unity(task.song, lufs=-20), fits=True)
    assert system("as-it-is", steps=3).mix(task).loudness_lufs == pytest.approx(-20, abs=0.01)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        (None, "gives NoneType, not a mix of floats (2, 66150)"),
        (torch.zeros(2, 66150), "gives silence"),
        (torch.full((2, 66150), math.nan), "gives NaN or infinite samples"),
        (torch.ones(66150), "gives float32 (66150,), not a mix"),
        (torch.ones(2, 66150, dtype=torch.int16), "gives int16 (2, 66150), not a mix"),
    ],
)
def test_what_is_no_mix(task, registry, mix, message):
    register_system("mine", lambda task: mix)
    with pytest.raises(InputError) as caught:
        system("mine").mix(task)
    assert str(caught.value).startswith("mine ") and message in str(caught.value)


def test_systems_that_cannot_be_registered(registry):
    register_system("mine", flipped)
    for name, function, message in (
        ("mine", print, "another system is registered as 'mine'"),
        ("small", flipped, "one of ours"),
        ("two words", flipped, "must be a word"),
        ("other", 7, "a function of a task, not int"),
    ):
        with pytest.raises(InputError, match=message):
            register_system(name, function)


# Bad input


def test_unknown_systems():
    with pytest.raises(
        InputError, match=r"no system is registered as 'smal' \(known: equal-loudness, .*small"
    ):
        system("smal")
    with pytest.raises(InputError, match="--program mst=FOLDER"):
        system("mst")
    assert not REGISTRY.added  # tests leave nothing behind


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "9"])
def test_steps_that_are_none(steps):
    with pytest.raises(InputError, match="whole number from 1"):
        system("optimize", steps=steps)


@pytest.mark.parametrize("name", [*QUICK, "mean", "small", *FITS, "matchering", "human"])
def test_songs_and_records_that_cannot_be_mixed(task, untrained, matchering, name):
    song, record = task.song, task.record
    silent = dm.Multitrack(song.names, torch.zeros_like(song.audio))
    for bad, message in (
        (Task(silent, record, human=record), "silent"),
        (Task(song, 0 * record, human=record), "silent"),
        (Task(song, record[:1], human=record), "stereo"),
        (Task(song, math.nan * record, human=record), "NaN"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            system(name, steps=1).mix(bad)
        assert caught.value.about == ("song" if bad.song is silent else "reference")


def test_a_record_of_one_second_and_a_song_without_a_voice(task, untrained):
    short = Task(task.song.select("kick", "minilogue_synth"), task.record[:, :44100])
    for name in [*QUICK, "mean", "small", *FITS]:
        ours(name, short, steps=1)
