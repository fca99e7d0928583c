"""Systems that are other programs: what they get, what they write, and what goes wrong."""

import fcntl
import re
import sys
import time

import pytest
import torch
from hanging import HANGS_S
from mix_helpers import mono_song

import diffmst_lib as dm
from diffmst_lib.evaluation.programs import MST_RESULTS, mst, mst_inputs, program
from diffmst_lib.evaluation.systems import SYSTEMS
from diffmst_lib.evaluation.task import Task
from diffmst_lib.inputs import InputError

# A program: sums the stems, a tenth of the record on top.
MIXER = """
import sys, pathlib, soundfile
song, record, output = sys.argv[1:]
stems = [soundfile.read(path) for path in sorted(pathlib.Path(song).glob("*.wav"))]
sound, rate = soundfile.read(record)
mix = sum(stem for stem, _ in stems)
length = min(len(mix), len(sound))
mix[:length] += 0.1 * sound[:length]
soundfile.write(output, mix, rate, subtype="FLOAT")
"""
# Stands in for Music Mixing Style Transfer: does with its files what the README of that program says.
TRANSFER = """
import argparse, glob, os, sys, soundfile
parser = argparse.ArgumentParser()
for option in ("--ckpt_path_enc", "--ckpt_path_conv", "--target_dir"):
    parser.add_argument(option)
options = parser.parse_args()
assert os.path.isfile("inference/style_transfer.py") and options.target_dir.endswith("/")
assert os.path.getsize(options.ckpt_path_enc) != os.path.getsize(options.ckpt_path_conv)
for song in glob.glob(f"{options.target_dir}*/"):
    made = f"{song}separated/mdx_extra/input"
    sound, rate = soundfile.read(f"{song}input.wav")
    soundfile.read(f"{song}reference.wav")
    if os.path.exists(f"{made}/drums.wav"):
        names = ("drums", "bass", "other", "vocals")
        sound = sum(soundfile.read(f"{made}/{name}.wav")[0] for name in names)
    print(sorted(soundfile.info(path).subtype for path in glob.glob(f"{song}*.wav")), rate, len(sound))
    soundfile.write(f"{song}RESULT", -0.5 * sound, rate)
"""


@pytest.fixture
def task(song, reference):
    return Task(song, reference)


@pytest.fixture
def script(tmp_path):
    """script(code, arguments): the command line of a Python program."""

    def write(code, arguments="{song} {record} {output}"):
        path = tmp_path / "my program.py"
        path.write_text(code, "utf-8")
        return f"'{sys.executable}' '{path}' {arguments}"

    return write


def fails(system, task):
    """The line that says why a system gives no mix."""
    with pytest.raises(InputError) as caught:
        system.mix(task)
    line = str(caught.value)
    assert "\n" not in line and line.isprintable()
    return line


def test_a_program_mixes(task, script):
    system = program("mine", script(MIXER))
    assert (system.name, system.listens, system.fits) == ("mine", True, True)
    expected = task.song.audio.sum(dim=0)
    expected = expected + 0.1 * task.record[:, : expected.shape[-1]]
    torch.testing.assert_close(system.mix(task), dm.normalize_loudness(expected), rtol=0, atol=1e-5)


def test_names_of_stems_that_are_no_names_of_files(noise, reference, script):
    song = mono_song(noise(3, 44100), ["a/b", "..", "A/B"])
    mix = program("mine", script(MIXER)).mix(Task(song, reference))
    assert dm.loudness(mix) == pytest.approx(-16, abs=1e-3)


def test_a_command_without_a_record_does_not_listen(script):
    assert not program("mine", script(MIXER, "{song} - {output}")).listens


def test_the_command_is_no_shell(task, script):
    code = "import sys; sys.exit(' '.join(sys.argv[3:]))"
    line = fails(program("mine", script(code, "{song} {output} '$HOME' ';' '*' x={record}")), task)
    assert line.startswith("mine failed with exit code 1: $HOME ; * x=") and line.endswith("record.wav")


@pytest.mark.parametrize(
    ("name", "command", "message"),
    [
        ("sum", "cp {song} {output}", "one of ours"),
        ("no word", "cp {song} {output}", "must be a word"),
        (7, "cp {song} {output}", "must be a word"),
        ("mine", "", "must have {song}"),
        ("mine", "cp {record} {output}", "must have {song}"),
        ("mine", "cp {song}", "must have {output}"),
        ("mine", "cp {song} {output} {title}", "nothing else"),
        ("mine", "cp '{song} {output}", "No closing quotation"),
        ("mine", "no-such-program {song} {output}", "there is no program no-such-program"),
    ],
)
def test_commands_that_cannot_be(name, command, message):
    with pytest.raises(InputError) as caught:
        program(name, command)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("limit_s", [0, -1.0, float("nan")])
def test_a_limit_that_is_none(script, limit_s):
    with pytest.raises(InputError, match="time limit"):
        program("mine", script(MIXER), limit_s=limit_s)


