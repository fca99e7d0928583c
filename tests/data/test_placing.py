"""Time stamps in a data set: told, or followed."""

import numpy as np
import pytest
from audio_helpers import one_line
from data_miniatures import found_song
from sound_files import music, stamp, write_sound

from diffmst_lib.data.building import build_index
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.placing import place_stems
from diffmst_lib.data.scale.cache import build_cache
from diffmst_lib.data.segments import read_segment
from diffmst_lib.inputs import InputError, InputNote


@pytest.fixture
def song(tmp_path):
    """Kick and vox, which begins a second later."""
    for name, start_s in (("kick", 10.0), ("vox", 11.0)):
        stamp(write_sound(tmp_path / "song" / f"{name}.wav", music(2, seed=len(name))), start_s)
    return found_song(tmp_path / "song", "kick.wav", "vox.wav")


def test_time_stamps_are_told(song):
    with pytest.warns(InputNote, match="timestamps places them: song"):
        assert place_stems([song], timestamps=False) == [song]


def test_time_stamps_are_followed_by_everything_that_reads(song, tmp_path):
    placed = place_stems([song], timestamps=True)
    index = build_index(placed, tmp_path / "set")
    for made in (index, SongIndex.load(tmp_path / "set"), build_cache(index, tmp_path / "cache")):
        kick, vox = made["song"].stems
        assert kick.duration_s == 2 and vox.duration_s == 3 and len(made["song"].power_db) == 3
        assert np.isneginf(vox.loudness_lufs[0]) and np.isfinite(vox.loudness_lufs[1:]).all()
        assert not read_segment(vox, 0, 1).any()
        assert np.allclose(read_segment(vox, 1.5, 0.5), music(2, seed=3)[:, 22050:44100], atol=1e-3)
    again = build_index([song], tmp_path / "set")
    assert again["song"].stems[1].duration_s == 2  # without them the song is another


def test_nothing_to_place_is_an_error(tmp_path, song):
    write_sound(tmp_path / "other" / "a.wav", music(1))
    with pytest.raises(InputError, match="no file has a time stamp"):
        place_stems([found_song(tmp_path / "other", "a.wav")], timestamps=True)
    stamp(write_sound(tmp_path / "song" / "vox.wav", music(1)), 80_000)
    with pytest.raises(InputError) as caught:
        place_stems([song], timestamps=True)
    assert one_line(caught, "song", "hours apart")


def test_files_without_a_stamp_are_told(tmp_path, song):
    write_sound(tmp_path / "song" / "bass.wav", music(1))
    song.stems["bass"] = found_song(tmp_path / "song", "bass.wav").stems["bass"]
    with pytest.warns(InputNote, match="without a time stamp are put at the beginning: song"):
        (placed,) = place_stems([song], timestamps=True)
    assert [source.delay_s for source in placed.stems.values()] == [0, 1, 0]
