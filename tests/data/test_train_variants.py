"""The script that trains the paper's five variants: what it keeps, and that it goes on where it stopped."""

import importlib.util

import pandas as pd
import pytest
import torch

import diffmst_lib as dm

SCRIPT = dm.data_dir() / "train_variants.py"
SOME = ("mrstft-8", "mrstft+af-8", "af-16")  # the others differ in a number


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("train_variants", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folder = tmp_path_factory.mktemp("variants")
    words = [str(dm.data_dir()), "--output", str(folder), "--preset", "tiny", "--steps", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dm.training, "VARIANTS", {name: dm.training.VARIANTS[name] for name in SOME})
        patch.setattr(script, "EXAMPLES", 2)
        script.main(words)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        script.main(words)
    return script, folder, before


def weights(folder):
    return {name: dm.DiffMST.from_pretrained(folder / "weights" / name) for name in SOME}


def test_every_variant_is_kept_in_half_precision_with_its_logs(trained):
    script, folder, _ = trained
    for name, model in weights(folder).items():
        kept = folder / "weights" / name
        assert model.config.name == "tiny"
        assert len(pd.read_csv(kept / "log.csv")) == 1
        assert (kept / "model.safetensors").stat().st_size < (
            0.6 * (folder / name / "model.safetensors").stat().st_size
        )
        assert script.settings(name, "small", 600).known == 0


def test_fine_tuning_starts_from_the_variant_that_it_names(trained):
    constants = {
        name: [value for key, value in model.state_dict().items() if key.endswith((".mean", ".deviation"))]
        for name, model in weights(trained[1]).items()
    }
    start, goes_on, other = (constants[name] for name in SOME)
    assert all(torch.equal(a, b) for a, b in zip(start, goes_on, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(start, other, strict=True))


def test_the_same_command_again_changes_nothing(trained):
    _, _, before = trained
    for path, was in before.items():
        if path.suffix in (".safetensors", ".csv"):
            assert path.read_bytes() == was, path
