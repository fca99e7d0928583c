"""Songs rendered from MIDI: one dry stem per channel, by FluidSynth with a SoundFont. Chapter: Data."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import as_completed
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from tqdm.auto import tqdm

from ...disk import why, write_whole
from ...inputs import InputError
from ...options import SAMPLE_RATE
from ..songs import Problem
from ..threads import thread_pool
from .midi import split_channels

if TYPE_CHECKING:
    import mido

RECIPE = 1  # raised with any change of the rendering, so that old stems are rendered again
FADE_S = 0.5  # length of the fade-out at the end of a stem
GAINS = (0.5, 0.25, 0.125)  # of the synthesizer; a song uses the first that clips none of its stems
SILENCE = 10 ** (-70 / 20)  # peak below which a stem is left out
TIMEOUT_S = 120.0
STAMP = ".render.json"
SOUNDFONT_FOLDERS = (
    "/usr/share/sounds/sf3",
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
MUSESCORE = "MIT, by S. Christian Collins after Frank Wen, Michael Cowgill and others"
# SoundFonts for the rendering, and their licenses; the best first.
SOUNDFONTS = {
    "MuseScore_General_Lite.sf3": MUSESCORE,
    "MuseScore_General.sf3": MUSESCORE,
    "MuseScore_General.sf2": MUSESCORE,
    "FluidR3_GM.sf2": "MIT, by Frank Wen",
}


def find_soundfont() -> Path | None:
    """Find the best free General MIDI SoundFont in the usual folders. Return None where there is none."""
    paths = [Path(folder, name) for name in SOUNDFONTS for folder in SOUNDFONT_FOLDERS]
    return next((path for path in paths if path.is_file()), None)


def missing_tools(soundfont: str | Path | None = None) -> list[Problem]:
    """List the tools that must be installed before MIDI can be rendered.

    Args:
        soundfont: Path of a SoundFont. Default: one of those in the usual folders.

    Returns:
        One problem for each missing tool.

    Raises:
        InputError: When `soundfont` is not a SoundFont.
    """
    problems = []
    if importlib.util.find_spec("mido") is None:
        problems.append(Problem("mido", "no MIDI song is rendered without this package: pip install mido"))
    if shutil.which("fluidsynth") is None:
        problems.append(
            Problem("fluidsynth", "no MIDI song is rendered without this program: apt install fluidsynth")
        )
    if soundfont is not None:
        _check_soundfont(Path(soundfont))
    elif find_soundfont() is None:
        problems.append(
            Problem(
                "SoundFont",
                "no MIDI song is rendered without one: apt install musescore-general-soundfont-small",
            )
        )
    return problems


def _check_soundfont(path: Path) -> None:
    """Check the file itself: for a broken SoundFont, FluidSynth uses another one or none without an error."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise InputError(f"{path}: cannot read this SoundFont ({why(error)})") from None
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise InputError(f"{path}: is no SoundFont (.sf2 or .sf3)")


