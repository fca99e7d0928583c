"""What several test files need: real music, noise, and files to read."""

from pathlib import Path

import pytest
import soundfile
import torch

import diffmst_lib as dm


@pytest.fixture(scope="session")
def data() -> Path:
    return dm.data_dir()


@pytest.fixture(scope="session")
def song(data) -> dm.Multitrack:
    """1.5 s of three stereo stems that all sound there."""
    whole = dm.load_multitrack(data / "multitracks" / "caesium")
    return whole.excerpt(8, 1.5).select("kick", "bgvox_main", "minilogue_synth")


@pytest.fixture(scope="session")
def reference(data) -> torch.Tensor:
    return dm.load_audio(data / "references" / "vibe_ace.ogg")[:, : 3 * 44100]


@pytest.fixture(scope="session")
def noise():
    """noise(*shape, seed=0): white, at -20 dB RMS, the same every time."""
    return lambda *shape, seed=0: 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def write(tmp_path):
    """write("folder/name.wav", samples (channels, n) or (n,), rate): a float file below `tmp_path`."""

    def write(name, samples, rate=44100, subtype="FLOAT"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, torch.as_tensor(samples).numpy().T, rate, subtype=subtype)
        return path

    return write
