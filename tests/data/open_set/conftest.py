"""Scores, and a stand-in for FluidSynth."""

import os
import stat
import sys

import pytest

STAND_IN = """#!{python}
import array, os, struct, sys, time
import mido
def option(name): return sys.argv[sys.argv.index(name) + 1]
mode = os.environ.get("STAND_IN", "")
open(os.environ["STAND_IN_LOG"], "a").write(" ".join(sys.argv[1:]) + chr(10))
score = mido.MidiFile(sys.argv[-1])
notes = [m for m in score.tracks[0] if m.type == "note_on" and m.velocity]
if mode == "hang": time.sleep(30)
if mode == "fail" or mode == "fail drums" and notes[0].channel == 9: sys.exit("fluidsynth: error: out of luck")
frames = int(score.length * 44100) + 64
level = float(option("-g")) * notes[0].velocity / 100 * (3 if mode == "loud" else 1)
if mode == "short": frames //= 2
if notes[0].velocity == 1: level = 0.0
right = -level if notes[0].channel == 2 else level
data = array.array("f", [level, right] * frames).tobytes()
with open(option("-F"), "wb") as file:
    file.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 2, 44100, 352800, 8,
                           32, b"data", len(data)) + data)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program fluidsynth that holds one level for as long as the score; returns its calls so far when called."""
    program, log = tmp_path / "bin" / "fluidsynth", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    log.touch()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("STAND_IN_LOG", str(log))
    return lambda: log.read_text().splitlines()


@pytest.fixture
def soundfont(tmp_path):
    path = tmp_path / "font.sf2"
    path.write_bytes(b"RIFF\x04\0\0\0sfbk")
    return path


@pytest.fixture
def score(tmp_path):
    """Bass, two pianos on channels 1 and 2, drums: four beats, of which the last two are twice as long."""

    from midi_scores import message, note, save

    def control(channel, **values):
        numbers = {
            "volume": 7,
            "pan": 10,
            "expression": 11,
            "balance": 8,
            "reverb": 91,
            "chorus": 93,
            "sustain": 64,
        }
        return [
            message("control_change", channel=channel, control=numbers[name], value=value)
            for name, value in values.items()
        ]

    tempo = [message("set_tempo", tempo=500_000), message("set_tempo", 960, tempo=1_000_000)]
    bass = [
        message("program_change", channel=0, program=32),
        *control(0, volume=90, pan=0, expression=80, balance=9),
        *control(0, reverb=127, chorus=127),
        *note(0),
    ]
    piano = [
        *control(1, sustain=127),
        *note(1),
        message("pitchwheel", channel=1, pitch=99),
        *note(2, wait=960),
    ]
    drums = note(9, pitch=38)
    return save(tmp_path / "score.mid", tempo, bass, piano, drums)


@pytest.fixture
def duet(tmp_path):
    from midi_scores import note, save

    return save(tmp_path / "duet.mid", note(0), note(9))
