"""The channel sheet: what it says, and that a mix set up from it sounds the same."""

import numpy as np
import pytest

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, MixingConsole, Multitrack
from diffmst_lib.audio.loudness import loudness
from diffmst_lib.audio.meters import true_peak_db
from diffmst_lib.audio.octaves import stereo_spectrum
from diffmst_lib.console.automation import Automation
from diffmst_lib.disk import write_together
from diffmst_lib.export.channel_sheet import sheet_files, sheet_text
from diffmst_lib.export.channel_table import read_sheet
from diffmst_lib.export.session import build_session


def text(song, settings, reductions=None):
    return sheet_text(build_session(song, settings, "session"), reductions)


def row(sheet, name):
    line = next(line for line in sheet.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_strip_as_an_engineer_writes_it(song):
    params = ConsoleParams.neutral(song.names)
    kick = params.track("kick")
    kick["input_gain_db"], kick["fader_db"], kick["pan"], kick["width"] = -3.3, 2.2, 0.25, 0.55
    kick["peak_1_gain_db"], kick["peak_1_frequency_hz"], kick["peak_1_q"] = -2.6, 123.0, 1.234
    kick["high_shelf_gain_db"], kick["high_shelf_frequency_hz"] = 1.4, 8234.0
    kick["threshold_db"], kick["ratio"], kick["attack_ms"], kick["release_ms"] = -23.3, 3.14, 12.3, 123.0
    kick["makeup_gain_db"] = 2.0
    params.track("bgvox_main")["fader_db"] = -60.0
    params.track("minilogue_synth")["send_db"] = -12.0
    sheet = text(song, params, {"kick": (2.13, 6.78)})
    assert row(sheet, "kick") == [
        "kick",
        "-3.5 dB",
        "bell 120 Hz -2.5 dB Q 1.2; high shelf 8.2 kHz +1.5 dB Q 0.71",
        "threshold -23.5 dB, ratio 3.1:1, attack 12 ms, release 120 ms, knee 6.0 dB, "
        "reduction 2.1 dB, most 6.8 dB, make-up +2.0 dB",
        "55 %",
        "L 50 % (0.25)",
        "+2.0 dB",
        "",
    ]
    vox = row(sheet, "bgvox\\_main")
    assert vox[2:4] == ["flat", "none"] and vox[5:7] == ["middle (0.50)", "off"]
    assert row(sheet, "minilogue\\_synth")[7] == "-12.0 dB"
    for word in (
        "10 ms ahead",
        "10 % to 90 %",
        "params.json",
        "trim, equalizer, compressor",
        "reverb, octave",
    ):
        assert word in sheet.replace("\n  ", " ")
    assert "## " not in sheet and "reverb, octave" not in text(song, ConsoleParams.neutral(song.names))


def test_sections_have_a_table_each(song):
    verse, chorus = (ConsoleParams.neutral(song.names) for _ in range(2))
    chorus.track("kick")["fader_db"] = 3.0
    sheet = text(song, Automation([0.0, 75.5], [verse, chorus], ["verse", "chorus"]))
    first, second = sheet.split("## chorus, from 1:15.5")
    assert "## verse, from 0:00.0" in first and "within 0.5 s" in second
    assert (row(first, "kick")[6], row(second, "kick")[6]) == ("+0.0 dB", "+3.0 dB")


def test_names_stay_in_their_cell(song):
    odd = Multitrack(["a|b", "*bold* `x`", "two\nlines \x1b"], song.audio)
    sheet = text(odd, ConsoleParams.neutral(odd.names))
    tables = [line for line in sheet.splitlines() if line.startswith("|")]
    assert len(tables) == 2 + 3 + 1
    assert all(line.replace("\\|", "").count("|") == 9 for line in tables)
    assert "| two lines |" in sheet and "\x1b" not in sheet


def measures(audio):
    lufs = loudness(audio)
    return lufs, true_peak_db(audio) - lufs, stereo_spectrum(audio, sample_rate=44100).octaves_db()


@pytest.mark.parametrize("name", ["caesium", "potassium", "rubidium"])
def test_a_mix_from_the_sheet_sounds_the_same(tmp_path, data, name):
    """Held to 1 dB of peak to loudness and of each octave, with knobs anywhere in their ranges."""
    song = dm.load_multitrack(data / "multitracks" / name).excerpt(5.0, 4.0)
    params = settings(song.names)
    write_together(tmp_path, sheet_files(build_session(song, params, tmp_path)))
    console = MixingConsole(44100)
    ours, theirs = (
        measures(console.render(song.audio, p)) for p in (params, read_sheet(tmp_path / "channels.csv"))
    )
    lu, plr = theirs[0] - ours[0], theirs[1] - ours[1]
    octave = np.abs(theirs[2] - ours[2])[ours[2] > -60].max()
    print(f"{lu:+.2f} LU, PLR {plr:+.2f} dB, an octave {octave:.2f} dB")
    assert abs(lu) < 1 and abs(plr) < 1 and octave < 1


def settings(names):
    """Knobs anywhere in the middle of their ranges: much of everything."""
    draw = np.random.default_rng(7)
    params = ConsoleParams.neutral(names)
    units = [draw.uniform(0.25, 0.75, part.shape) for part in params.to_unit()]
    parts = [part.new_tensor(unit) for part, unit in zip(params.to_unit(), units, strict=True)]
    return ConsoleParams.from_unit(*parts, names=names)
