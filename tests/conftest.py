"""What several test files need: real music, noise, and files to read."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import soundfile
import torch
from hypothesis import settings

import diffmst_lib as dm
from diffmst_lib.audio.loudness import level_stems

# A shell's background job ignores Ctrl-C, nohup SIGHUP, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
settings.register_profile(
    "repeatable", derandomize=True, deadline=None
)  # a failure in CI happens here as well
settings.load_profile("repeatable")


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
def stems(song):
    """(3, 2, T), their sum at -20 LUFS."""
    return level_stems(song.audio)[0]


@pytest.fixture(scope="session")
def record(reference):
    """(2, T), at -16 LUFS."""
    return dm.normalize_loudness(reference)


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


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="session")
def chromium():
    """A running browser; without Chromium the test is skipped, or fails where DIFFMST_REQUIRE_BROWSER=1."""
    path = shutil.which("chromium")
    if not path:
        missing = "Chromium is not installed: no page was opened in a browser"
        pytest.fail(missing) if os.environ.get("DIFFMST_REQUIRE_BROWSER") == "1" else pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
