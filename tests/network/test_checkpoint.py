"""Models on disk: the same model comes back; whatever is wrong with a file costs one line."""

import dataclasses
import json
import pickle

import pytest
import torch
from audio_helpers import one_line
from safetensors.torch import load_file, save_file

import diffmst_lib as dm
from diffmst_lib import InputError
from diffmst_lib.network.encoder import Standardize


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = dm.DiffMST("tiny")
    for module in model.modules():
        if isinstance(module, Standardize):
            module.mean.add_(1.0)
    return model, model.save_pretrained(tmp_path / "deep" / "model")


def change(folder, **values):
    path = folder / "config.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | values))


def test_the_same_model_comes_back(saved, song, reference):
    model, folder = saved
    again = dm.DiffMST.from_pretrained(str(folder))
    assert again.config == model.config and not again.training
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert torch.equal(model.analyze(song, reference).tracks, again.analyze(song, reference).tracks)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_half_precision_takes_half_the_space_and_comes_back_in_single(saved, tmp_path):
    model, whole = saved
    halved = model.save_pretrained(tmp_path / "half", half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, halved)]
    assert sizes[1] < 0.6 * sizes[0]
    again = dm.DiffMST.from_pretrained(halved)
    for name, value in again.state_dict().items():
        was = model.state_dict()[name]
        assert value.dtype == was.dtype
        torch.testing.assert_close(value, was, rtol=2**-11, atol=2**-24)  # half of float16's last digit
    constants = [name for name, _ in again.named_buffers()]
    assert constants and all(
        torch.equal(again.state_dict()[name], model.state_dict()[name])
        for name in constants
        if name in again.state_dict()
    )


def test_variants_of_a_preset_come_back(tmp_path):
    config = dataclasses.replace(
        dm.ModelConfig.preset("tiny"), encoder="cnn", channels=(4, 8), pools=((4, 4), (8, 4)), hop=1024
    )
    folder = dm.DiffMST(config).save_pretrained(tmp_path)
    assert dm.DiffMST.from_pretrained(folder).config == config


@pytest.mark.parametrize("version", [1, 2, 3])
def test_models_of_the_first_edition_are_refused(saved, version):
    """Whatever they hold: their consoles had mono channels, and they knew no evidence."""
    config = json.loads((saved[1] / "config.json").read_text())["config"]
    changes = {"console": "channels" if version == 3 else "default", "sides": True, "mirrored": True}
    change(saved[1], version=version, config={**config, **changes}, console=None)
    with pytest.raises(InputError) as caught:
        dm.DiffMST.from_pretrained(saved[1])
    assert one_line(
        caught, "config.json", f"first edition (version {version} of", "train again, or use diffmst_lib"
    )


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_truncated_weights(saved, keep):
    path = saved[1] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole safetensors file") as error:
        dm.DiffMST.from_pretrained(saved[1])
    assert "\n" not in str(error.value)


def test_a_pickle_is_never_opened(saved):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    (saved[1] / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="not a whole safetensors file"):
        dm.DiffMST.from_pretrained(saved[1])


def test_weights_of_another_preset(saved, tmp_path):
    other = dm.DiffMST("small").save_pretrained(tmp_path / "small")
    (other / "model.safetensors").rename(saved[1] / "model.safetensors")
    with pytest.raises(InputError, match="weights of another model"):
        dm.DiffMST.from_pretrained(saved[1])


def test_weights_of_another_width(saved):
    config = json.loads((saved[1] / "config.json").read_text())["config"]
    change(saved[1], config=config | {"width": 64})
    with pytest.raises(InputError, match=r"is \(32,\), a DiffMST like this has \(64,\)"):
        dm.DiffMST.from_pretrained(saved[1])


def test_a_configuration_of_a_giant_costs_no_memory(saved):
    config = json.loads((saved[1] / "config.json").read_text())["config"]
    change(saved[1], config=config | {"width": 900_000, "feedforward": 1_000_000})
    with pytest.raises(InputError, match="weights of another model"):
        dm.DiffMST.from_pretrained(saved[1])


def test_pooling_of_more_bins_than_there_are(tmp_path):
    config = dataclasses.replace(
        dm.ModelConfig.preset("tiny"), encoder="cnn", channels=(4,), pools=((4, 4),), hop=1024
    )
    folder = dm.DiffMST(config).save_pretrained(tmp_path)
    change(folder, config=json.loads((folder / "config.json").read_text())["config"] | {"pools": [[4096, 1]]})
    with pytest.raises(InputError, match=r"makes no model .pooling over 4096 bins"):
        dm.DiffMST.from_pretrained(folder)


@pytest.mark.parametrize(
    ("key", "change_to", "message"),
    [
        ("controller.side", lambda x: x.double(), "is torch.float64, not torch.float32"),
        ("controller.side", lambda x: x.long(), "is torch.int64"),
        ("style.standardize.deviation", torch.zeros_like, "impossible values"),
    ],
)
def test_weights_of_another_type_or_without_sense(saved, key, change_to, message):
    weights = load_file(saved[1] / "model.safetensors")
    save_file(weights | {key: change_to(weights[key])}, saved[1] / "model.safetensors")
    with pytest.raises(InputError, match=f"{key} .*{message}"):
        dm.DiffMST.from_pretrained(saved[1])