WRITE = "import sys, numpy, soundfile; soundfile.write(sys.argv[3], {}, {}, format='WAV')"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no such\\x07 weights')", "failed with exit code 1: ValueError: no such weights"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "ended by signal 15"),
        ("", "wrote no mix.wav"),
        ("print('nothing to do')", "wrote no mix.wav: nothing to do"),
        ("import sys; open(sys.argv[3], 'w').write('x')", "wrote no audio file"),
        (WRITE.format("numpy.ones((66150, 1))", 44100), "wrote 1 channels"),
        (WRITE.format("numpy.ones((66150, 2))", 48000), "at 48000 Hz, the song has 44100 Hz"),
        (WRITE.format("numpy.ones((44100, 2))", 44100), "wrote 1.00 s, the song has 1.50 s"),
        (WRITE.format("numpy.zeros((66150, 2))", 44100), "gives silence"),
    ],
)
def test_programs_that_fail(task, script, code, message):
    line = fails(program("mine", script(code)), task)
    assert line.startswith("mine ") and message in line


def test_a_mix_that_is_a_few_samples_off_is_fitted(task, script):
    code = WRITE.format("0.1 * numpy.random.default_rng(0).normal(size=(66150 - 1105, 2))", 44100)
    mix = program("mine", script(code)).mix(task)
    assert mix.shape == (2, 66150) and not mix[:, -1105:].any() and mix[:, -1106].all()


def test_a_program_that_hangs_is_stopped_with_what_it_started(task, script, tmp_path):
    held = tmp_path / "held"
    child = f"import fcntl, time; file = open({str(held)!r}, 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
    child += "print('held', flush=True); time.sleep(600)"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); "
    line = fails(program("mine", script(code + "time.sleep(600)"), limit_s=3), task)
    assert re.fullmatch(r"mine was stopped after 3 s(: held)?", line)  # not yet, where Python starts slowly
    end = time.monotonic() + HANGS_S
    with held.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < end, "what the program started still runs"
                time.sleep(0.05)


def test_a_song_without_sound_reaches_no_program(task, script):
    silent = Task(dm.Multitrack(task.song.names, 0 * task.song.audio), task.record)
    assert "silent" in fails(program("mine", script("raise SystemExit(9)")), silent)
    assert "silent" in fails(program("mine", script("raise SystemExit(9)")), Task(task.song, 0 * task.record))


# Music Mixing Style Transfer


@pytest.fixture
def fetched(tmp_path):
    """fetched(result): a folder that looks like the fetched program, which writes `result`."""

    def make(result=MST_RESULTS[0], code=TRANSFER):
        folder = tmp_path / "mst"
        for name in ("inference", "weights"):
            (folder / name).mkdir(parents=True)
        (folder / "weights" / "FXencoder_ps.pt").write_bytes(b"1")
        (folder / "weights" / "MixFXcloner_ps.pt").write_bytes(b"12")
        (folder / "inference" / "style_transfer.py").write_text(code.replace("RESULT", result), "utf-8")
        return folder

    return make


@pytest.fixture
def four(noise):
    """A song of which the names tell all four groups."""
    audio = torch.tensor([1.0, 0.5, 0.3, 0.2, 0.4])[:, None] * noise(5, 44100)
    return mono_song(audio, ["kick", "bass", "vox", "snare", "take 3"])


@pytest.mark.parametrize("result", MST_RESULTS)
def test_mst_from_a_folder(four, reference, fetched, result):
    system = program("mst", str(fetched(result)))
    assert system.name == "mst" and system.listens
    mix, plain_sum = system.mix(Task(four, reference)), four.audio.sum(dim=0)
    # The true stems' sums were there: their sum is the plain sum, to the 16 bits of its five files.
    torch.testing.assert_close(mix, dm.normalize_loudness(-plain_sum), rtol=0, atol=2e-3)
    assert system.mix(Task(four, reference[:, :44100])).shape == mix.shape


def test_what_mst_gets(four, song):
    sounds = mst_inputs(four)
    assert list(sounds) == ["input", "drums", "bass", "other", "vocals"]
    groups = torch.stack([sounds[name] for name in list(sounds)[1:]])
    torch.testing.assert_close(groups.sum(dim=0), sounds["input"], rtol=0, atol=1e-6)
    gain = sounds["bass"].abs().max() / four.audio[1].abs().max()
    torch.testing.assert_close(sounds["drums"], gain * (four.audio[0] + four.audio[3]))
    torch.testing.assert_close(sounds["other"], gain * four.audio[4])
    assert dm.loudness(sounds["input"]) == pytest.approx(-20, abs=0.01)
    click = dm.Multitrack(["kick"], torch.zeros(1, 2, 44100))
    click.audio[..., 22050] = 1.0
    assert list(mst_inputs(song)) == ["input"]  # no bass: separated by the program
    assert mst_inputs(click)["input"].abs().max() == pytest.approx(0.5)


def test_mst_that_fails(four, reference, fetched):
    system = mst(fetched(code="import sys; print('loading weights'); sys.exit(0)"))
    assert fails(system, Task(four, reference)) == "mst wrote no mixture_output.wav: loading weights"
    slow = dm.Multitrack(four.names, four.audio, 48000)
    assert "works at 44100 Hz" in fails(system, Task(slow, reference))


def test_mst_that_is_not_there(tmp_path, fetched):
    with pytest.raises(InputError, match=r"has no inference/style_transfer\.py: fetch"):
        mst(tmp_path / "nowhere")
    folder = fetched()
    with pytest.raises(InputError, match="there is no program no-python"):
        mst(folder, python="no-python")
    system = mst(folder)
    (folder / "weights" / "MixFXcloner_ps.pt").unlink()
    for look in (system.ready, lambda: mst(folder)):
        with pytest.raises(InputError, match=r"no weights MixFXcloner\*\.pt in .*README"):
            look()


def test_mst_is_none_of_ours():
    assert "mst" not in SYSTEMS  # or nobody could give its folder
