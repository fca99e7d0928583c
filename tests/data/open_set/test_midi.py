"""MIDI files become dry stems; FluidSynth itself where it is installed, a stand-in everywhere."""

import os
import stat
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

mido = pytest.importorskip("mido", reason="mido is not installed: no MIDI was read")

from diffmst_lib.data.open_set import midi as module  # noqa: E402
from diffmst_lib.data.open_set.midi import (
    INSTRUMENTS,
    RELEASE_S,
    STAMP,
    find_soundfont,
    instrument_name,
    missing_tools,
    render_song,
    render_songs,
    split_channels,
)
from diffmst_lib.inputs import InputError  # noqa: E402

RATE = 44100
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


def message(kind, time=0, **facts):
    return (mido.MetaMessage if kind == "set_tempo" else mido.Message)(kind, time=time, **facts)


def save(path, *tracks, kind=1):
    mido.MidiFile(type=kind, ticks_per_beat=480, tracks=[mido.MidiTrack(track) for track in tracks]).save(
        path
    )
    return path


def note(channel, velocity=100, ticks=480, wait=0, pitch=60):
    return [
        message("note_on", wait, channel=channel, note=pitch, velocity=velocity),
        message("note_off", ticks, channel=channel, note=pitch),
    ]


@pytest.fixture
def score(tmp_path):
    """Bass, two pianos on channels 1 and 2, drums: four beats, of which the last two are twice as long."""

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
    return save(tmp_path / "duet.mid", note(0), note(9))


def test_every_sounding_channel_is_a_stem_with_its_instrument(score):
    assert list(split_channels(score)) == [
        "acoustic_bass",
        "acoustic_grand_piano",
        "acoustic_grand_piano_2",
        "drums",
    ]


def test_names_are_those_of_general_midi():
    assert len(set(INSTRUMENTS)) == 128
    some = {
        0: "acoustic_grand_piano",
        24: "nylon_guitar",
        40: "violin",
        56: "trumpet",
        73: "flute",
        80: "square_lead",
        104: "sitar",
        127: "gunshot",
    }
    assert {program: instrument_name(program) for program in some} == some
    assert instrument_name(40, channel=9) == "drums"


def test_a_stem_is_named_by_the_program_of_most_of_its_notes(tmp_path):
    def played(program, count):
        return [message("program_change", channel=0, program=program), *(note(0) * count)]

    path = save(tmp_path / "a.mid", [*played(0, 1), *played(24, 3), *played(73, 2)])
    assert list(split_channels(path)) == ["nylon_guitar"]


def test_the_performance_stays_and_the_mixing_goes(score):
    bass = [m for m in split_channels(score)["acoustic_bass"].tracks[0] if m.type == "control_change"]
    assert [(m.control, m.value) for m in bass[:2]] == [(7, 90), (11, 80)]
    assert not {m.control for m in bass} & {8, 10, 91, 93}
    piano = split_channels(score)["acoustic_grand_piano"].tracks[0]
    assert [m.pitch for m in piano if m.type == "pitchwheel"] == [99]
    assert {m.channel for m in piano if not m.is_meta} == {1}
    assert [m.tempo for m in piano if m.type == "set_tempo"] == [500_000, 1_000_000]


def test_all_stems_last_as_long_and_end_with_every_note_released(score):
    stems = split_channels(score)
    # Beats: 0.5, 0.5, 1, 1 s, and then the release.
    assert {round(stem.length, 6) for stem in stems.values()} == {3.0 + RELEASE_S}
    for stem in stems.values():
        track = [m for m in stem.tracks[0] if not m.is_meta]
        last = [(m.type, getattr(m, "control", None)) for m in track[-3:]]
        assert last == [("control_change", 64), ("control_change", 123), ("control_change", 123)]


def test_one_channel_in_several_tracks_is_one_stem(tmp_path, stand_in, soundfont):
    path = save(
        tmp_path / "a.mid", note(0), [message("program_change", channel=0, program=40), *note(0, wait=480)]
    )
    assert len(split_channels(path)) == 1
    with pytest.raises(InputError, match="1 channels sound; a multitrack needs two"):
        render_song(path, tmp_path / "a", soundfont=soundfont)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"MThd\0\0\0\6\0\1\0\1\1\340MTrk\0\0\0\5\0\377"])
