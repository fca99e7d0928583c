"""The DAWproject session: valid, readable field by field, and near to our sound in another's hands."""

import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dawproject_sessions import mixed, read, value, written

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, InputError, Multitrack
from diffmst_lib.console.automation import Automation
from diffmst_lib.console.table import EQ_BANDS
from diffmst_lib.disk import write_together
from diffmst_lib.export.dawproject import dawproject_files
from diffmst_lib.export.session import build_session
from diffmst_lib.export.workstation import channel_values

SCHEMA = Path(__file__).parent / "schema"
RATE = 44100
BAD = "a\"b'`\n<&>\x01 \u266b"


def moving(names, seed=0):
    verse, chorus = mixed(names, seed), mixed(names, seed + 1)
    chorus.track(names[0])["fader_db"] = -60.0
    chorus.track(names[1])["send_db"] = 3.0
    return Automation([0.0, 1.0, 2.0], [verse, chorus, verse], ["verse", "chorus", "verse"], loudest=1)


# The file


def test_every_field_is_there_with_its_unit(tmp_path, song):
    params = mixed(song.names)
    params.track("kick")["send_db"], params.track("kick")["pan"] = -9.0, 0.25
    vox = params.track("bgvox_main")
    vox["threshold_db"], vox["input_gain_db"] = -55.0, 8.0  # beyond what a workstation has
    root = written(tmp_path, song, params, roles={"kick": "drums"})
    tracks = {track.get("name"): track for track in root.iter("Track")}
    assert sorted(tracks) == sorted([*song.names, "Reverb", "Master"])
    kick, knobs = tracks["kick"], params.track("kick")
    assert (kick.get("comment"), kick.get("color")) == ("role: drums", "#8d6a9f")
    channel = kick.find("Channel")
    ids = {element.get("id"): element for element in root.iter() if element.get("id")}
    assert ids[channel.get("destination")].get("role") == "master"
    send = channel.find("Sends/Send")
    assert ids[send.get("destination")].get("role") == "effect" and send.get("type") == "post"
    assert value(send, "Volume") == pytest.approx(10 ** (-9 / 20))
    assert ids[send.get("destination")].find("Mute").get("value") == "true"
    bands = channel.findall("Devices/Equalizer/Band")
    assert [band.get("type") for band in bands] == ["lowShelf", *["bell"] * 4, "highShelf"]
    for band, name in zip(bands, EQ_BANDS, strict=True):
        for tag, knob in (("Freq", "frequency_hz"), ("Gain", "gain_db"), ("Q", "q")):
            assert value(band, tag) == pytest.approx(knobs[f"{name}_{knob}"], rel=1e-5)
    fast, slow = channel.findall("Devices/Compressor")
    assert value(fast, "Ratio") * value(slow, "Ratio") == pytest.approx(knobs["ratio"])
    for compressor in (fast, slow):
        assert value(compressor, "Threshold") == pytest.approx(knobs["threshold_db"] - knobs["input_gain_db"])
        assert value(compressor, "Release") == pytest.approx(knobs["release_ms"] / 1000 / math.log(9))
        assert compressor.find("AutoMakeup").get("value") == "false"
    assert value(slow, "OutputGain") == pytest.approx(knobs["makeup_gain_db"] + knobs["input_gain_db"])
    assert value(slow, "Attack") == pytest.approx(knobs["attack_ms"] / 1000 / math.log(9))
    assert value(fast, "Attack") == pytest.approx(0.001 / math.log(9))  # at a ratio of 2
    assert value(channel, "Pan") == pytest.approx(0.25)
    assert value(channel, "Volume") == pytest.approx(10 ** (knobs["fader_db"] / 20))
    units = {(e.tag, e.get("unit")) for e in root.iter() if e.get("unit")}
    assert units == {
        ("Tempo", "bpm"),
        ("Freq", "hertz"),
        ("Gain", "decibel"),
        ("Q", "linear"),
        ("Threshold", "decibel"),
        ("Ratio", "linear"),
        ("Attack", "seconds"),
        ("Release", "seconds"),
        ("InputGain", "decibel"),
        ("OutputGain", "decibel"),
        ("Pan", "normalized"),
        ("Volume", "linear"),
    }


