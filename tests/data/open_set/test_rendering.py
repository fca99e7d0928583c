"""MIDI files become dry stems; FluidSynth itself where it is installed, a stand-in everywhere."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

mido = pytest.importorskip("mido", reason="mido is not installed: no MIDI was read")

from midi_scores import message, note, save  # noqa: E402 - mido is needed

from diffmst_lib.data.open_set import rendering as module  # noqa: E402
from diffmst_lib.data.open_set.midi import RELEASE_S, split_channels  # noqa: E402
from diffmst_lib.data.open_set.rendering import (  # noqa: E402
    STAMP,
    find_soundfont,
    missing_tools,
    render_song,
    render_songs,
)
from diffmst_lib.inputs import InputError  # noqa: E402

RATE = 44100


def test_one_channel_in_several_tracks_is_one_stem(tmp_path, stand_in, soundfont):
    path = save(
        tmp_path / "a.mid", note(0), [message("program_change", channel=0, program=40), *note(0, wait=480)]
    )
    assert len(split_channels(path)) == 1
    with pytest.raises(InputError, match="1 channels sound; a multitrack needs two"):
        render_song(path, tmp_path / "a", soundfont=soundfont)
    assert not (tmp_path / "a").exists()


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
    with pytest.raises(InputError, match=reason) as error:
        render_song(duet, tmp_path / "song", soundfont=soundfont, timeout_s=0.8 if mode == "hang" else 30)
    assert "\n" not in str(error.value)
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
