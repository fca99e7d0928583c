"""A finished mix as a file: its format, its room below full scale, and a limiter where one is asked for.

Chapter: Mix your own song.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch

from ..disk import why, write_whole
from ..inputs import InputError, note
from ..options import SAMPLE_RATE
from .encoding import FORMATS, FileFormat, encode, file_format, rate_of_file
from .limiting import Limiting, limit
from .loading import save_audio
from .loudness import loudness
from .meters import true_peak_db
from .resampling import resample

TOP_DBTP = -1.0  # of files without headroom (AES TD1008)
MIX_FILES = tuple(
    dict.fromkeys(f"mix{kind.suffix}" for kind in FORMATS.values())
)  # names that a mix can have
TOLD_DB = 0.075  # less is told as no change
MP3_MARGIN_DB = 0.05  # by which the peaks of music rise in an MP3 of 320 kbit/s; often one pass is enough
_STEP_DB = 0.01  # more than the excess by which an MP3 is turned down again, twice as much each time


@dataclass(frozen=True)
class Delivery:
    """A sound as it was written.

    Attributes:
        path: The file.
        gain_db: By how much it was turned down to fit its format, in dB: 0 or less.
        true_peak_dbtp: True peak of what the file holds, of an MP3 as it decodes.
        lufs: Loudness of what the file holds.
        limiting: What the limiter did; None without a ceiling.
    """

    path: Path
    gain_db: float
    true_peak_dbtp: float
    lufs: float
    limiting: Limiting | None = None


def mix_name(format: str) -> str:
    """Name the file of a mix in a format.

    Args:
        format: A word of `FORMATS`.

    Returns:
        The name.

    Example:
        >>> mix_name("wav24"), mix_name("mp3")
        ('mix.wav', 'mix.mp3')
    """
    return f"mix{file_format(format).suffix}"


def save_mix(
    path: str | Path,
    audio: torch.Tensor,
    *,
    sample_rate: int = SAMPLE_RATE,
    format: str = "wav",
    ceiling_dbtp: float | None = None,
    progress: bool = False,
) -> Delivery:
    """Write a mix in a format, never clipped; the file appears whole or not at all.

    Float WAV keeps everything as it is. In the other formats nothing can lie above full scale: what reaches
    above -1 dBTP is turned down to it as a whole, and an `InputNote` says by how many dB. An MP3 is decoded and
    measured, since its peaks move, and turned down again where need be. With a ceiling, `limit` holds the peaks
    there first, and the ceiling takes the place of -1 dBTP.

    Args:
        path: The file, with the ending of its format.
        audio: Audio (channels, num_samples), 1 or 2 channels.
        sample_rate: Sample rate in Hz. An MP3 of a rate that MP3 lacks is resampled, with an `InputNote`.
        format: "wav" (32-bit float), "wav24", "wav16" (with dither), "flac" (24-bit) or "mp3" (320 kbit/s).
        ceiling_dbtp: The ceiling of the limiter in dBTP, -30 to 0; None: no limiter.
        progress: Whether to show a progress bar where it takes long: an MP3 takes some seconds a minute.

    Returns:
        What was written.

    Raises:
        InputError: For another format or ceiling, for NaN or infinite samples, and when `path` cannot be
            written.
        ValueError: For another shape, and for another ending than that of the format.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> loud = 2.0 * torch.sin(torch.arange(44100) / 7).repeat(2, 1)
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as notes:
        ...     delivery = save_mix(folder / "mix.flac", loud, format="flac")
        >>> print(notes[0].message)
        mix.flac: turned down by 7.0 dB to -1 dBTP, 24-bit FLAC has no room above full scale; now -1.1 LUFS
        >>> round(delivery.true_peak_dbtp, 2)
        -1.0
    """
    path, kind = Path(path), file_format(format)
    _check(path, audio, kind)
    limiting = None
    if ceiling_dbtp is not None:
        audio, limiting = limit(audio, ceiling_dbtp=ceiling_dbtp, sample_rate=sample_rate)
    audio, rate = _at_rate(audio, sample_rate, kind, path.name)
    top = TOP_DBTP if ceiling_dbtp is None else ceiling_dbtp
    peak, gain_db = true_peak_db(audio), 0.0

    def write(part: Path) -> None:
        nonlocal peak, gain_db
        peak, gain_db = _write_below([(part, audio, peak)], top, rate, kind, progress)

    try:
        write_whole(path, write)
    except OSError as error:
        raise InputError(f"{path.name}: not written ({why(error)})") from None
    level = loudness(audio, sample_rate=rate) + gain_db
    if limiting:
        note(
            f"{path.name}: the limiter is on, at {ceiling_dbtp:g} dBTP: it takes off at most {limiting.most_db:.1f} dB, "
            f"in {100 * limiting.share:.1f} % of the time, and is neither in params.json nor in the sessions; "
            f"now {loudness(audio, sample_rate=rate):.1f} LUFS"
        )
    if gain_db < -TOLD_DB:
        note(
            f"{path.name}: turned down by {-gain_db:.1f} dB to {top:g} dBTP, {kind.about} has no room above full "
            f"scale; now {level:.1f} LUFS"
        )
    return Delivery(path, gain_db, peak, level, limiting)


def stem_files(
    names: Sequence[str], sounds: Iterable[torch.Tensor], *, sample_rate: int, format: str = "wav"
) -> dict[str, Callable[[Path], object]]:
    """List the files of a mix's stems with functions that write them, as `disk.write_together` takes them.

    In formats without headroom all stems are turned down by the same gain, so that their balance stays, and an
    `InputNote` says by how many dB: their sum is what reached the master bus, so much quieter.

    Args:
        names: Names of the files, without an ending.
        sounds: The stems (channels, num_samples), in the same order; taken one by one, when they are written.
        sample_rate: Sample rate in Hz.
        format: A word of `FORMATS`.

    Returns:
        Functions that write a file at a path, by the file's name. They are called in their order.

    Example:
        >>> list(stem_files(["kick", "vox"], [torch.zeros(2, 9)] * 2, sample_rate=44100, format="flac"))
        ['kick.flac', 'vox.flac']
    """
    kind, rest = file_format(format), iter(sounds)
    files = [f"{name}{kind.suffix}" for name in names]
    written: list[Path] = []

    def write_next(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        save_audio(path, next(rest), sample_rate=sample_rate)

    def write_all_at_first(path: Path) -> None:
        if not written:
            path.parent.mkdir(exist_ok=True)
            written.extend(path.parent / file for file in files)
            _write_alike(written, rest, sample_rate, kind)

    return dict.fromkeys(files, write_next if kind.has_headroom else write_all_at_first)


def _write_alike(paths: Sequence[Path], sounds: Iterable[torch.Tensor], rate: int, kind: FileFormat) -> None:
    """Write several sounds with one gain. Until it is known, they lie in float files: few are in memory."""
    with tempfile.TemporaryDirectory(dir=paths[0].parent) as folder:
        found = []
        for number, (path, sound) in enumerate(zip(paths, sounds, strict=True)):
            _check(path, sound, kind)
            sound, of_file = _at_rate(sound, rate, kind, path.name, tell=number == 0)
            kept = Path(folder, f"{number}.wav")
            encode(kept, sound, sample_rate=of_file, kind=FORMATS["wav"])
            found.append((path, kept, true_peak_db(sound)))
        _, gain_db = _write_below(found, TOP_DBTP, of_file, kind)
    if gain_db < -TOLD_DB:
        note(
            f"{paths[0].parent.name}: all stems turned down by {-gain_db:.1f} dB, the loudest to {TOP_DBTP:g} dBTP, "
            f"{kind.about} has no room above full scale; raised by as much, their sum is what reached the master bus"
        )


def _write_below(
    sounds: Sequence[tuple[Path, torch.Tensor | Path, float]],
    top: float,
    rate: int,
    kind: FileFormat,
    progress: bool = False,
) -> tuple[float, float]:
    """Write sounds, each a tensor or a float file with its true peak, with the gain that brings them below `top`.

    Returns:
        The highest true peak of the files in dBTP, and the gain in dB.
    """
    peak, step_db = max(peak for *_, peak in sounds), _STEP_DB
    decoded = kind.container == "MP3"
    gain_db = 0.0 if kind.has_headroom else min(0.0, top - MP3_MARGIN_DB * decoded - peak)
    while True:
        found = -math.inf
        for path, sound, _ in sounds:
            x = sound if isinstance(sound, torch.Tensor) else _read(sound)
            encode(path, x, sample_rate=rate, kind=kind, gain=10.0 ** (gain_db / 20.0), progress=progress)
            if decoded:
                found = max(found, true_peak_db(_read(path)))
        if not decoded or found <= top:
            return (found if decoded else peak + gain_db), gain_db
        gain_db -= found - top + step_db
        step_db *= 2.0


def _read(path: Path) -> torch.Tensor:
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T)


def _at_rate(
    audio: torch.Tensor, sample_rate: int, kind: FileFormat, name: str, *, tell: bool = True
) -> tuple[torch.Tensor, int]:
    """Bring a sound to a rate that its format has."""
    rate = rate_of_file(kind, sample_rate)
    if rate == sample_rate:
        return audio, rate
    if tell:
        note(f"{name}: {kind.about} has no {sample_rate} Hz, resampled to {rate} Hz")
    return torch.from_numpy(resample(audio.detach().cpu().float().numpy(), sample_rate, rate)), rate


def _check(path: Path, audio: torch.Tensor, kind: FileFormat) -> None:
    if audio.ndim != 2 or path.suffix.lower() != kind.suffix or not 1 <= audio.shape[0] <= 2:
        raise ValueError(
            f"a mix is (1 or 2 channels, num_samples) in a {kind.suffix} file, got {tuple(audio.shape)}, {path.name}"
        )
    if audio.numel() and not all(bool(end.isfinite()) for end in audio.detach().aminmax()):
        raise InputError(f"{path.name}: not written, the audio holds NaN or infinite samples")
