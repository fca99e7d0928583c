import os

import numpy as np
import pytest
import rpp
import soundfile
import torch
from reaper_project import Project, words

import diffmst_lib as dm
from diffmst_lib.console.automation import Automation
from diffmst_lib.console.params import ConsoleParams
from diffmst_lib.console.reverb import apply_reverb
from diffmst_lib.export.jsfx import plugin, plugin_knobs
from diffmst_lib.export.reaper import project_text, reaper_files, reaper_notes
from diffmst_lib.export.reaper_text import number, quoted
from diffmst_lib.export.session import build_session

RATE = 44100


def song_of(*names: str, seconds: float = 4.0) -> dm.Multitrack:
    noise = torch.Generator().manual_seed(0)
    audio = 0.1 * torch.randn(len(names), 2, int(seconds * RATE), generator=noise)
    return dm.Multitrack(list(names), audio, RATE, title="demo")


def read(text: str, tmp_path) -> Project:
    (tmp_path / "session.RPP").write_text(text, encoding="utf-8")
    return Project(tmp_path / "session.RPP")


def project_of(song, settings, tmp_path, **options) -> Project:
    return read(project_text(build_session(song, settings, tmp_path, **options)), tmp_path)


def test_a_track_is_a_stem_with_its_knobs(tmp_path):
    song = song_of("kick", "vox lead")
    params = ConsoleParams.neutral(song.names)
    kick = params.track("kick")
    kick["input_gain_db"], kick["fader_db"], kick["pan"], kick["ratio"] = 6.0, -12.0, 0.25, 4.0
    params.track("vox lead")["fader_db"] = -60.0
    params.master_bus["output_gain_db"] = -3.0
    project = project_of(song, params, tmp_path, roles={"kick": "drums"})
    first, second = project.tracks
    assert [words(track, "NAME") for track in project.tracks] == [["kick"], ["vox lead"]]
    assert float(words(first.find("ITEM"), "VOLPAN")[0]) == pytest.approx(10 ** (6 / 20))
    assert float(words(first, "VOLPAN")[0]) == pytest.approx(10 ** (-12 / 20))
    assert float(words(second, "VOLPAN")[0]) == 0.0  # the fader is off
    assert words(first, "PEAKCOL") == [str(0x19F6A8D)]  # #8d6a9f, blue first
    name, values = project.plugin(first.find("FXCHAIN"))
    assert name == "diffmst_strip.jsfx"
    sliders = dict(zip((knob.name for knob in plugin_knobs("track")), values, strict=True))
    assert sliders == pytest.approx({name: kick[name] for name in sliders})
    name, values = project.plugin(project.tree.find("MASTERFXLIST"))
    assert (name, values[-1], len(values)) == ("diffmst_master.jsfx", -3.0, 26)
    assert project.sample_rate == RATE and words(project.tree, "RENDER_RANGE")[2] == "4"


@pytest.mark.parametrize(
    ("section", "name", "missing"),
    [("track", "strip", {"input_gain_db", "fader_db", "send_db"}), ("master_bus", "master", set())],
)
def test_sliders_are_the_knobs_with_their_ranges(section, name, missing):
    lines = [line for line in plugin(name).splitlines() if line.startswith("slider")]
    known = {spec.name: spec for spec in dm.param_table(section) if spec.name not in missing}
    assert len(lines) == len(known)
    for number_, (line, spec) in enumerate(zip(lines, known.values(), strict=True), start=1):
        head, rest = line.split("<")
        limits, label = rest.split(">")
        assert head == f"slider{number_}:{spec.name}={spec.neutral:.10g}"
        assert [float(word) for word in limits.split(",")[:2]] == [spec.low, spec.high]
        assert not spec.unit or spec.unit in label


def test_no_plugin_holds_a_number_with_an_exponent():
    # Older engines of JSFX read 1e-8 as 1 and something else.
    for name in ("strip", "master", "reverb"):
        code = "\n".join(line.split("//")[0] for line in plugin(name).splitlines())
        assert not [word for word in code.replace("(", " ").split() if word[:1].isdigit() and "e-" in word]


@pytest.mark.parametrize(
    "name",
    [
        "kick",
        "lead vox",
        "it's",
        '7" snare',
        "`tick`",
        "both \"'",
        "é 🥁 鼓",
        "<TRACK",
        ">",
        "a\\b",
        "-1",
        "|",
        "#{}",
    ],
)
def test_names_come_back_from_the_text(name, tmp_path):
    project = project_of(song_of(name), ConsoleParams.neutral([name]), tmp_path)
    (track,) = project.tracks
    assert words(track, "NAME") == [name]
    assert words(track.find("ITEM"), "NAME") == [name]