def test_broken_midi_is_one_line(tmp_path, content):
    path = tmp_path / "broken.mid"
    path.write_bytes(content)
    with pytest.raises(InputError, match="^broken.mid: not a MIDI file that can be read") as error:
        split_channels(path)
    assert "\n" not in str(error.value)


def test_midi_without_notes_or_without_time_is_refused(tmp_path):
    with pytest.raises(InputError, match="no notes"):
        split_channels(save(tmp_path / "a.mid", [message("program_change", channel=0, program=3)]))
    with pytest.raises(InputError, match="type 0 and 1"):
        split_channels(save(tmp_path / "b.mid", note(0), note(1), kind=2))


def test_stems_are_flac_of_one_length_at_their_levels(score, tmp_path, stand_in, soundfont):
    stems = render_song(score, tmp_path / "song", soundfont=soundfont)
    assert list(stems) == ["acoustic_bass", "acoustic_grand_piano", "acoustic_grand_piano_2", "drums"]
    for name, path in stems.items():
        assert path == tmp_path / "song" / f"{name}.flac"
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.subtype) == (RATE, round((3 + RELEASE_S) * RATE), "PCM_16")
        assert info.channels == (2 if name == "acoustic_grand_piano_2" else 1)  # mono where both are equal
        audio, _ = soundfile.read(path, always_2d=True)
        assert audio[:RATE, 0] == pytest.approx(0.5, abs=1e-4)
        assert abs(audio[-1, 0]) < 1e-3  # faded, not cut
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_program_is_asked_for_dry_sound(score, tmp_path, stand_in, soundfont):
    render_song(score, tmp_path / "song", soundfont=soundfont)
    for call in stand_in():
        assert " -R 0 -C 0 " in call and " -r 44100 -g 0.5 " in call and str(soundfont) in call


def test_silent_channels_are_left_out(tmp_path, stand_in, soundfont):
    path = save(tmp_path / "a.mid", note(0), note(1), note(3, velocity=1))
    assert len(render_song(path, tmp_path / "a", soundfont=soundfont)) == 2


def test_a_song_that_clips_is_rendered_lower_as_a_whole(duet, tmp_path, stand_in, soundfont, monkeypatch):
    monkeypatch.setenv("STAND_IN", "loud")
    stems = render_song(duet, tmp_path / "song", soundfont=soundfont)
    for path in stems.values():
        assert soundfile.read(path, always_2d=True)[0][100, 0] == pytest.approx(0.75, abs=1e-4)


def test_what_is_rendered_is_not_rendered_again(duet, tmp_path, stand_in, soundfont):
    first = render_song(duet, tmp_path / "song", soundfont=soundfont)
    assert render_song(duet, tmp_path / "song", soundfont=soundfont) == first
    assert len(stand_in()) == 2


@pytest.mark.parametrize("harm", ["cut stem", "no stem", "other soundfont", "other midi", "broken stamp"])
def test_what_is_not_whole_or_not_the_same_is_rendered_again(harm, duet, tmp_path, stand_in, soundfont):
    stems = render_song(duet, tmp_path / "song", soundfont=soundfont)
    if harm == "cut stem":
        stems["drums"].write_bytes(stems["drums"].read_bytes()[:-10])
    elif harm == "no stem":
        stems["drums"].unlink()
    elif harm == "other soundfont":
        soundfont.write_bytes(soundfont.read_bytes() + b"more")
    elif harm == "other midi":
        save(duet, note(0, ticks=960), note(9))
    else:
        (tmp_path / "song" / STAMP).write_text("[]")
    again = render_song(duet, tmp_path / "song", soundfont=soundfont)
    assert len(stand_in()) == 4
    assert all(soundfile.info(path).frames for path in again.values())


