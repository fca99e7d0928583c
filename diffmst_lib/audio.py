"""Audio in and out: files, sample rates, and a song as named tracks. Chapter 1."""

from __future__ import annotations

import io
import os
import uuid
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import soundfile
import torch

from .files import AudioFile
from .levels import SAMPLE_RATE, loudness

AUDIO_SUFFIXES = {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf",
                  ".w64", ".rf64", ".m4a", ".aac", ".mp4", ".wma"}


class InputError(ValueError):
    """Something is wrong with what the user gave; the message is one line for that user."""


class InputNote(UserWarning):
    """Something in the input was changed to fit (resampled, padded, ignored) and is worth one line."""


def data_dir() -> Path:
    """The tiny data set: `data/` in a checkout, a copy of it inside an installed wheel.

    >>> (data_dir() / "multitracks").is_dir()
    True
    """
    package = Path(__file__).resolve().parent
    checkout = package.parent / "data"
    if (checkout / "SOURCES.md").is_file() and (package.parent / "pyproject.toml").is_file():
        return checkout
    return package / "_data"


def load_audio(path: str | Path, *, sample_rate: int = SAMPLE_RATE) -> torch.Tensor:
    """Read an audio file: float32 (channels, num_samples) at `sample_rate`, resampled with an `InputNote` if needed.

    Raises InputError when the file is missing, is no audio, is empty, or holds NaN or infinite samples.

    >>> load_audio(data_dir() / "references" / "vibe_ace.ogg").shape[0]
    2
    """
    path = Path(path)
    audio, rate = _read(path, sample_rate)
    if rate != sample_rate:
        warnings.warn(f"{path.name}: resampled from {rate} Hz to {sample_rate} Hz", InputNote, stacklevel=2)
    return audio


def _read(path: Path, sample_rate: int) -> tuple[torch.Tensor, int]:
    """The file's audio at `sample_rate`, and the rate that it had."""
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
    if rate != sample_rate:
        samples = librosa.resample(samples, orig_sr=rate, target_sr=sample_rate)
    return torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)), rate


def save_audio(path: str | Path, audio: torch.Tensor, *, sample_rate: int = SAMPLE_RATE) -> Path:
    """Write (channels, num_samples) as a 32-bit float WAV, which keeps peaks above full scale.

    The file appears whole or not at all. Raises InputError for NaN or infinite samples, and when `path` cannot be
    written.
    """
    path = Path(path)
    if audio.ndim != 2 or path.suffix.lower() != ".wav":
        raise ValueError(f"save_audio writes (channels, num_samples) to a .wav file, got {tuple(audio.shape)}, {path.name}")
    samples = audio.detach().cpu().float().numpy()
    if not np.isfinite(samples).all():
        raise InputError(f"{path.name}: not written, the audio holds NaN or infinite samples")
    data = io.BytesIO()  # Python's own files, unlike libsndfile's, say why a write failed
    soundfile.write(data, samples.T, sample_rate, subtype="FLOAT", format="WAV")
    try:
        write_whole(path, lambda part: Path(part).write_bytes(data.getbuffer()))
    except OSError as error:
        raise InputError(f"{path.name}: not written ({error.strerror or error})") from None
    return path