def test_names_that_no_quotes_can_hold_lose_one_kind():
    assert quoted("a\"b'c`d") == "`a\"b'c'd`"
    assert quoted("two\r\nlines\0") == '"two lines "'


def test_half_of_a_letter_does_not_stop_the_writing(tmp_path):
    session = build_session(song_of("kick\ud800"), ConsoleParams.neutral(["kick\ud800"]), tmp_path)
    reaper_files(session)["session.RPP"](tmp_path / "session.RPP")
    assert words(Project(tmp_path / "session.RPP").tracks[0], "NAME") == ["kick?"]


def test_nothing_breaks_out_of_the_notes(tmp_path):
    song = song_of("kick")
    song.title = "a\n>\n<TRACK"
    project = project_of(song, ConsoleParams.neutral(["kick"]), tmp_path)
    assert len(project.tracks) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(1e-7, "0.0000001"), (-1e-12, "0"), (123456.5, "123456.5"), (3, "3")]
)
def test_numbers_have_no_exponent(value, text):
    assert number(value) == text


def test_files_are_named_from_the_folder_of_the_session(tmp_path):
    (tmp_path / "my song").mkdir()
    stem = np.random.default_rng(0).standard_normal((RATE, 2)) * 0.1
    soundfile.write(tmp_path / "my song" / "kick's.wav", stem, RATE)
    soundfile.write(tmp_path / "my song" / "bass.flac", stem[:, 0], RATE)
    song = dm.load_multitrack(tmp_path / "my song")
    real = tmp_path / "a" / "b"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)  # "link/out/../.." is tmp_path/a, not tmp_path
    out = tmp_path / "link" / "out"
    session = build_session(song, ConsoleParams.neutral(song.names), out)
    out.mkdir()
    project = read(project_text(session), out)
    for track, kind in zip(project.tracks, ["FLAC", "WAVE"], strict=True):
        source = track.find("ITEM").find("SOURCE")
        file = words(source, "FILE")[0]
        assert source.attrib == [kind] and file.startswith("../") and "\\" not in file
        assert os.path.samefile(out / file, tmp_path / "my song" / os.path.basename(file))
    embedded = project_of(song, ConsoleParams.neutral(song.names), out, embed=True)
    files = [words(track.find("ITEM").find("SOURCE"), "FILE")[0] for track in embedded.tracks]
    assert files == ["audio/bass.wav", "audio/kick's.wav"]


def test_the_reverb_is_there_only_where_something_is_sent(tmp_path):
    song = song_of("kick", "vox")
    params = ConsoleParams.neutral(song.names)
    dry = build_session(song, params, tmp_path)
    assert not any("reverb" in name for name in reaper_files(dry))
    params.track("vox")["send_db"] = -6.0
    wet = build_session(song, params, tmp_path)
    project = read(project_text(wet), tmp_path)
    bus = project.tracks[-1]
    (receive,) = bus.findall("AUXRECV")
    assert receive[1:3] == ["1", "0"] and float(receive[3]) == pytest.approx(10 ** (-6 / 20))
    assert project.plugin(bus.find("FXCHAIN"))[0] == "diffmst_reverb.jsfx"
    reaper_files(wet)["Effects/diffmst_reverb.wav"](tmp_path / "Effects" / "response.wav")
    response, rate = soundfile.read(tmp_path / "Effects" / "response.wav")
    impulse = torch.zeros(1, 2, 65_536, dtype=torch.float64)
    impulse[..., 0] = 1.0
    gains, decays = (params.fx_bus_values[None, i : i + 12].double() for i in (0, 12))
    one = torch.ones(1, dtype=torch.float64)
    ours = apply_reverb(impulse, sample_rate=RATE, band_gains=gains, band_decays=decays, mix=one)[0].T.numpy()
    assert rate == RATE and np.abs(response - ours).max() < 1e-5 * np.abs(ours).max()


@pytest.fixture
def sections():
    """Two consoles, of which the second is louder, wider, duller, and sends more."""
    first, second = ConsoleParams.neutral(["kick", "vox"]), ConsoleParams.neutral(["kick", "vox"])
    vox = second.track("vox")
    vox["fader_db"], vox["input_gain_db"], vox["send_db"] = 6.0, -9.0, -3.0
    vox["high_shelf_frequency_hz"], vox["width"] = 12_000.0, 1.5
    first.track("kick")["fader_db"] = -60.0
    second.master_bus["output_gain_db"] = -2.0
    return Automation([0.0, 2.0], [first, second], ["verse", "chorus"], fade_s=0.5)


