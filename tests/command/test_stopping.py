"""Stopping the command: one line, an exit code that names the signal, and nothing half done; closed streams."""

import os
import signal
import subprocess
import sys

import pytest
from command_helpers import DIFFMST, IN_SESSIONS, MIX_FILES, tree
from hanging import HANGS_S

from diffmst_lib.command.stopping import open_streams, stoppable

BASELINE = ["mix", "stems", "--method", "equal-loudness", "--output", "out"]
# Runs the command, and sends itself a signal when a function is called.
SENDS = """
import importlib, os, signal, sys
module, _, name = sys.argv[1].rpartition(".")
number, times = int(sys.argv[2]), int(sys.argv[3])
from diffmst_lib.command.main import main
place = importlib.import_module(module)
plain = getattr(place, name)
def sending(*args, **options):
    for _ in range(times):
        os.kill(os.getpid(), number)
    return plain(*args, **options)
setattr(place, name, sending)
sys.argv[1:] = sys.argv[4:]
sys.exit(main())
"""


def sends(function, number, *words, times=1):
    command = [sys.executable, "-c", SENDS, function, str(int(number)), str(times), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS_S)


@pytest.mark.parametrize(
    ("function", "number", "times"),
    [
        ("diffmst_lib.audio.delivery.encode", signal.SIGINT, 2),
        ("diffmst_lib.audio.delivery.encode", signal.SIGTERM, 1),
        ("json.dumps", signal.SIGHUP, 1),
        ("os.mkdir", signal.SIGTERM, 2),
    ],
)
def test_a_signal_costs_one_line_and_leaves_nothing(inputs, number, times, function):
    before = tree(inputs)
    result = sends(function, number, *BASELINE, times=times)
    assert (result.returncode, result.stdout, result.stderr) == (128 + number, "", "diffmst: stopped\n")
    assert tree(inputs) == before


def test_a_signal_while_files_move_to_their_place_waits_until_all_are_there(inputs):
    result = sends("os.replace", signal.SIGTERM, *BASELINE)
    assert (result.returncode, result.stderr) == (128 + signal.SIGTERM, "diffmst: stopped\n")
    left = sorted(os.listdir("out")) if os.path.exists("out") else []
    assert left in ([], MIX_FILES)  # mix.wav itself is written whole as well


def test_an_interrupted_import_costs_one_line(inputs, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "soundfile.py").write_text(
        "import os, signal\\ntry:\\n    os.kill(os.getpid(), signal.SIGINT)\\n    x = sum(range(1000))\\n"
        "except BaseException:\\n    raise ImportError('many\\\\nlines') from None\\n".replace("\\n", "\n")
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "lib")}
    result = subprocess.run([DIFFMST, *BASELINE], capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "diffmst: stopped\n")


@pytest.mark.parametrize("error", [AssertionError, OSError, RuntimeError, ImportError])
def test_an_error_that_a_library_makes_of_the_interrupt_is_no_traceback(inputs, diffmst, monkeypatch, error):
    def interrupted(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise error("many\nlines") from None

    monkeypatch.setattr("diffmst_lib.audio.stems.read_sound", interrupted)
    assert diffmst(*[BASELINE]) == (130, [], ["diffmst: stopped"])


def test_an_interrupt_that_is_swallowed_comes_again(inputs, diffmst, monkeypatch):
    def swallows(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            signal.pause()

    monkeypatch.setattr("diffmst_lib.audio.stems.load_multitrack", swallows)
    assert diffmst(*[BASELINE]) == (130, [], ["diffmst: stopped"])


def test_handlers_are_those_of_before_after_the_command_and_ignored_signals_stay_ignored():
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable(at_once=False) as stops:
            signal.raise_signal(signal.SIGHUP)
            assert stops == [] and signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is before
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, ignored)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(inputs, closed):
    command = " ".join([str(DIFFMST), *BASELINE, closed])
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=HANGS_S)
    assert result.returncode == 0
    assert all(line.startswith(IN_SESSIONS) for line in result.stderr.splitlines())
    assert sorted(os.listdir("out")) == MIX_FILES


def test_a_reader_of_the_notes_who_leaves_does_not_stop_the_mix(inputs):
    (inputs / "stems" / "cover.xyz").touch()  # a note
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([DIFFMST, *BASELINE], stdout=subprocess.PIPE, stderr=write, timeout=HANGS_S)
    os.close(write)
    assert result.returncode == 0 and b"written: out/" in result.stdout
    assert sorted(os.listdir("out")) == MIX_FILES


def test_streams_are_those_of_before_after_the_command():
    before = sys.stdout, sys.stderr
    with open_streams():
        assert sys.stderr is not before[1]
    assert (sys.stdout, sys.stderr) == before
