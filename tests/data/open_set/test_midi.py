"""MIDI files: a stem for every channel with notes."""

import pytest

mido = pytest.importorskip("mido", reason="mido is not installed: no MIDI was read")

from midi_scores import message, note, save  # noqa: E402 - mido is needed

from diffmst_lib.data.open_set.midi import INSTRUMENTS, RELEASE_S, instrument_name, split_channels  # noqa: E402
from diffmst_lib.inputs import InputError  # noqa: E402


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


@pytest.mark.parametrize("content", [b"", b"hello", b"MThd\0\0\0\6\0\1\0\1\1\340MTrk\0\0\0\5\0\377"])
def test_broken_midi_is_one_line(tmp_path, content):
    path = tmp_path / "broken.mid"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^broken\.mid: not a MIDI file that can be read") as error:
        split_channels(path)
    assert "\n" not in str(error.value)


def test_midi_without_notes_or_without_time_is_refused(tmp_path):
    with pytest.raises(InputError, match="no notes"):
        split_channels(save(tmp_path / "a.mid", [message("program_change", channel=0, program=3)]))
    with pytest.raises(InputError, match="type 0 and 1"):
        split_channels(save(tmp_path / "b.mid", note(0), note(1), kind=2))
