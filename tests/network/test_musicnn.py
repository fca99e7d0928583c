"""musicnn: the numbers of the original graph, and what the network hears."""

import hashlib
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from audio_helpers import one_line, sine
from safetensors.torch import load_file, save_file

import diffmst_lib as dm
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.network.musicnn import PATCH, MusicNN, embed, kept_musicnn

FOLDER = dm.data_dir() / "weights" / "musicnn"
WEIGHTS = FOLDER / "msd_musicnn.safetensors"
OUTPUTS = {
    "penultimate": "embedding",
    "max_pool": "max_pool",
    "mean_pool": "mean_pool",
    "logits": "logits",
    "taggram": "tags",
}


@pytest.fixture(scope="module")
def golden():
    return np.load(Path(__file__).parents[1] / "golden" / "musicnn.npz")


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def apart(a, b):
    """The relative distance of two embeddings."""
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("case", ["music", "silence"])
def test_numbers_of_the_original_graph_with_the_tags_of_listeners(case):
    golden = np.load(Path(__file__).parents[1] / "golden" / "musicnn_mtt.npz")
    network = kept_musicnn("mtt")
    silence = network.patches(torch.zeros(48000))
    heard = network(torch.from_numpy(golden["patches"]) if case == "music" else silence)
    for name, ours in OUTPUTS.items():
        wanted = golden[f"{case}/{name}"]
        assert np.linalg.norm(getattr(heard, ours).numpy() - wanted) <= 1e-5 * np.linalg.norm(wanted)
    assert {"female vocal", "drums", "harpsichord", "guitar"} <= set(network.tags) and len(network.tags) == 50


@pytest.mark.parametrize("case", ["music", "silence"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_numbers_of_the_original_graph(golden, case, name):
    network = kept_musicnn()
    sound = golden["audio"] if case == "music" else np.zeros(48000, np.float32)
    patches = network.patches(torch.from_numpy(sound))
    wanted = golden[f"{case}/{name}"]
    found = getattr(network(patches), OUTPUTS[name]).numpy()
    assert found.shape == wanted.shape
    assert np.linalg.norm(found - wanted) <= 1e-5 * np.linalg.norm(wanted)


def test_log_mel_of_the_original(golden):
    patches = kept_musicnn().patches(torch.from_numpy(golden["audio"])).numpy()
    assert np.linalg.norm(patches - golden["patches"]) <= 1e-5 * np.linalg.norm(golden["patches"])


def test_embedding_of_music_at_its_own_rate(golden):
    made = embed(torch.from_numpy(golden["audio"]), 16_000).numpy()
    assert np.linalg.norm(made - golden["music/penultimate"]) <= 1e-5 * np.linalg.norm(made)


def test_patches_of_three_seconds():
    network = kept_musicnn()
    shortest = (PATCH - 1) * 256
    assert [len(network.patches(noise(n))) for n in (shortest - 1, shortest, 10 * 16_000)] == [0, 1, 3]
    mel = network.melspec(noise(10 * 16_000))
    assert torch.equal(network.patches(noise(10 * 16_000)).flatten(0, 1), mel[: 3 * PATCH])


def test_a_batch_is_its_parts():
    patches = kept_musicnn().patches(noise(10 * 16_000))
    together = kept_musicnn()(patches).embedding
    alone = torch.cat([kept_musicnn()(patch[None]).embedding for patch in patches])
    assert apart(together, alone) < 1e-5
    assert (
        apart(embed(noise(30 * 16_000), 16_000)[:3], together) < 1e-5
    )  # longer than what is taken at a time


def test_a_stereo_sound_at_another_rate():
    low = sine(440.0, 4.0, rate=16_000) * 0.1
    high = torch.stack([sine(440.0, 4.0), sine(440.0, 4.0)]) * 0.1
    made = embed(high)
    assert made.shape == (1, 200) and made.dtype == torch.float32 and not made.requires_grad
    assert apart(made, embed(low, 16_000)) < 0.02


def test_deaf_to_the_image_and_to_air():
    mid, side = noise(1, 4 * 44100), noise(1, 4 * 44100, seed=1)
    wide = torch.cat([mid + side, mid - side])
    assert apart(embed(wide), embed(mid)) < 1e-3
    air = 0.3 * torch.tensor([0.0, 1.0, 0.0, -1.0]).repeat(44100)  # 11 kHz, exactly
    air = air * torch.hann_window(4 * 44100)  # a click would be heard
    assert apart(embed(mid + air), embed(mid)) < 1e-3
    audible = sine(2_000.0, 4.0) * 0.3
    assert apart(embed(mid + audible), embed(mid)) > 0.1


def test_hears_the_level():
    assert apart(embed(0.5 * noise(2, 4 * 44100)), embed(noise(2, 4 * 44100))) > 0.1


def test_a_short_sound_is_repeated():
    second = noise(2, 44100)
    with pytest.warns(InputNote, match=r"a sound of 1 s is repeated to 3 s"):
        made = embed(second)
    assert made.shape == (1, 200)
    assert apart(made, embed(second.repeat(1, 3))) < 0.2  # the seams are resampled
    with pytest.warns(InputNote):
        assert embed(torch.ones(2, 1)).isfinite().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(second.repeat(1, 3))


@pytest.mark.parametrize(
    "audio",
    [
        torch.zeros(2, 0),
        torch.zeros(0, 44100),
        torch.zeros(1, 2, 44100),
        torch.zeros(2, 44100, dtype=torch.int16),
        torch.full((2, 44100), torch.nan),
        np.zeros((2, 44100)),
    ],
)
def test_what_is_no_sound(audio):
    with pytest.raises(InputError) as caught:
        embed(audio)
    assert one_line(caught, "an embedding is of")


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(InputError) as caught:
        MusicNN.from_pretrained("vgg")
    assert one_line(caught, "vgg: no such weights of musicnn, there are msd")
    with pytest.raises(InputError):
        MusicNN.from_pretrained(tmp_path)


def test_weights_that_are_broken(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(WEIGHTS.read_bytes()[:1000])
    with pytest.raises(InputError) as caught:
        MusicNN.from_pretrained(tmp_path / "broken.safetensors")
    assert one_line(caught, "broken.safetensors: no weights of musicnn")
    some = load_file(WEIGHTS)
    del some["midend.bn2.bias"]
    save_file(some, tmp_path / "some.safetensors")
    with pytest.raises(InputError) as caught:
        MusicNN.from_pretrained(tmp_path / "some.safetensors")
    assert one_line(caught, "weights of another model")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError):
        MusicNN.from_pretrained(tmp_path / "other.safetensors")


def test_weights_of_ones_own(tmp_path):
    shutil.copy(WEIGHTS, tmp_path / "mine.safetensors")
    network = MusicNN.from_pretrained(tmp_path / "mine.safetensors")
    assert len(network.tags) == 50 and not network.training
    assert torch.equal(
        embed(noise(2, 132300), weights=tmp_path / "mine.safetensors"), embed(noise(2, 132300))
    )


def test_license_goes_along():
    text = (FOLDER / "LICENSE").read_text("utf-8")
    assert (
        "Music Technology Group, Universitat Pompeu Fabra 2019" in text and "Permission to use, copy" in text
    )
    digests = re.findall(r"`([0-9a-f]{64})`", (FOLDER / "README.md").read_text("utf-8"))
    files = [WEIGHTS, FOLDER / "mtt_musicnn.safetensors"]
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == digests