def render_song(
    path: str | Path, folder: str | Path, *, soundfont: str | Path | None = None, timeout_s: float = TIMEOUT_S
) -> dict[str, Path]:
    """Render every channel of a MIDI file as a dry stem.

    The stems have 16 bits at 44.1 kHz. The rounding error is 45 dB below the quietest stem of the open set
    and 70 dB below most, while 24 bits would take 2.4 times the space. A stem with equal channels is mono.
    All stems have the same length, and their levels are those of the song. Silent stems are left out.

    The folder is written whole or not at all. Nothing is rendered when it already holds these stems.

    Args:
        path: Path of the MIDI file.
        folder: Folder for the stems.
        soundfont: Path of a SoundFont. Default: the best of those in the usual folders.
        timeout_s: Time limit of one stem in seconds.

    Returns:
        FLAC files by the names of the stems.

    Raises:
        InputError: When a tool is missing, the MIDI file is broken or has only one sounding channel,
            FluidSynth fails or hangs, a stem clips even at the lowest gain, or `folder` holds other files.
        OSError: When the disk is full.
    """
    path, folder = Path(path), Path(folder)
    missing = missing_tools(soundfont)
    if missing:
        raise InputError(f"{path.name}: {missing[0].path} is missing, {missing[0].reason}")
    soundfont = Path(soundfont or find_soundfont()).resolve()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot read this MIDI file ({why(error)})") from None
    recipe = {
        "recipe": RECIPE,
        "midi_sha256": digest,
        "soundfont": soundfont.name,
        "soundfont_bytes": soundfont.stat().st_size,
    }
    stems = _rendered_stems(folder, recipe)
    if stems:
        return stems
    if folder.exists() and not (folder / STAMP).is_file() and any(folder.iterdir()):
        raise InputError(f"{folder}: holds files that were not rendered from MIDI, and is left as it is")

    channels = split_channels(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        staging = Path(work, "stems")
        for gain in GAINS:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            if all(
                _render_stem(name, midi, staging, soundfont, gain, timeout_s)
                for name, midi in channels.items()
            ):
                break
        else:
            raise InputError(f"{path.name}: clips with {soundfont.name} even at a gain of {GAINS[-1]}")
        sizes = {stem.name: stem.stat().st_size for stem in sorted(staging.iterdir())}
        if len(sizes) < 2:
            raise InputError(f"{path.name}: {len(sizes)} channels sound; a multitrack needs two or more")
        (staging / STAMP).write_text(json.dumps(recipe | {"stems": sizes}, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    return _rendered_stems(folder, recipe)


def _rendered_stems(folder: Path, recipe: dict[str, str | int]) -> dict[str, Path]:
    """Find the stems that this recipe rendered in a folder; {} unless all of them are complete."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        sizes = stamp.pop("stems")
        if stamp == recipe and all((folder / name).stat().st_size == size for name, size in sizes.items()):
            return {Path(name).stem: folder / name for name in sizes}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _render_stem(
    name: str, midi: mido.MidiFile, folder: Path, soundfont: Path, gain: float, timeout_s: float
) -> bool:
    """Write one stem unless it is silent. Return False where it clips."""
    num_samples = round(midi.length * SAMPLE_RATE)
    wav, score = folder.parent / "stem.wav", folder.parent / "stem.mid"
    if shutil.disk_usage(folder).free < 2.5 * 2 * 4 * num_samples:  # FluidSynth would stop without saying why
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.parent.parent))
    midi.save(score)
    wav.unlink(missing_ok=True)
    # Without dynamic loading, each run would decode the whole SoundFont, which takes longer than the song.
    options = (
        f"-ni -q -R 0 -C 0 -o synth.dynamic-sample-loading=1 -r {SAMPLE_RATE} -g {gain} -T wav -O float -F"
    )
    try:
        run = subprocess.run(
            ["fluidsynth", *options.split(), wav, soundfont, score],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{name}: FluidSynth did not finish within {timeout_s:g} s") from None
    messages = run.stderr.strip().splitlines()
    try:
        audio, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        audio, rate = np.zeros((0, 2), np.float32), SAMPLE_RATE
    if run.returncode or rate != SAMPLE_RATE or len(audio) < num_samples:
        reason = messages[-1] if messages else f"exit code {run.returncode}"
        raise InputError(f"{name}: FluidSynth failed ({reason})")

    audio = audio[:num_samples]
    fade = min(round(FADE_S * SAMPLE_RATE), num_samples)
    audio[num_samples - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    peak = np.abs(audio).max()
    if not peak < 1:
        return False
    if peak >= SILENCE:
        if np.array_equal(audio[:, 0], audio[:, -1]):
            audio = audio[:, :1]
        data = io.BytesIO()
        soundfile.write(data, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        write_whole(folder / f"{name}.flac", lambda part: part.write_bytes(data.getbuffer()))
    return True


def render_songs(
    songs: dict[str, Path],
    output: str | Path,
    *,
    soundfont: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: bool = False,
) -> tuple[dict[str, dict[str, Path]], list[Problem]]:
    """Render MIDI files, several at a time.

    A song that cannot be rendered becomes a `Problem`, and the others are rendered. After an interruption,
    finished songs stay and are not rendered again.

    Args:
        songs: MIDI files by the names of the songs.
        output: Folder that gets one folder per song.
        soundfont: Path of a SoundFont. Default: the best of those in the usual folders.
        timeout_s: Time limit of one stem in seconds.
        progress: Whether to show a progress bar.

    Returns:
        Stems by the names of the songs, and problems.

    Raises:
        OSError: When the disk is full.
    """
    rendered, problems = {}, []
    with thread_pool(min(os.cpu_count() or 1, 16)) as pool:
        runs = {
            pool.submit(render_song, path, Path(output, name), soundfont=soundfont, timeout_s=timeout_s): name
            for name, path in songs.items()
        }
        for run in tqdm(
            as_completed(runs), total=len(runs), desc="render", unit="song", disable=not progress
        ):
            name = runs[run]
            try:
                rendered[name] = run.result()
            except InputError as error:
                problems.append(Problem(str(songs[name]), str(error)))
    return {name: rendered[name] for name in songs if name in rendered}, problems
