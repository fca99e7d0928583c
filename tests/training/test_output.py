"""The output folder: what is in it already, and where nothing can be written."""

import os

import pytest
from audio_helpers import one_line
from training_helpers import OPTIONS, same, short, weights

from diffmst_lib.inputs import InputError
from diffmst_lib.training.loop import train
from diffmst_lib.training.output import training_folder


def test_a_folder_with_a_training_or_a_model_is_not_overwritten(index, unbroken, tmp_path):
    with pytest.raises(InputError) as caught:
        train(short(), index, unbroken.folder, **OPTIONS)
    assert one_line(caught, unbroken.folder, "resume")
    model = unbroken.model.save_pretrained(tmp_path)
    (tmp_path / "log.csv").write_text("step\n1\n")
    for resume in (False, True):
        with pytest.raises(InputError) as caught:
            train(short(), index, model, resume=resume, **OPTIONS)
        assert one_line(caught, model, "holds a model") and (tmp_path / "log.csv").read_text() == "step\n1\n"
    again = train(short(), index, unbroken.folder, resume=True, **OPTIONS)  # nothing left to do
    assert same(weights(again), weights(unbroken)) and again.validation["step"].tolist() == [0, 3, 6]


def test_outputs_that_cannot_be_written(index, tmp_path):
    (tmp_path / "file").write_text("")
    for output in ("", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError) as caught:
            train(short(), index, output, **OPTIONS)
        assert one_line(caught)
    (tmp_path / "out" / "log.csv").mkdir(parents=True)
    with pytest.raises(InputError, match="is a folder"):
        train(short(), index, tmp_path / "out", **OPTIONS)


def test_what_a_killed_training_left_is_removed(tmp_path):
    """Also beside the sounds of its validations; what somebody else has there stays."""
    ours, theirs = tmp_path / "examples" / ".diffmst-0123abcd", tmp_path / "examples" / "mine.ogg"
    ours.mkdir(parents=True)
    (ours / "1-target.ogg").write_bytes(b"half")
    theirs.write_bytes(b"mine")
    os.utime(ours, (0, 0))
    with training_folder(tmp_path, resume=True):
        assert not ours.exists() and theirs.exists()
