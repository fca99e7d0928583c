"""A mix as a workstation sees it: which files, from where, in which order, with which knobs."""

import os
import shutil
import warnings
from pathlib import Path

import pytest
import soundfile
import torch
from sound_files import encode, music, write_sound

from diffmst_lib import ConsoleParams, InputError, InputNote, Multitrack, load_audio, load_multitrack
from diffmst_lib.audio.sources import Source
from diffmst_lib.console.automation import Automation
from diffmst_lib.disk import write_together
from diffmst_lib.export.session import COLORS, build_session, stem_writers, why_no_session


def load(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        return load_multitrack(folder, **options)


def session_of(song, folder="session", **options):
    return build_session(song, ConsoleParams.neutral(song.names), folder, **options)


def files(session):
    """{stem: the file's name, marked where it is written}."""
    return {t.name: ("written " if t.clip.written else "") + t.clip.path.name for t in session.tracks}


def test_a_session_says_what_the_song_and_the_console_say(write, noise, tmp_path):
    write("stems/kick.wav", noise(1, 40_000))
    write("stems/pad.wav", noise(2, 48_000), 48_000)
    song = load(tmp_path / "stems")
    params = ConsoleParams.neutral(song.names)
    params.track("pad")["fader_db"], params.master_bus["width"] = -3.5, 1.25
    session = build_session(song, params, tmp_path / "out", roles={"kick": "drums"})
    assert (session.title, session.sample_rate, session.seconds) == ("stems", 44100, 1.0)
    assert (session.folder, session.preset, session.automation) == (tmp_path / "out", "default", None)
    assert session.fx_bus is None and session.markers == []
    kick, pad = session.tracks
    assert (kick.name, kick.role, kick.color) == ("kick", "drums", COLORS["drums"])
    assert (pad.name, pad.role, pad.color) == ("pad", "other", COLORS["other"])
    assert pad.knobs["fader_db"] == -3.5 and list(pad.knobs) == [s.name for s in params.specs("track")]
    assert session.master["width"] == 1.25
    assert kick.clip.path == tmp_path / "stems" / "kick.wav" and not kick.clip.written
    assert (kick.clip.channels, kick.clip.sample_rate, kick.clip.start_s) == (1, 44100, 0.0)
    assert kick.clip.seconds == pytest.approx(40_000 / 44100, rel=1e-9)
    assert (pad.clip.channels, pad.clip.sample_rate, pad.clip.seconds) == (2, 48_000, 1.0)
    assert not (tmp_path / "out").exists()  # nothing is written


def test_the_effects_bus_is_there_where_something_is_sent(song):
    params = ConsoleParams.neutral(song.names)
    params.track("kick")["send_db"], params.fx_bus["mix"] = -20.0, 0.5
    assert build_session(song, params, "out").fx_bus["mix"] == 0.5


def test_a_relative_folder_is_made_absolute(song, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert session_of(song, "a/../out").folder == tmp_path / "out"


WAYS = {  # of writing a file, and whether every workstation reads the same from it
    "pcm.wav": lambda path: soundfile.write(path, music(1.0).T, 44100, subtype="PCM_24"),
    "bytes.wav": lambda path: soundfile.write(path, music(1.0).T, 44100, subtype="PCM_U8"),
    "float.wav": lambda path: soundfile.write(path, music(1.0).T, 44100, subtype="FLOAT"),
    "upper.WAV": lambda path: soundfile.write(path, music(1.0).T, 44100, subtype="PCM_16"),
    "apple.aif": lambda path: soundfile.write(path, music(1.0).T, 44100, format="AIFF"),
    "lossless.flac": write_sound,
    "vorbis.ogg": write_sound,
}
OTHERS = {
    "lossy.mp3": write_sound,
    "opus.opus": lambda path: write_sound(path, music(1.0, 48_000), 48_000),
    "aac.m4a": write_sound,
    "telephone.wav": lambda path: soundfile.write(path, music(1.0).T, 44100, subtype="ULAW"),
    "sun.au": lambda path: soundfile.write(path, music(1.0).T, 44100, subtype="PCM_16"),
    "of no length.wav": lambda path: encode(path, "pcm_s16le", music(1.0), form="wav", piped=True),
    "a FLAC.wav": lambda path: soundfile.write(path, music(1.0).T, 44100, format="FLAC"),
}


@pytest.mark.parametrize("name", [*WAYS, *OTHERS])
def test_formats_that_workstations_may_read_differently_are_written_beside(tmp_path, name):
    {**WAYS, **OTHERS}[name](tmp_path / name)
    song = load(tmp_path)
    (file,) = files(session_of(song)).values()
    assert file == (name if name in WAYS else f"written {Path(name).stem}.wav")


def test_what_is_no_file_as_it_lies_is_written_beside(write, noise, tmp_path):
    for name in ("bass", "kick", "vox"):
        write(f"{name}.wav", noise(1, 4410))
    song = load(tmp_path)
    song.audio[1] *= -1
    (tmp_path / "vox.wav").unlink()
    assert files(session_of(song)) == {
        "bass": "bass.wav",
        "kick": "written kick.wav",
        "vox": "written vox.wav",
    }
    assert set(files(session_of(song, embed=True)).values()) == {
        f"written {name}.wav" for name in ("bass", "kick", "vox")
    }
    arrays = Multitrack(["a/b", "A/B"], song.audio[:2])
    assert files(session_of(arrays)) == {"a/b": "written a_b.wav", "A/B": "written A_B_2.wav"}


@pytest.mark.parametrize("part", [(0.0, 0.5), (0.5, 0.5), (0.2, 0.5)])
def test_excerpts_are_written_beside(write, noise, tmp_path, part):
    write("kick.wav", noise(1, 44100))
    song = load(tmp_path)
    assert files(session_of(song.excerpt(0.0, 1.0))) == {"kick": "kick.wav"}
    clip = session_of(song.excerpt(*part), tmp_path / "out").tracks[0].clip
    assert clip.written and clip.path == tmp_path / "out" / "audio" / "kick.wav"
    assert (clip.start_s, clip.seconds, clip.channels, clip.sample_rate) == (0.0, 0.5, 1, 44100)


def test_a_stem_that_begins_later_stays_where_it_lies(write, noise, tmp_path):
    path = write("vox.wav", noise(1, 22050))
    song = Multitrack(["kick", "vox"], torch.zeros(2, 2, 44100))
    song.audio[1, :, 22050:] = noise(1, 22050)
    song.sources = {"vox": Source(path, 0.5)}
    clip = session_of(song).tracks[1].clip
    assert (clip.path, clip.start_s, clip.seconds, clip.written) == (path, 0.5, 0.5, False)


@pytest.mark.skipif(os.name != "posix", reason="names of files are text there")
def test_a_name_that_is_no_text_is_written_beside(write, noise, tmp_path):
    os.rename(write("kick.wav", noise(1, 4410)), os.fsencode(tmp_path) + b"/k\xffck.wav")
    (clip,) = [track.clip for track in session_of(load(tmp_path)).tracks]
    assert clip.written and clip.path.name.encode() == "k\N{REPLACEMENT CHARACTER}ck.wav".encode()


def test_stems_beside_a_session_are_the_song_s_samples(write, noise, tmp_path):
    write("stems/kick.wav", noise(1, 4410))
    write("stems/pad.wav", noise(2, 4410, seed=1))
    song = load(tmp_path / "stems")
    session = session_of(song, tmp_path / "out", embed=True)
    (tmp_path / "out").mkdir()
    write_together(tmp_path / "out", {f: _inside(w) for f, w in stem_writers(session, song).items()})
    for track, stem, channels in zip(session.tracks, song.audio, (1, 2), strict=True):
        samples, rate = soundfile.read(track.clip.path, dtype="float32", always_2d=True)
        assert rate == 44100 and track.clip.channels == channels
        assert torch.equal(torch.from_numpy(samples.T), stem[:channels])
    shutil.rmtree(tmp_path / "out")
    assert stem_writers(session_of(song, tmp_path / "out"), song) == {}


def _inside(write):
    """A writer that makes the folder at its place as well, as `output_folder` does."""

    def make(path):
        (path.parents[2] / path.parent.name).mkdir(exist_ok=True)
        return write(path)

    return make


def test_sections_are_markers(song):
    verse, chorus = (ConsoleParams.neutral(song.names) for _ in range(2))
    chorus.track("kick")["fader_db"] = 3.0
    chorus.track("kick")["send_db"] = -20.0
    roles = {"kick": "drums", "minilogue_synth": "keys", "bgvox_main": "voice"}
    moving = Automation([0.0, 1.0], [verse, chorus], ["verse", "chorus"], fade_s=0.1)
    session = build_session(song, moving, "out")
    assert session.markers == [(0.0, "verse"), (1.0, "chorus")] and session.fx_bus is not None
    kick = song.names.index("kick")
    assert session.tracks[kick].knobs["fader_db"] == 0.0
    assert ("track", kick, "fader_db") in session.automation.changing()
    by_role = build_session(song, moving, "out", roles=roles)
    assert [track.name for track in by_role.tracks] == ["bgvox_main", "kick", "minilogue_synth"]
    assert ("track", 1, "fader_db") in by_role.automation.changing()
    assert all(one.names == ["bgvox_main", "kick", "minilogue_synth"] for one in by_role.automation.consoles)


def test_tracks_stand_as_on_a_desk_where_their_roles_are_known(write, noise, tmp_path):
    for seed, name in enumerate(["a", "b", "c", "d"]):
        write(f"{name}.wav", noise(1, 4410, seed=seed))
    song = load(tmp_path)
    params = ConsoleParams.neutral(song.names, pans=[0.1, 0.2, 0.3, 0.4])
    roles = {"a": "bass", "b": "voice", "d": "voice"}
    session = build_session(song, params, tmp_path / "out", roles=roles, embed=True)
    found = [(track.name, track.role, round(track.knobs["pan"], 3)) for track in session.tracks]
    assert found == [("b", "voice", 0.2), ("d", "voice", 0.4), ("a", "bass", 0.1), ("c", "other", 0.3)]
    assert [track.clip.path.stem for track in session.tracks] == ["b", "d", "a", "c"]
    stem_writers(session, song)["audio/a.wav"](tmp_path / "audio" / "a.wav")
    assert torch.equal(load_audio(tmp_path / "audio" / "a.wav")[0], song.stems["a"][0])


def test_consoles_that_no_session_can_hold(song):
    assert why_no_session("default") is None
    params = ConsoleParams.neutral(song.as_channels()[0], preset="reference")
    with pytest.raises(InputError, match=r"^no session: the console 'reference' has a strip a channel"):
        build_session(song, params, "out")
    with pytest.raises(ValueError, match="strips of the console are not the stems"):
        build_session(song, ConsoleParams.neutral(["a", "b"]), "out")