def write_whole(path: Path, write) -> None:
    """Call `write(temporary path)` beside `path`, then move the result into place, so that no partial file is left."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


MONO_SIDE = 0.5    # of mono stems beside stereo ones


@dataclass
class Multitrack:
    """A song as mono tracks: `audio` (num_tracks, num_samples), `names`, `sample_rate`, `channels`.

    A stereo stem is two tracks, "name.L" and "name.R", as in the paper; `channels` says of each track whether it is
    "left", "right" or "mono". `title` is for people.

    >>> song = load_multitrack(data_dir() / "multitracks" / "caesium")
    >>> song.audio.shape[0] == len(song.names)
    True
    """

    names: list[str]
    audio: torch.Tensor
    sample_rate: int = SAMPLE_RATE
    channels: list[str] = field(default_factory=list)
    title: str = ""

    def __post_init__(self):
        if not isinstance(self.audio, torch.Tensor) or self.audio.dtype not in (torch.float32, torch.float64):
            kind = getattr(self.audio, "dtype", type(self.audio).__name__)
            raise ValueError(f"audio must be a float32 tensor (num_tracks, num_samples), got {kind}")
        if self.audio.ndim != 2 or self.audio.shape[0] != len(self.names):
            raise ValueError(f"{len(self.names)} names need audio ({len(self.names)}, num_samples), "
                             f"got {tuple(self.audio.shape)}")
        doubles = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubles:
            raise ValueError(f"several tracks are named {', '.join(doubles)}")
        if not self.channels:
            sides = {".L": "left", ".R": "right"}
            self.channels = [sides.get(name[-2:], "mono") for name in self.names]
        if len(self.channels) != len(self.names) or not set(self.channels) <= {"left", "right", "mono"}:
            raise ValueError(f"channels must be {len(self.names)} of left, right, mono, got {self.channels}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.audio.shape[-1] / self.sample_rate

    @property
    def stems(self) -> dict[str, torch.Tensor]:
        """The stems as they came: {name: (1 or 2, num_samples)}."""
        stems: dict[str, list[torch.Tensor]] = {}
        for name, track in zip(self._stem_names(), self.audio):
            stems.setdefault(name, []).append(track)
        return {name: torch.stack(tracks) for name, tracks in stems.items()}

    def _stem_names(self) -> list[str]:
        """Of every track, the stem that it belongs to."""
        return [name if channel == "mono" else name[:-2] for name, channel in zip(self.names, self.channels)]

    def spread_pans(self) -> list[float]:
        """Pans that give a mix some width to start from: left and right channels to their sides, mono alternately.

        Mono stems alternate in the order of their names, in whatever order they come.
        """
        left = self._every_other_mono()
        return [0.18 if channel == "left" or name in left else 0.82 for name, channel in zip(self.names, self.channels)]

    def sides(self) -> list[float]:
        """Where each track belongs, -1 left to 1 right. What a network is told of its tracks.

        Channels of stereo stems are -1 and 1. Mono stems, if there are two or more, alternate in the order of their
        names: at half of the way beside stereo stems, all the way where no stereo stem sounds. In the middle, all of
        them, they would look alike, and what looks alike is never panned apart.
        """
        sounding = {channel for channel, track in zip(self.channels, self.audio) if bool(track.any())}
        sides = {"left": -1.0, "mono": 0.0, "right": 1.0}
        if self.channels.count("mono") < 2:
            return [sides[channel] for channel in self.channels]
        left, away = self._every_other_mono(), MONO_SIDE if sounding & {"left", "right"} else 1.0
        return [sides[channel] or (-away if name in left else away) for name, channel in zip(self.names, self.channels)]

    def _every_other_mono(self) -> set[str]:
        return set(sorted(name for name, channel in zip(self.names, self.channels) if channel == "mono")[::2])

    def excerpt(self, start_s: float, duration_s: float) -> Multitrack:
        """A part of the song, shorter than `duration_s` where the song ends. ValueError when nothing is there."""
        first, length = round(start_s * self.sample_rate), round(duration_s * self.sample_rate)
        audio = self.audio[:, first : first + length] if first >= 0 and length > 0 else self.audio[:, :0]
        if audio.shape[-1] == 0:
            raise ValueError(f"nothing at {start_s} s in a song of {self.duration_s:.1f} s")
        return Multitrack(list(self.names), audio, self.sample_rate, list(self.channels), self.title)

    def select(self, *stems: str) -> Multitrack:
        """Only these stems, in the song's order. KeyError names what is not there.

        >>> load_multitrack(data_dir() / "multitracks" / "caesium").select("kick").names
        ['kick.L', 'kick.R']
        """
        owners = self._stem_names()
        missing = [name for name in stems if name not in owners]
        if missing:
            raise KeyError(f"no stem {', '.join(missing)}: there are {', '.join(dict.fromkeys(owners))}")
        keep = [i for i, name in enumerate(owners) if name in stems]
        return Multitrack([self.names[i] for i in keep], self.audio[keep], self.sample_rate,
                          [self.channels[i] for i in keep], self.title)

    def levels(self) -> pd.DataFrame:
        """A table of the stems: channels, LUFS, peak in dBFS, crest factor in dB (silence: -inf)."""
        rows = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, stem in self.stems.items():
                peak, power = stem.abs().max().item(), stem.square().mean().item()
                rows[name] = {
                    "channels": stem.shape[0],
                    "loudness_lufs": loudness(stem, sample_rate=self.sample_rate),
                    "peak_dbfs": float(20 * np.log10(peak)),
                    "crest_factor_db": float(20 * np.log10(peak) - 10 * np.log10(power)),
                }
        return pd.DataFrame(rows).T.astype({"channels": int}).rename_axis("stem")


def load_multitrack(folder: str | Path, *, sample_rate: int = SAMPLE_RATE) -> Multitrack:
    """Read a folder of stems, one audio file each, mono or stereo, as a `Multitrack`.

    Files are taken in the order of their names. Stems of different lengths are padded at the end, other sample rates
    are resampled, files that are no audio are left out; each says so in an `InputNote`. A stereo file with two equal
    channels is one mono track. Raises InputError for a missing or empty folder, for an audio file that cannot be
    used, and for two files of one name.

    >>> load_multitrack(data_dir() / "multitracks" / "caesium").names[:2]
    ['alt_hats.L', 'alt_hats.R']
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of stems")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    stems = [p for p in files if p.suffix.lower() in AUDIO_SUFFIXES]
    if not stems:
        raise InputError(f"{folder}: no audio files in this folder")
    others = [_text(p.name) for p in files if p not in stems]
    if others:
        warnings.warn(f"not audio, left out: {', '.join(others)}", InputNote, stacklevel=2)
    doubles = {_text(p.stem) for p in stems if sum(q.stem == p.stem for q in stems) > 1}
    if doubles:
        raise InputError(f"{folder}: several files are named {', '.join(sorted(doubles))}")

    loaded, resampled = {}, []
    for path in stems:
        audio, rate = _read(path, sample_rate)
        if audio.shape[0] > 2:
            raise InputError(f"{path}: {audio.shape[0]} channels; a stem is mono or stereo")
        if audio.shape[0] == 2 and torch.equal(audio[0], audio[1]):
            audio = audio[:1]
        if rate != sample_rate:
            resampled.append(f"{_text(path.name)} ({rate} Hz)")
        loaded[path] = audio
    if resampled:
        warnings.warn(f"resampled to {sample_rate} Hz: {', '.join(resampled)}", InputNote, stacklevel=2)
    longest = max(audio.shape[-1] for audio in loaded.values())
    short = [_text(path.name) for path, audio in loaded.items() if audio.shape[-1] < longest]
    if short:
        seconds = longest / sample_rate
        warnings.warn(f"padded with silence to {seconds:.2f} s: {', '.join(short)}", InputNote, stacklevel=2)

    names, channels = [], []
    for path, audio in loaded.items():
        name, stereo = _text(path.stem), audio.shape[0] == 2
        names += [f"{name}.L", f"{name}.R"] if stereo else [name]
        channels += ["left", "right"] if stereo else ["mono"]
    tracks, row = torch.zeros(len(names), longest), 0
    for path in stems:                       # one stem at a time, so that a long song is in memory once and not twice
        audio = loaded.pop(path)
        tracks[row : row + len(audio), : audio.shape[-1]] = audio
        row += len(audio)
    try:
        return Multitrack(names, tracks, sample_rate, channels, _text(folder.resolve().name))
    except ValueError as error:
        raise InputError(f"{folder}: {error}") from None


