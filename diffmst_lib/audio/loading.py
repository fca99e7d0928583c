"""Loading and saving: a sound file, and a folder of stems as a song. Chapter: A first mix."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch

from ..disk import printable, why, write_whole
from ..inputs import InputError, note
from .decoding import AudioFile
from .loudness import SAMPLE_RATE
from .multitrack import Multitrack
from .resampling import resample

READERS = 4  # files that are read at the same time
_PLAIN = {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".caf", ".flac"}
_LOSSY = {".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".mp4", ".wma"}
AUDIO_SUFFIXES = _PLAIN | _LOSSY


def load_audio(path: str | Path, *, sample_rate: int = SAMPLE_RATE) -> torch.Tensor:
    """Read an audio file.

    Args:
        path: The file. Its content decides the format, not its name.
        sample_rate: The rate wanted, in Hz. A file with another rate is resampled, with an `InputNote`.

    Returns:
        Audio (channels, num_samples), float32.

    Raises:
        InputError: When the file is missing, empty or not audio, or holds NaN or infinite samples.

    Example:
        >>> import diffmst_lib as dm
        >>> load_audio(dm.data_dir() / "references" / "vibe_ace.ogg").shape[0]
        2
    """
    path = Path(path)
    audio, rate = _read(path, sample_rate)
    if rate != sample_rate:
        note(f"{path.name}: resampled from {rate} Hz to {sample_rate} Hz")
    return audio


def _read(path: Path, sample_rate: int) -> tuple[torch.Tensor, int]:
    """Read a file's audio at `sample_rate`; return it and the rate that the file has."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with AudioFile(path) as file:
            samples, rate = file.read(), file.sample_rate
    except ValueError as error:
        raise InputError(f"{path}: not an audio file that can be read here ({error})") from None
    if samples.shape[1] == 0:
        raise InputError(f"{path}: no audio in it (length 0)")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds NaN or infinite samples")
    return torch.from_numpy(resample(samples, rate, sample_rate)), rate


def save_audio(path: str | Path, audio: torch.Tensor, *, sample_rate: int = SAMPLE_RATE) -> Path:
    """Write a 32-bit float WAV, which keeps peaks above full scale; the file appears whole or not at all.

    Args:
        path: The file to write, with a name that ends in .wav.
        audio: Audio (channels, num_samples).
        sample_rate: Sample rate in Hz.

    Returns:
        The path.

    Raises:
        InputError: For NaN or infinite samples, and when `path` cannot be written.
        ValueError: For another shape or another ending.
    """
    path = Path(path)
    if audio.ndim != 2 or path.suffix.lower() != ".wav":
        raise ValueError(
            f"save_audio writes (channels, num_samples) to a .wav file, got {tuple(audio.shape)}, {path.name}"
        )
    samples = audio.detach().cpu().float().numpy()
    if not np.isfinite(samples).all():
        raise InputError(f"{path.name}: not written, the audio holds NaN or infinite samples")
    data = io.BytesIO()  # to be written by Python, which says why a write failed, as libsndfile does not
    soundfile.write(data, samples.T, sample_rate, subtype="FLOAT", format="WAV")
    try:
        write_whole(path, lambda part: part.write_bytes(data.getbuffer()))
    except OSError as error:
        raise InputError(f"{path.name}: not written ({why(error)})") from None
    return path


def load_multitrack(folder: str | Path, *, sample_rate: int = SAMPLE_RATE) -> Multitrack:
    """Read a folder of stems, one audio file each, mono or stereo.

    Files are taken in the order of their names. Shorter stems are padded at the end, other sample rates are
    resampled, files that are not audio are left out, each with an `InputNote`. A mono file becomes a stem of
    two equal channels.

    Args:
        folder: The folder of one song.
        sample_rate: The rate wanted, in Hz.

    Returns:
        The song, named like its folder.

    Raises:
        InputError: For a missing or empty folder, for an audio file that cannot be used, and for two files of
            one name.

    Example:
        >>> import diffmst_lib as dm
        >>> load_multitrack(dm.data_dir() / "multitracks" / "caesium").names[:2]
        ['alt_hats', 'bgvox_alt']
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of stems")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    stems = [p for p in files if p.suffix.lower() in AUDIO_SUFFIXES]
    if not stems:
        raise InputError(f"{folder}: no audio files in this folder")
    others = [printable(p.name) for p in files if p not in stems]
    if others:
        note(f"not audio, left out: {', '.join(others)}")
    doubles = {printable(p.stem) for p in stems if sum(q.stem == p.stem for q in stems) > 1}
    if doubles:
        raise InputError(f"{folder}: several files are named {', '.join(sorted(doubles))}")

    loaded, resampled = {}, []
    with ThreadPoolExecutor(READERS) as pool:  # decoders release Python's lock
        files_read = list(pool.map(lambda path: _read(path, sample_rate), stems))
    for path, (audio, rate) in zip(stems, files_read, strict=True):
        if audio.shape[0] > 2:
            raise InputError(f"{path}: {audio.shape[0]} channels; a stem is mono or stereo")
        if rate != sample_rate:
            resampled.append(f"{printable(path.name)} ({rate} Hz)")
        loaded[path] = audio
    if resampled:
        note(f"resampled to {sample_rate} Hz: {', '.join(resampled)}")
    longest = max(audio.shape[-1] for audio in loaded.values())
    short = [printable(path.name) for path, audio in loaded.items() if audio.shape[-1] < longest]
    if short:
        note(f"padded with silence to {longest / sample_rate:.2f} s: {', '.join(short)}")

    del files_read
    audio = torch.zeros(len(stems), 2, longest)
    for row, path in enumerate(stems):  # one at a time, so that a long song is in memory once and not twice
        stem = loaded.pop(path)
        audio[row, :, : stem.shape[-1]] = stem  # a mono file fills both channels
    try:
        return Multitrack(
            [printable(path.stem) for path in stems], audio, sample_rate, printable(folder.resolve().name)
        )
    except ValueError as error:
        raise InputError(f"{folder}: {error}") from None
