"""Names that say nothing, and another order of the stems, give the same mix."""

import dataclasses

import pytest
import torch

import diffmst_lib as dm
from diffmst_lib import DiffMST, optimize_mix
from diffmst_lib.mixing.start import start_pans

NAMED = ("vox_lead", "snare", "pad_bass", "mallet", "minilogue_synth")


@pytest.fixture(scope="module")
def named():
    """Four seconds in which the lead voice sings."""
    song = dm.load_multitrack(dm.data_dir() / "multitracks" / "potassium").select(*NAMED)
    voice = song.stems["vox_lead"].square().sum(dim=0)
    first = int(voice.unfold(0, 4 * 44100, 4410).sum(dim=1).argmax()) / 10
    return song.excerpt(first, 4)


@pytest.fixture(scope="module")
def renamed(named):
    """The same song in another order, without a word that says a role; and the old name of each stem."""
    order = [3, 0, 4, 2, 1]
    old = {f"x{i}": named.names[row] for i, row in enumerate(order)}
    return dataclasses.replace(named, names=list(old), audio=named.audio[order]), old


def as_mono(song):
    return dataclasses.replace(song, audio=song.audio.mean(dim=1, keepdim=True).repeat(1, 2, 1))


def apart_db(mix, other):
    return 10 * torch.log10((mix - other).square().sum() / other.square().sum()).item()


@pytest.mark.filterwarnings("ignore::diffmst_lib.InputNote")
@pytest.mark.parametrize("kind", [lambda song: song, as_mono], ids=["stereo", "mono"])
def test_the_network_gives_the_same_mix(named, renamed, reference, kind):
    model = DiffMST("tiny").eval()
    song, other = kind(named.select(*NAMED[:1], *NAMED[2:])), kind(without(renamed, "snare"))
    mixes = [model.mix(one, reference, keep=0).audio for one in (song, other)]
    assert apart_db(*mixes) < -90


def without(renamed, name):
    song, old = renamed
    return song.select(*(new for new, was in old.items() if was != name))


def test_pans_of_a_mono_song_start_at_the_same_places(named, renamed):
    """But for a snare, which only a name can say: the sound tells drums."""
    song, old = as_mono(without(renamed, "snare")), renamed[1]
    given = dict(zip((old[name] for name in song.names), start_pans(song), strict=True))
    mono = as_mono(named.select(*given))
    assert given == dict(zip(mono.names, start_pans(mono), strict=True))
    assert given["vox_lead"] == given["pad_bass"] == 0.5 != given["mallet"]


def test_a_fit_ends_at_the_same_mix(named, renamed, reference):
    """The voice guard needs the lead voice, which the sound finds."""
    song, old = renamed
    results = [optimize_mix(one, reference, steps=12, fit_seconds=2) for one in (named, song)]
    assert results[1].total == pytest.approx(results[0].total, rel=0.05)
    for name in song.names:
        faders = [
            result.params.track(of)["fader_db"] for result, of in zip(results, (old[name], name), strict=True)
        ]
        assert faders[0] == pytest.approx(faders[1], abs=0.5)
    voices = [result.report().mix.loc["lead_voice_lu", "mix"] for result in results]
    assert voices[0] == pytest.approx(voices[1], abs=0.1)