def test_a_folder_with_other_files_is_left_as_it_is(duet, tmp_path, stand_in, soundfont):
    mine = tmp_path / "song" / "mine.wav"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="were not rendered from MIDI"):
        render_song(duet, mine.parent, soundfont=soundfont)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("fail", "FluidSynth failed .*out of luck"),
        ("short", "FluidSynth failed"),
        ("hang", "did not finish within 0.8 s"),
    ],
)
def test_a_failing_program_is_one_line_and_leaves_nothing(
    mode, reason, duet, tmp_path, stand_in, soundfont, monkeypatch
):
    monkeypatch.setenv("STAND_IN", mode)
    before = set(tmp_path.iterdir())
    start = time.monotonic()
    with pytest.raises(InputError, match=reason) as error:
        render_song(duet, tmp_path / "song", soundfont=soundfont, timeout_s=0.8 if mode == "hang" else 30)
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 15
    assert set(tmp_path.iterdir()) == before


def test_a_failing_song_does_not_stop_the_others(duet, tmp_path, stand_in, soundfont, monkeypatch):
    monkeypatch.setenv("STAND_IN", "fail drums")
    good = save(tmp_path / "good.mid", note(0), note(1))
    songs, problems = render_songs({"bad": duet, "good": good}, tmp_path / "out", soundfont=soundfont)
    assert list(songs) == ["good"] and list(songs["good"]) == [
        "acoustic_grand_piano",
        "acoustic_grand_piano_2",
    ]
    assert [problem.path for problem in problems] == [str(duet)]
    assert "drums: FluidSynth failed" in problems[0].reason
    calls = len(stand_in())
    monkeypatch.setenv("STAND_IN", "")
    songs, problems = render_songs({"bad": duet, "good": good}, tmp_path / "out", soundfont=soundfont)
    assert list(songs) == ["bad", "good"] and not problems
    assert len(stand_in()) == calls + 2  # the good song stayed


def test_a_full_disk_is_said_before_the_program_runs(score, tmp_path, stand_in, soundfont, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="No space left"):
        render_songs({"song": score}, tmp_path / "out", soundfont=soundfont)
    assert stand_in() == [] and list((tmp_path / "out").iterdir()) == []


def test_missing_tools_name_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "SOUNDFONT_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    reasons = [problem.reason for problem in missing_tools()]
    assert len(reasons) == 3
    for what in (
        "pip install mido",
        "apt install fluidsynth",
        "apt install musescore-general-soundfont-small",
    ):
        assert sum(what in reason for reason in reasons) == 1
    (tmp_path / "FluidR3_GM.sf2").touch()
    assert find_soundfont() == tmp_path / "FluidR3_GM.sf2"


def test_a_soundfont_that_is_none_is_refused(tmp_path, score):
    with pytest.raises(InputError, match="cannot read this SoundFont"):
        missing_tools(tmp_path / "nowhere.sf2")
    with pytest.raises(InputError, match="is no SoundFont"):
        missing_tools(score)


def test_fluidsynth_itself_gives_dry_unpanned_aligned_stems(tmp_path):
    if missing_tools():
        pytest.skip("FluidSynth or its SoundFont is not installed: nothing was rendered with it")
    organ = [message("program_change", channel=0, program=16)]
    organ += [
        message("control_change", channel=0, control=number, value=value)
        for number, value in {10: 0, 91: 127, 93: 127}.items()
    ]
    path = save(
        tmp_path / "a.mid", [*organ, *note(0, wait=480), *note(0, wait=1920)], note(9, wait=480, pitch=38)
    )
    stems = {
        name: soundfile.read(path, always_2d=True)[0]
        for name, path in render_song(path, tmp_path / "a").items()
    }
    assert set(stems) == {"drawbar_organ", "drums"}
    for audio in stems.values():
        power = (audio**2).sum(axis=0)
        assert power.max() < 2 * power.min()  # not at the side where the file's pan puts it
        first = np.nonzero(np.abs(audio).max(axis=1) > 1e-3)[0][0] / RATE
        assert first == pytest.approx(0.5, abs=0.02)
        assert 0.01 < np.abs(audio).max() < 1
    gap = stems["drawbar_organ"][round(2.0 * RATE) : round(2.9 * RATE)]  # 1 s after a note
    assert np.abs(gap).max() < 1e-4
    assert np.abs(stems["drawbar_organ"][round(3.1 * RATE) : round(3.4 * RATE)]).max() > 0.01
