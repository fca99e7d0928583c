"""The sounds of a listening test: one excerpt, one loudness, no clipping, no clicks at the seam."""

import io

import numpy as np
import pytest
import soundfile
import torch
from listening_tests import RATE, keep_mixes, sound

from diffmst_lib.audio.loudness import loudness
from diffmst_lib.audio.meters import true_peak_db
from diffmst_lib.evaluation.listening.clips import ENCODINGS, common_lufs, encode, excerpt, pair_clips
from diffmst_lib.evaluation.listening.pairs import kept_pairs
from diffmst_lib.inputs import InputNote


def pair_of(folder, **options):
    return kept_pairs(keep_mixes(folder, songs=("one",), **options))[0]


def decoded(data):
    samples, rate = soundfile.read(io.BytesIO(data))
    return torch.from_numpy(samples.T.copy()), rate


@pytest.mark.parametrize(("format", "within_lu"), [("opus", 0.2), ("flac", 0.01)])
def test_all_have_one_loudness_and_length_once_decoded(tmp_path, format, within_lu):
    record, mixes = pair_clips(pair_of(tmp_path), 1.5, ENCODINGS[format][0])
    lufs = common_lufs([record, *mixes.values()])
    levels, shapes = [], set()
    for clip in [record, *mixes.values()]:
        audio, rate = decoded(encode(clip.samples(lufs), format))
        levels.append(loudness(audio, sample_rate=rate))
        shapes.add((*audio.shape, rate))
        assert true_peak_db(audio) < -0.5
    assert len(shapes) == 1 and shapes.pop()[1] == 1.5 * ENCODINGS[format][0]
    assert levels == pytest.approx([lufs] * 5, abs=within_lu)


def test_flac_is_the_mix_itself(tmp_path):
    _, mixes = pair_clips(pair_of(tmp_path), 1.5, RATE)
    clip = mixes["rules"]
    audio, _ = decoded(encode(clip.samples(-23.0), "flac"))
    assert torch.allclose(audio, clip.samples(-23.0).double(), atol=2**-15)
    file, _ = soundfile.read(tmp_path / "mixes/001/rules.flac")
    cut = file.T[:, clip.start : clip.start + clip.num_samples]
    middle = slice(1000, -1000)
    gains = audio.numpy()[:, middle] / np.where(np.abs(cut) > 0.02, cut, np.nan)[:, middle]
    assert np.nanmax(gains) / np.nanmin(gains) < 1.02  # a gain, and 16 bits


def test_mono_is_heard_on_both_sides(tmp_path):
    _, mixes = pair_clips(pair_of(tmp_path), 1.5, RATE)
    left, right = mixes["equal-loudness"].samples(-23.0)
    assert torch.equal(left, right) and left.abs().max() > 0


def test_mixes_share_the_loudest_excerpt(tmp_path):
    pair = pair_of(tmp_path, seconds=4.0)
    for number, path in enumerate(pair.mixes.values()):
        loud = sound(number, 4.0, 0.05)
        loud[: 2 * RATE] *= 0.1
        soundfile.write(path, loud, RATE)
    record, mixes = pair_clips(pair, 1.5, RATE)
    assert {clip.start for clip in mixes.values()} == {next(iter(mixes.values())).start}
    assert 2 * RATE <= next(iter(mixes.values())).start <= 2.5 * RATE
    assert record.num_samples == next(iter(mixes.values())).num_samples == 1.5 * RATE


def test_high_peaks_turn_all_down_together(tmp_path):
    pair = pair_of(tmp_path)
    spiky = sound(7, 2.0, 0.01)
    spiky[:: RATE // 4] = 0.9
    soundfile.write(pair.mixes["small"], spiky, RATE)
    record, mixes = pair_clips(pair, 1.5, RATE)
    lufs = common_lufs([record, *mixes.values()])
    assert lufs < -23
    peaks = [true_peak_db(clip.samples(lufs)) for clip in mixes.values()]
    assert max(peaks) == pytest.approx(-1.0, abs=0.01)
    assert [loudness(clip.samples(lufs)) for clip in mixes.values()] == pytest.approx([lufs] * 4, abs=0.01)
    del mixes["small"]
    assert common_lufs([record, *mixes.values()]) == -23


def test_the_loop_has_no_step_at_its_seam():
    ones = excerpt(torch.ones(2, 2 * RATE), 0, RATE, RATE)
    looped = torch.cat([ones, ones], dim=1)
    assert looped.diff().abs().max() < 0.005
    assert (ones[:, 500:-500] == 1).all() and ones[0, 0] < 1e-4


def test_a_mix_that_cannot_be_rated_is_told(tmp_path):
    pair = pair_of(tmp_path)
    soundfile.write(pair.mixes["small"], np.zeros((2 * RATE, 2)), RATE)
    soundfile.write(pair.mixes["rules"], sound(1, 0.5), RATE)
    with pytest.warns(InputNote) as notes:
        _, mixes = pair_clips(pair, 1.5, RATE)
    assert set(mixes) == {"equal-loudness", "human"}
    told = sorted(str(one.message) for one in notes)
    assert told[0].endswith("rules.flac: shorter than 1 s") and told[1].endswith("small.flac: silent")
    pair.mixes["human"].write_bytes(b"no sound")
    with pytest.warns(InputNote, match="pair 001 is left out: it has no record or less than two mixes"):
        assert pair_clips(pair, 1.5, RATE) is None


def test_a_record_of_one_second_loops_by_itself(tmp_path):
    pair = pair_of(tmp_path)
    soundfile.write(pair.record_file, sound(5, 1.0), RATE)
    record, mixes = pair_clips(pair, 1.5, RATE)
    assert record.num_samples == RATE and len(mixes) == 4
    soundfile.write(pair.record_file, sound(5, 0.9), RATE)
    with pytest.warns(InputNote, match=r"record.flac: shorter than 1 s|pair 001 is left out"):
        assert pair_clips(pair, 1.5, RATE) is None
