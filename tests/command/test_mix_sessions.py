"""`diffmst mix` and its sessions: where the stems lie, what is overwritten, and odd songs."""

import os
import re
from pathlib import Path

import pytest
import torch
from command_helpers import IN_SESSIONS, notes, tree

from diffmst_lib import load_audio, load_multitrack

BASELINE = "mix stems --output out --method equal-loudness --quiet"


def played(folder):
    """The files that the session for Reaper plays."""
    text = Path(folder, "session.RPP").read_text("utf-8")
    return [path for _, path in re.findall(r"^ *FILE ([`'\"])(.*)\1$", text, re.MULTILINE)]


def test_sessions_play_the_raw_stems_and_embedding_copies_them(inputs, diffmst):
    assert diffmst(BASELINE)[0] == 0
    assert played("out") == ["../stems/bass.wav", "../stems/keys.wav"]
    before = Path("stems/bass.wav").read_bytes()
    code, out, _ = diffmst(BASELINE.replace(" --quiet", ""), "--embed --overwrite")
    assert code == 0 and "report.json, audio/, session.RPP, diffmst_strip.jsfx" in out[-1]
    assert played("out") == ["audio/bass.wav", "audio/keys.wav"]
    assert torch.equal(load_audio("out/audio/keys.wav"), load_audio("stems/keys.wav"))
    assert load_audio("out/audio/bass.wav").shape[0] == 1 and Path("stems/bass.wav").read_bytes() == before


def test_names_that_a_session_must_quote(inputs, diffmst, write, noise):
    names = ['7" mix', "it's", "back`tick", "näm€ 🎸", "a, b.c", "<tag> & co", "-dash"]
    for seed, name in enumerate(names):
        write(f"stems/{name}.wav", noise(1, 22050, seed=seed))
    assert diffmst(BASELINE)[0] == 0
    assert {f"../stems/{name}.wav" for name in names} < set(played("out"))
    odd = "all `of' \"them"
    write(f"stems/{odd}.wav", noise(1, 22050, seed=99))
    _, _, err = diffmst(BASELINE, "--overwrite")
    assert any(f"cannot name the file of {odd}" in line for line in err if line.startswith(IN_SESSIONS))
    assert diffmst(BASELINE, "--overwrite --embed")[0] == 0
    assert all(Path("out", file).is_file() for file in played("out"))


def test_stems_are_not_overwritten_by_their_copies(inputs, diffmst):
    Path("song").mkdir()
    os.rename("stems", "song/audio")
    before = tree(Path("song"))
    mix = "mix song/audio --output song --method equal-loudness --quiet"
    code, _, err = diffmst(mix, "--embed --overwrite")
    assert code == 2 and err[-1].startswith(
        "diffmst: error: song/audio: holds the stems, choose another folder"
    )
    assert tree(Path("song")) == before
    assert diffmst(mix)[0] == 0 and played("song") == ["audio/bass.wav", "audio/keys.wav"]
    assert load_multitrack("song").names == ["bass", "keys"]  # mixed again from there


def test_copies_of_an_earlier_mix_are_refused_or_named(inputs, diffmst, write):
    write("out/audio/keys.wav", torch.zeros(1, 9))
    code, _, err = diffmst(BASELINE, "--embed")
    assert code == 2 and "out: holds audio/keys.wav; replace with --overwrite" in err[-1]
    assert diffmst(BASELINE)[0] == 0
    Path("out/mix.mp3").write_bytes(b"mine")
    _, _, err = diffmst(BASELINE, "--overwrite")
    assert notes(err) == [
        "out/audio: stems that are not of this mix stay there: keys.wav",
        "out: not of this mix, and stays there: mix.mp3",
    ]


def test_a_mix_in_another_format_is_an_earlier_mix(inputs, diffmst):
    code, _, _ = diffmst(BASELINE, "--format flac --stems")
    assert code == 0 and "mix.flac" in os.listdir("out") and "mix.wav" not in os.listdir("out")
    assert sorted(os.listdir("out/stems")) == ["bass.flac", "keys.flac"]
    code, _, err = diffmst(BASELINE)
    assert code == 2 and "mix.flac" in err[-1]
    os.rename("out", "stems/mixes")
    _, _, err = diffmst(BASELINE)
    assert notes(err) == ["left out: mixes (an earlier mix: params.json lies beside it)"]


def test_more_stems_than_a_console_has_strips(inputs, diffmst, write, noise):
    for number in range(65):
        write(f"many/{number:02d}.wav", noise(1, 2205, seed=number))
    code, out, err = diffmst("mix many --output out --method equal-loudness")
    assert (code, out) == (2, []) and err == [
        "diffmst: error: many: 65 stems, at most 64 can be mixed: sum some of them first, such as the microphones "
        "of one instrument"
    ]
    assert not Path("out").exists()


def test_stems_that_are_already_a_mix_are_named(inputs, diffmst, write):
    song = load_multitrack("stems")
    write("stems/print.wav", 0.5 * song.audio.sum(dim=0))
    code, _, err = diffmst(BASELINE)
    assert code == 0 and notes(err) == [
        "a mix of other stems, which are heard twice that way: print (of bass, keys); leave one or the other out"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--role drums=voice", "--role names no stem drums: there are bass, keys"),
        ("--device cuda:99", "--device cuda:99: "),
        ("--device tpu", "must be cpu, cuda, or one of several"),
        ("--sections 0:30,0:10", "--sections"),
        ("--format aac", "--format: invalid choice"),
        ("--reference-from 0:10", "--reference-from needs a --reference"),
    ],
)
def test_options_of_whole_songs_cost_one_line(inputs, diffmst, arguments, message):
    before = tree(inputs)
    code, out, err = diffmst(BASELINE, arguments)
    assert (code, out) == (2, []) and message in err[-1]
    assert tree(inputs) == before
