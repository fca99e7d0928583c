"""The tiny data set in data/: licenses, hashes and the properties that the book and the tests rely on."""

import hashlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from scipy.signal import correlate, correlation_lags

import diffmst_lib as dm

DATA = dm.data_dir()
RATE = 44100
AUDIO = {".ogg", ".flac", ".wav", ".mp3", ".opus", ".m4a"}
ALLOWED = re.compile(r"CC0 1\.0|CC BY(-SA)? [34]\.0|public domain")
SONGS = sorted(path.name for path in (DATA / "multitracks").iterdir())
REFERENCES = sorted(path.name for path in (DATA / "references").iterdir())
HUMAN_MIXES = sorted(path.name for path in (DATA / "human_mixes").iterdir())
REPRODUCED = ["rubidium", "vibe_ace"]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def listed():
    """Path, license and SHA-256 of each file, as SOURCES.md gives them."""
    text = (DATA / "SOURCES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    return {path: (license, digest) for path, license, digest in rows}


def read(path):
    audio, rate = sf.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    return audio


@cache
def stems(song):
    return {path.stem: read(path) for path in sorted((DATA / "multitracks" / song).iterdir())}


def test_sources_lists_exactly_the_files_there_are():
    present = {path.relative_to(DATA).as_posix() for path in DATA.rglob("*") if path.suffix in AUDIO}
    assert present == set(listed())
    assert present


@pytest.mark.parametrize("path", sorted(listed()))
def test_license_is_allowed_and_hash_is_right(path):
    license, digest = listed()[path]
    assert ALLOWED.fullmatch(license)
    assert sha256(DATA / path) == digest


def test_every_reference_is_attributed():
    text = (DATA / "SOURCES.md").read_text(encoding="utf-8")
    for name in REFERENCES:
        rows = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert len(rows) == 1
        license, _ = listed()[f"references/{name}"]
        assert f", {license} (https://creativecommons.org/" in rows[0]


def test_data_set_is_small_and_names_no_machine_paths():
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= 34e6
    for path in (DATA / "SOURCES.md", DATA / "build_tiny.py"):
        assert not re.search(r"(?<![\w.])/(work|tmp|home|root|Users)/", path.read_text(encoding="utf-8"))


def test_there_are_three_songs_and_four_references():
    assert len(SONGS) >= 3
    assert len(REFERENCES) >= 4
    assert "caesium.ogg" in HUMAN_MIXES


@pytest.mark.parametrize("song", SONGS)
def test_stems_fit_together(song):
    assert len(stems(song)) >= 6
    lengths = {len(stem) for stem in stems(song).values()}
    assert len(lengths) == 1
    assert 12 * RATE <= lengths.pop() <= 15 * RATE


@pytest.mark.parametrize("song", SONGS)
def test_stems_sound_and_do_not_clip(song):
    for name, stem in stems(song).items():
        assert np.isfinite(stem).all(), name
        assert np.abs(stem).max() <= 1.0, name
        # The loudest second counts: a fill may sound in one bar only.
        seconds = stem[: len(stem) // RATE * RATE].reshape(-1, RATE * stem.shape[1])
        assert 20 * np.log10(np.sqrt((seconds**2).mean(axis=1)).max() + 1e-12) > -50, name


@pytest.mark.parametrize("song", SONGS)
def test_stereo_stems_are_not_mono(song):
    for name, stem in stems(song).items():
        if stem.shape[1] == 2:
            assert np.abs(stem[:, 0] - stem[:, 1]).max() > 1e-4, name


@pytest.mark.parametrize("song", SONGS)
def test_no_stem_is_a_copy_of_another(song):
    mono = np.stack([stem.mean(axis=1) for stem in stems(song).values()])
    assert np.abs(np.corrcoef(mono) - np.eye(len(mono))).max() < 0.9


@pytest.mark.parametrize(
    "path", [f"references/{n}" for n in REFERENCES] + [f"human_mixes/{n}" for n in HUMAN_MIXES]
)
def test_finished_mixes_are_truly_stereo_and_do_not_clip(path):
    audio = read(DATA / path)
    assert audio.shape[1] == 2
    assert 12 * RATE <= len(audio) <= 15 * RATE
    assert np.abs(audio).max() <= 1.0
    mid, side = audio[:, 0] + audio[:, 1], audio[:, 0] - audio[:, 1]
    assert 10 * np.log10(np.mean(side**2) / np.mean(mid**2)) > -40
    seconds = audio[: len(audio) // RATE * RATE].reshape(-1, 2 * RATE)
    assert 20 * np.log10(np.sqrt((seconds**2).mean(axis=1)).min()) > -40


@pytest.mark.parametrize("name", HUMAN_MIXES)
def test_human_mix_is_aligned_with_its_stems(name):
    mix = read(DATA / "human_mixes" / name)
    total = sum(stem.mean(axis=1) for stem in stems(Path(name).stem).values())
    assert len(mix) == len(total)
    correlation = correlate(mix.mean(axis=1), total)
    lags = correlation_lags(len(mix), len(total))
    assert abs(lags[correlation.argmax()]) <= 0.002 * RATE
    assert np.corrcoef(mix.mean(axis=1), total)[0, 1] > 0.7


def run_script(*arguments):
    pytest.importorskip("av")
    command = [sys.executable, str(DATA / "build_tiny.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_script_reproduces_the_files(tmp_path):
    originals = os.environ.get("DIFFMST_ORIGINALS")
    if not originals:
        pytest.skip("DIFFMST_ORIGINALS does not name the folder with the full songs")
    result = run_script(originals, "--output", tmp_path, "--only", *REPRODUCED)
    assert result.returncode == 0, result.stderr
    made = {path.relative_to(tmp_path).as_posix(): sha256(path) for path in tmp_path.rglob("*.ogg")}
    expected = {
        path: digest
        for path, (_, digest) in listed().items()
        if set(Path(path).with_suffix("").parts) & set(REPRODUCED)
    }
    assert made == expected


@pytest.mark.parametrize(
    ("folders", "arguments", "message"),
    [
        ([], [], "missing folder"),
        (["multitracks"], [], "missing folder"),
        (["multitracks", "references"], [], "missing file"),
        (["multitracks", "references"], ["--only", "nothing"], "no such song or reference: nothing"),
    ],
)
def test_script_says_in_one_line_what_is_missing(tmp_path, folders, arguments, message):
    originals = tmp_path / "originals"
    for folder in folders:
        (originals / folder).mkdir(parents=True)
    result = run_script(originals, "--output", tmp_path / "out", *arguments)
    assert result.returncode == 1
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
