"""What the files of a song's folder mean, by their names alone."""

import pytest
from data_miniatures import touch

from diffmst_lib.audio.song_folder import pair_sides, read_song_folder, stem_name


def test_no_file_is_opened(tmp_path):
    touch(tmp_path, "bass.wav", "Drums/Kick/in.wav", "Drums/oh_L.wav", "Drums/oh_R.wav", "master.wav")
    found = read_song_folder(tmp_path)
    assert list(found.files) == ["Drums_Kick_in", "Drums_oh_L", "Drums_oh_R", "bass"]
    assert found.sides == {"Drums_oh": ("Drums_oh_L", "Drums_oh_R")}
    assert found.instruments == ["Drums", "Drums/Kick"]
    assert found.left_out == ["master.wav (named like the finished mix)"]


def test_a_human_mix_is_no_stem(tmp_path):
    touch(tmp_path, "bass.wav", "human_mix.ogg", "human_mix_vox.wav")
    found = read_song_folder(tmp_path)
    assert list(found.files) == ["bass", "human_mix_vox"]
    assert found.left_out == ["human_mix.ogg (named like the finished mix)"]


@pytest.mark.parametrize(
    ("names", "sides"),
    [
        (["a.L", "a.R"], {"a": ("a.L", "a.R")}),
        (["a.R", "a.l"], {"a": ("a.l", "a.R")}),
        (["a.L", "a_R"], {}),
        (["a.L", "a.right"], {}),
        (["a.L", "b.R"], {}),
        (["a.L", "a.R", "a_L", "a_R"], {}),  # which of them is "a"?
        (["a.L", "a.R", "a"], {}),
        (["OH L 1", "OH R 1"], {}),
    ],
)
def test_sides(names, sides):
    assert pair_sides(names) == sides


def test_a_stem_keeps_the_name_of_its_instrument_once():
    assert stem_name(("Drums",), "drums_kick") == "drums_kick"
    assert stem_name(("Vocals", "Stems"), "lead") == "Vocals_lead"
    assert stem_name((), "lead") == "lead"