def test_weights_that_are_not_finite(saved, tmp_path):
    with torch.no_grad():
        saved[0].controller.side[0] = torch.nan
    with pytest.raises(InputError, match=r"controller.side holds NaN"):
        dm.DiffMST.from_pretrained(saved[0].save_pretrained(tmp_path / "nan"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": 5}, "version 5 of the format, this library reads 4"),
        ({"version": "4"}, "version '4' of the format"),
        ({"version": 4.0}, "version 4.0 of the format"),
        ({"version": 10**400}, "version 1000"),
        ({"version": [[4]]}, "version .* of the format"),
        ({"config": {"x" * 10**6: 1}}, "another version of diffmst_lib"),
        ({"version": 0}, "version 0 of the format"),
        ({"version": None}, "version None"),
        ({"format": "other"}, "not the configuration of a Diff-MST model"),
        ({"config": None}, "another version of diffmst_lib"),
        ({"config": {"width": 32}}, "another version of diffmst_lib"),
        ({"console": {}}, "console with other knobs or ranges"),
    ],
)
def test_configurations_of_another_version(saved, values, message):
    change(saved[1], **values)
    with pytest.raises(InputError, match=message) as error:
        dm.DiffMST.from_pretrained(saved[1])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heads": 5}, "5 heads"),
        ({"views": "front"}, "views"),
        ({"width": "wide"}, "width"),
        ({"layers": -1}, "layers"),
        ({"layers": 10**9}, "layers"),
        ({"width": 10**12}, "width"),
        ({"track_lufs": -30.0}, "track_lufs must be None, since stems keep their balance"),
        ({"track_lufs": 500}, "track_lufs"),
        ({"console": "reference"}, "track_lufs must be a level for each channel"),
        ({"encoder": "theirs"}, "no encoder is registered as 'theirs'"),
        ({"encoder": ["cnn"]}, "no encoder is registered as"),
        ({"controller": 5}, "no controller is registered as 5"),
        ({"console": "theirs"}, "no console is registered as 'theirs'"),
        ({"console": {}}, "no console is registered as"),
        ({"features": ["theirs"]}, "no feature is registered as 'theirs'"),
        ({"features": [["theirs"]]}, "feature"),
        ({"features": {"rms": 1}}, "features cannot be"),
        ({"evidence": 1}, "evidence"),
        ({"pools": 3}, "pools"),
        ({"pools": [[4]]}, "pools"),
        ({"channels": ["a"]}, "channels"),
        ({"encoder": "cnn", "hop": 512, "channels": [4]}, "pools cannot be"),
        ({"bands": "x"}, "bands"),
        ({"window_seconds": float("nan")}, "window_seconds"),
        ({"window_seconds": 1e-9}, "window_seconds"),
        ({"style": "false"}, "style"),
        ({"chunk": 0}, "chunk"),
        ({"name": 5}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 10**6}, "name"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 10**6}, "sample_rate"),
        ({"layers": 10**400}, "layers"),
        ({"window_seconds": 10**400}, "window_seconds"),
        ({"window_seconds": True}, "window_seconds"),
        ({"name": ["deep", [[[[[[[[["x" * 1000]]]]]]]]]]}, "name"),
        ({"features": ["rms"] * 10**5}, "features"),
        ({"channels": [4] * 101, "pools": [[1, 1]] * 101}, "channels cannot be of 101 blocks, at most 100"),
        ({"encoder": "cnn", "channels": [4], "pools": [[1, 1]], "hop": 1, "window_seconds": 600}, "hop"),
    ],
)
def test_configurations_that_make_no_sense(saved, values, message):
    change(saved[1], config=json.loads((saved[1] / "config.json").read_text())["config"] | values)
    with pytest.raises(InputError, match=message) as error:
        dm.DiffMST.from_pretrained(saved[1])
    assert one_line(error, "config.json") and len(str(error.value)) < 1000


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00", "[" * 100_000, "9" * 5000])
def test_configurations_that_are_none(saved, text):
    (saved[1] / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config.json"):
        dm.DiffMST.from_pretrained(saved[1])


def test_missing_files_and_folders(saved, tmp_path):
    for name in ("model.safetensors", "config.json"):
        (saved[1] / name).rename(tmp_path / name)
        with pytest.raises(InputError, match=f"no model, {name} is missing"):
            dm.DiffMST.from_pretrained(saved[1])
        (tmp_path / name).rename(saved[1] / name)
    with pytest.raises(InputError, match="no such folder with a model"):
        dm.DiffMST.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no such folder with a model"):
        dm.DiffMST.from_pretrained(saved[1] / "config.json")


@pytest.mark.parametrize("name", ["", "x" * 400])
def test_names_that_are_none(name):
    with pytest.raises(InputError):
        dm.DiffMST.from_pretrained(name)


def test_names_of_weights_that_do_not_come_with_the_library(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no weights of 'paper' come with this version of diffmst_lib"):
        dm.DiffMST.from_pretrained("paper")


def test_a_name_finds_the_weights_of_the_library(monkeypatch, tmp_path):
    (tmp_path / "small").mkdir()  # a folder of that name without a model does not hide them
    monkeypatch.chdir(tmp_path)
    assert dm.DiffMST.from_pretrained("small").config.name == "small"
    dm.DiffMST("tiny").save_pretrained("small")  # with a model it does
    assert dm.DiffMST.from_pretrained("small").config.name == "tiny"


def test_a_place_where_nobody_can_write(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", "a\0b", ""):
        with pytest.raises(InputError, match=r"cannot write there|an empty name"):
            dm.DiffMST("tiny").save_pretrained(place)
    assert (tmp_path / "file").read_text() == "mine"


def test_others_can_read_what_was_saved(saved):
    modes = {path.stat().st_mode & 0o777 for path in saved[1].iterdir()}
    assert len(modes) == 1 and modes.pop() & 0o400


def test_a_full_disk_leaves_the_old_model(saved):
    resource = pytest.importorskip("resource")
    _, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match="not written"):
            dm.DiffMST("small").save_pretrained(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
