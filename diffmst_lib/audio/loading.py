"""Loading and saving of a sound file. Chapter: A first mix."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from ..disk import printable, why, write_whole
from ..inputs import InputError, note
from ..options import SAMPLE_RATE
from .decoding import AudioFile
from .encoding import FORMATS, encode
from .remarks import START, not_a_file, tell
from .resampling import resample
from .room import BYTES, check_room

_PLAIN = {".wav", ".wave", ".bwf", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".flac"}
_LOSSY = {".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".mp4", ".wma"}
AUDIO_SUFFIXES = _PLAIN | _LOSSY


def load_audio(path: str | Path, *, sample_rate: int = SAMPLE_RATE) -> torch.Tensor:
    """Read an audio file.

    Args:
        path: The file. Its content decides the format, not its name.
        sample_rate: The rate wanted, in Hz. A file with another rate is resampled, with an `InputNote`. So
            are others told: of a file that is cut short, and of silence where it is damaged.

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
    remarks: dict[str, str] = {}
    audio, rate = read_sound(path, sample_rate, remarks)
    remarks.pop(START, None)  # matters beside other stems only
    tell({printable(path.name): remarks})
    if rate != sample_rate:
        note(f"{path.name}: resampled from {rate} Hz to {sample_rate} Hz")
    return audio


def read_sound(
    path: Path, sample_rate: int, remarks: dict[str, str] | None = None
) -> tuple[torch.Tensor, int]:
    """Read a file's audio.

    Args:
        path: The file.
        sample_rate: The rate wanted, in Hz.
        remarks: Gets what is not right with the file, see `remarks.tell`.

    Returns:
        Audio (channels, num_samples), float32, and the rate that the file has, in Hz.

    Raises:
        InputError: For what cannot be read, and for more than fits into memory.
    """
    what = not_a_file(path)
    if what or not path.exists():
        raise InputError(f"{path}: no such file" if what is None else f"{path}: {what}, not a file")
    try:
        with AudioFile(path) as file:
            rates = file.sample_rate + (sample_rate if sample_rate != file.sample_rate else 0)
            minutes = file.expected_s / 60
            check_room(
                60 * minutes * rates * file.channels * BYTES, f"{path}: {minutes:.0f} minutes of sound"
            )
            samples, rate = file.read(), file.sample_rate
            if remarks is not None:
                remarks.update(file.remarks)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({why(error)})") from None
    except ValueError as error:
        raise InputError(f"{path}: not an audio file that can be read here ({error})") from None
    if samples.shape[1] == 0:
        raise InputError(f"{path}: no audio in it (length 0)")
    if not _is_finite(samples):
        raise InputError(f"{path}: holds NaN or infinite samples")
    return torch.from_numpy(resample(samples, rate, sample_rate)), rate


def _is_finite(samples: np.ndarray) -> bool:
    """Tell whether all samples are finite, without a mask as long as the sound."""
    return samples.size == 0 or all(math.isfinite(end) for end in torch.from_numpy(samples).aminmax())


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
    samples = audio.detach().cpu().float()
    if not _is_finite(samples.numpy()):
        raise InputError(f"{path.name}: not written, the audio holds NaN or infinite samples")
    try:
        write_whole(path, lambda part: encode(part, samples, sample_rate=sample_rate, kind=FORMATS["wav"]))
    except OSError as error:
        raise InputError(f"{path.name}: not written ({why(error)})") from None
    return path
