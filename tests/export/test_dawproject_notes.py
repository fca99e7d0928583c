"""What a DAWproject session cannot hold is told, with the strips that it matters to."""

import zipfile

from dawproject_sessions import written
from lxml import etree

from diffmst_lib import ConsoleParams, Multitrack
from diffmst_lib.export.dawproject_notes import dawproject_notes
from diffmst_lib.export.session import build_session


def test_notes_name_the_strips(tmp_path, song):
    params = ConsoleParams.neutral(song.names)
    assert dawproject_notes(build_session(song, params, tmp_path)) == []
    kick, vox = params.track("kick"), params.track("bgvox_main")
    kick["ratio"], kick["knee_db"], kick["input_gain_db"] = 4.0, 8.0, -3.0
    vox["width"], vox["pan"], vox["send_db"] = 1.4, 0.3, -12.0
    notes = dawproject_notes(build_session(song, params, tmp_path))
    for told, name in [
        ("no stereo width", "1.40 on bgvox_main"),
        ("no reverb", "bgvox_main"),
        ("no look-ahead", "kick"),
        ("no knee in DAWproject: up to 0.8 dB", "kick"),
        ("no trim", "kick"),
        ("no pan law", "bgvox_main"),
    ]:
        assert any(told in note and name in note for note in notes), told
    assert not any("minilogue_synth" in note or "\n" in note for note in notes)
    root = written(tmp_path, song, params)
    comment = next(t.get("comment") for t in root.iter("Track") if t.get("name") == "Master")
    with zipfile.ZipFile(tmp_path / "session.dawproject") as archive:
        told = etree.fromstring(archive.read("metadata.xml")).findtext("Comment")
    assert comment == told == "\n".join(notes)


def test_the_width_of_a_mono_stem_does_nothing_and_is_no_note(tmp_path, song):
    mono = Multitrack(["kick"], song.audio[:1, :1].repeat(1, 2, 1))
    params = ConsoleParams.neutral(["kick"])
    params.track("kick")["width"] = 2.0
    assert dawproject_notes(build_session(mono, params, tmp_path)) == []