def test_parameters_lie_in_the_ranges_that_the_file_names(tmp_path, song):
    for seed, ratio in enumerate((1.1, 3.0, 20.0)):
        root = written(tmp_path, song, mixed(song.names, seed, ratio))
        for element in root.iter():
            if element.get("min"):
                assert float(element.get("min")) <= float(element.get("value")) <= float(element.get("max"))


def test_a_neutral_mix_has_no_devices(tmp_path, song):
    root = written(tmp_path, song, ConsoleParams.neutral(song.names))
    assert root.find(".//Devices") is None and root.find(".//Sends") is None
    assert {value(channel, "Volume") for channel in root.iter("Channel")} == {1.0}


def test_sends_above_unity_are_turned_up_on_the_bus(tmp_path, song):
    params = ConsoleParams.neutral(song.names)
    for name, send_db in zip(song.names, (6.0, 0.0, -60.0), strict=True):
        params.track(name)["send_db"] = send_db
    root = written(tmp_path, song, params)
    sends = [float(send.find("Volume").get("value")) for send in root.iter("Send")]
    bus = next(channel for channel in root.iter("Channel") if channel.get("role") == "effect")
    assert sends == pytest.approx([1.0, 10 ** (-6 / 20)])
    assert value(bus, "Volume") == pytest.approx(10 ** (6 / 20))


def test_clips_play_the_files_where_they_lie(tmp_path):
    song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
    root = written(tmp_path, song, ConsoleParams.neutral(song.names))
    clips = root.findall(".//Clip")
    assert len(clips) == len(song.names)
    for clip, name in zip(clips, song.names, strict=True):
        file = clip.find("Audio/File")
        path = (tmp_path / file.get("path")).resolve()
        assert file.get("external") == "true" and path.is_file() and path.stem == name
        assert not os.path.isabs(file.get("path"))
        assert (float(clip.get("time")), clip.get("contentTimeUnit")) == (0.0, "seconds")
        assert float(clip.get("duration")) == pytest.approx(song.duration_s, abs=1e-6)
        assert clip.find("Audio").get("sampleRate") == "44100"


def test_another_drive_has_an_absolute_path(tmp_path, monkeypatch):
    song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").select("kick")
    session = build_session(song, ConsoleParams.neutral(song.names), tmp_path)

    def fail(*_):
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr(os.path, "relpath", fail)
    write_together(tmp_path, dawproject_files(session))
    path = read(tmp_path / "session.dawproject").find(".//File").get("path")
    assert Path(path) == session.tracks[0].clip.path


def test_a_path_leads_there_through_a_link(tmp_path):
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "down")
    song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").select("kick")
    root = written(tmp_path / "link", song, ConsoleParams.neutral(song.names))
    assert (tmp_path / "link" / root.find(".//File").get("path")).exists()


def test_embedded_audio_is_in_the_zip(tmp_path, song):
    root = written(tmp_path, song, ConsoleParams.neutral(song.names), embed=True)
    with zipfile.ZipFile(tmp_path / "session.dawproject") as archive:
        assert archive.testzip() is None
        for file in root.iter("File"):
            assert file.get("external") == "false"
            assert archive.read(file.get("path")) == (tmp_path / file.get("path")).read_bytes()


def test_audio_that_was_not_asked_for_lies_beside_the_zip_once(tmp_path, song):
    root = written(tmp_path, song, ConsoleParams.neutral(song.names))
    with zipfile.ZipFile(tmp_path / "session.dawproject") as archive:
        assert sorted(archive.namelist()) == ["metadata.xml", "project.xml"]
    for file in root.iter("File"):
        assert file.get("external") == "true"
        assert (tmp_path / file.get("path")).exists()