def envelope(block) -> tuple[np.ndarray, np.ndarray]:
    points = [list(map(float, point[1:3])) for point in block.findall("PT")]
    return tuple(np.array(points).T)


def test_envelopes_follow_the_sections(sections, tmp_path):
    project = project_of(song_of("kick", "vox"), sections, tmp_path)
    kick, vox, bus = project.tracks
    times = np.linspace(0.0, 4.0, 401)
    consoles = [sections.at(t) for t in times]

    def heard(block, still):
        return np.interp(times, *envelope(block)) * float(still)

    def wanted(name, knob, off_db=-60.0):
        db = np.array([console.track(name)[knob] for console in consoles])
        return np.where(db > off_db, 10 ** (db / 20), 0.0)

    fader = heard(vox.find("VOLENV2"), words(vox, "VOLPAN")[0])
    assert np.allclose(fader, wanted("vox", "fader_db"), rtol=0.02)
    trim = heard(vox.find("VOLENV"), words(vox.find("ITEM"), "VOLPAN")[0])
    assert np.allclose(trim, wanted("vox", "input_gain_db"), rtol=0.02)
    off = heard(kick.find("VOLENV2"), words(kick, "VOLPAN")[0])
    assert np.allclose(off, wanted("kick", "fader_db"), rtol=0.02, atol=0.002)
    (receive,) = bus.findall("AUXRECV")
    assert receive[1] == "1"
    sent = heard(bus.find("AUXVOLENV"), receive[3])
    assert np.allclose(sent, wanted("vox", "send_db"), rtol=0.02, atol=0.002)
    for chain, section, strip in (
        (vox.find("FXCHAIN"), "track", lambda console: console.track("vox")),
        (project.tree.find("MASTERFXLIST"), "master_bus", lambda console: console.master_bus),
    ):
        knobs = plugin_knobs(section)
        moving = {knobs[int(block.attrib[0])].name: block for block in chain.findall("PARMENV")}
        assert set(moving) == (
            {"high_shelf_frequency_hz", "width"} if section == "track" else {"output_gain_db"}
        )
        for knob, block in moving.items():
            values = np.array([strip(console)[knob] for console in consoles])
            assert np.allclose(np.interp(times, *envelope(block)), values, rtol=0.02, atol=1e-6), knob
            assert [float(word) for word in block.attrib[1:3]] == [
                next(k.low for k in knobs if k.name == knob),
                next(k.high for k in knobs if k.name == knob),
            ]
    for block in (vox.find("VOLENV2"), vox.find("VOLENV"), bus.find("AUXVOLENV")):
        assert envelope(block)[1].max() <= 1.0  # a lane may end at 6 dB; the still gain has what is above
    assert kick.find("FXCHAIN").find("PARMENV") is None
    markers = project.tree.findall("MARKER")
    assert [(float(m[2]), m[3]) for m in markers] == [(0.0, "verse"), (2.0, "chorus")]


def test_what_a_session_cannot_hold_is_told(sections, tmp_path):
    song = song_of("kick", "vox")
    assert reaper_notes(build_session(song, sections, tmp_path)) == []
    sections.consoles[1].fx_bus["band3_gain"] = 0.9
    (told,) = reaper_notes(build_session(song, sections, tmp_path))
    assert "one room" in told
    assert told in project_text(build_session(song, sections, tmp_path))


def test_a_file_that_no_project_can_name_is_told(tmp_path):
    name = "a\"b'c`d"
    (tmp_path / name).mkdir()
    soundfile.write(tmp_path / name / "kick.wav", np.full((RATE, 2), 0.1), RATE)
    song = dm.load_multitrack(tmp_path / name)
    params = ConsoleParams.neutral(song.names)
    (told,) = reaper_notes(build_session(song, params, tmp_path / "out"))
    assert "kick" in told and "embed" in told
    assert reaper_notes(build_session(song, params, tmp_path / "out", embed=True)) == []


def test_written_files_are_those_that_the_text_names(tmp_path):
    song = song_of("kick")
    params = ConsoleParams.neutral(song.names)
    params.track("kick")["send_db"] = 0.0
    for name, write in reaper_files(build_session(song, params, tmp_path)).items():
        write(tmp_path / name)
    project = Project(tmp_path / "session.RPP")
    chains = [track.find("FXCHAIN") for track in project.tracks] + [project.tree.find("MASTERFXLIST")]
    named = {project.plugin(chain)[0] for chain in chains}
    assert named == {path.name for path in (tmp_path / "Effects").glob("*.jsfx")}
    assert (tmp_path / "Effects" / "diffmst_reverb.wav").exists()
    assert rpp.dumps(project.tree)  # the tree is whole