def _text(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 become question marks."""
    return os.fsencode(name).decode("utf-8", "replace")


def check_song(song: Multitrack) -> None:
    """Raise InputError when a song cannot be mixed: NaN samples, or every track below the -70 LUFS of silence."""
    for name, track in zip(song.names, song.audio):
        if not bool(torch.isfinite(track).all()):
            raise InputError(f"track {name} holds NaN or infinite samples")
    if not any(np.isfinite(loudness(track, sample_rate=song.sample_rate)) for track in song.audio):
        raise InputError(f"{song.title or 'the song'}: all {len(song.names)} tracks are silent")


def check_stereo(audio: torch.Tensor, what: str = "the reference", *, sample_rate: float = SAMPLE_RATE) -> torch.Tensor:
    """A stereo mix as (2, num_samples), or InputError in one line: not stereo, no audio, silent, not finite.

    An offset of more than 1 % of the power of a channel is told in an InputNote.
    """
    if not isinstance(audio, torch.Tensor):
        raise InputError(f"{what} is a {type(audio).__name__}; a tensor (2, num_samples) is needed")
    if not audio.dtype.is_floating_point:
        raise InputError(f"{what} is {str(audio.dtype).removeprefix('torch.')}; floating point in [-1, 1] is needed")
    if audio.ndim == 3:
        if audio.shape[0] != 1:
            raise InputError(f"{what} is a batch of {audio.shape[0]} sounds; one is needed")
        audio = audio[0]
    if audio.ndim not in (1, 2):
        raise InputError(f"{what} has the shape {tuple(audio.shape)}; (2, num_samples) is needed")
    if audio.ndim == 1 or audio.shape[0] != 2:
        channels = 1 if audio.ndim == 1 else audio.shape[0]
        hint = ", so transpose it" if audio.ndim == 2 and audio.shape[1] == 2 else ""
        raise InputError(f"{what} has {channels} channel{'s' * (channels != 1)}; a stereo mix is needed{hint}")
    if not bool(torch.isfinite(audio).all()):
        raise InputError(f"{what} holds NaN or infinite samples")
    if not np.isfinite(loudness(audio, sample_rate=sample_rate)):
        raise InputError(f"{what} is silent")
    offset = audio.mean(dim=-1)
    if bool((offset.square() > 0.01 * audio.square().mean(dim=-1)).any()):
        warnings.warn(f"{what} has a DC offset of {offset.abs().max():.2g}, which nobody hears and the features count; "
                      "subtract its mean to be rid of it", InputNote, stacklevel=3)
    return audio