def test_missing_audio_is_one_line_and_leaves_nothing(tmp_path, song):
    session = build_session(song, ConsoleParams.neutral(song.names), tmp_path, embed=True)
    with pytest.raises(InputError, match="not written"):
        write_together(tmp_path, dawproject_files(session))
    assert list(tmp_path.iterdir()) == []


def test_equal_sessions_are_equal_files(tmp_path):
    song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").select("kick", "bgvox_main")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, song, moving(song.names))
    one, two = (tmp_path / name / "session.dawproject" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_names_that_xml_must_quote(tmp_path, song):
    odd = Multitrack([BAD, "\ud800", "\u00fcber"], song.audio, title=BAD)
    root = written(tmp_path, odd, ConsoleParams.neutral(odd.names))
    names = [track.get("name") for track in root.iter("Track")]
    assert names[0] == BAD.replace("\x01", "\ufffd") and names[2] == "\u00fcber"


# What moves


def test_points_follow_the_automation(tmp_path, song):
    automation = moving(song.names)
    root = written(tmp_path, song, automation)
    ids = {element.get("id"): element for element in root.iter() if element.get("id")}
    times = np.linspace(0.0, 2.9, 117)
    top_db = 3.0
    seen = 0
    for row, name in enumerate([*song.names, None]):
        strips = [
            dict(params.track(name) if name else params.master_bus) for params in map(automation.at, times)
        ]
        wanted = [
            channel_values(strip, compressed=True, send_top_db=0.0 if name is None else top_db)
            for strip in strips
        ]
        identity = f"track{row + 1}" if name else "master"
        for key, tag in (
            ("volume", "volume"),
            ("threshold", "compressor2-threshold"),
            ("attack", "compressor2-attack"),
            ("fast_ratio", "compressor1-ratio"),
            ("pan", "pan"),
        ):
            if key in wanted[0]:
                expected = [values[key] for values in wanted]
                assert course(root, ids, f"{identity}-{tag}", times) == pytest.approx(
                    expected, abs=0.015 * max(map(abs, expected))
                )
                seen += 1
        expected = [strip["peak_1_frequency_hz"] for strip in strips]
        assert course(root, ids, f"{identity}-peak_1-freq", times) == pytest.approx(expected, rel=0.005)
    assert seen == 5 * len(song.names) + 4
    volumes = [points for points in root.iter("Points") if "volume" in points.get("id")]
    assert {points.get("unit") for points in volumes} == {"linear"}


def course(root, ids, identity, times):
    """A parameter over time as a workstation plays it."""
    points = ids.get(f"{identity}-points")
    if points is None:
        return np.full(len(times), float(ids[identity].get("value")))
    assert points.find("Target").get("parameter") == identity
    assert points.getparent().get("track") == identity.split("-")[0]
    xy = [(float(p.get("time")), float(p.get("value"))) for p in points.iter("RealPoint")]
    assert {p.get("interpolation") for p in points.iter("RealPoint")} == {"linear"}
    assert float(ids[identity].get("value")) == pytest.approx(xy[0][1])
    return np.interp(times, *zip(*xy, strict=True))


def test_markers_name_the_sections(tmp_path, song):
    root = written(tmp_path, song, moving(song.names))
    markers = [(float(m.get("time")), m.get("name")) for m in root.findall("Arrangement/Markers/Marker")]
    assert markers == [(0.0, "verse"), (1.0, "chorus"), (2.0, "verse")]


def test_what_stands_still_has_no_points(tmp_path, song):
    verse = mixed(song.names)
    chorus = verse.clone()
    chorus.track("kick")["fader_db"] += 2.0
    root = written(tmp_path, song, Automation([0.0, 0.7], [verse, chorus], ["a", "b"]))
    assert [points.find("Target").get("parameter") for points in root.iter("Points")] == ["track2-volume"]
