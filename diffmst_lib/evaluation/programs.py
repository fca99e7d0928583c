"""Systems that are other programs: a command line gets a song and a record as files, and writes a mix.

Chapter: Results
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch

from ..audio.loading import save_audio
from ..audio.loudness import BUS_LUFS, normalize_loudness
from ..audio.multitrack import Multitrack
from ..disk import printable, why
from ..export.file_names import file_names
from ..inputs import InputError
from ..options import SAMPLE_RATE
from .rules import rule_of
from .system_kind import System, own_system
from .systems import SYSTEMS
from .task import Task

LIMIT_S = 600.0  # for one mix
PLACES = ("song", "record", "output")  # what a command line may name in braces
OFF_S = 0.05  # a mix may be so much shorter or longer than the song, as coders make it
SAID = 200  # letters of what a failed program said last

# Music Mixing Style Transfer, Koo et al. 2023: its files, as its README has them
MST_SCRIPT = "inference/style_transfer.py"
MST_WEIGHTS = {"--ckpt_path_enc": "FXencoder", "--ckpt_path_conv": "MixFXcloner"}
MST_RESULTS = ("mixture_output.wav", "mixture_output_notnormed.wav")
MST_SEPARATED = "separated/mdx_extra"  # where it looks for sources that are separated already
MST_GROUPS = ("drums", "bass", "other", "vocals")
MST_PEAK = 0.5  # its README asks for inputs that are not loud


def program(name: str, command: str, *, limit_s: float = LIMIT_S) -> System:
    """Make a system of a command line.

    Args:
        name: What tables call it, a word.
        command: The command with its arguments, as in a shell, but none is started. `{song}` stands for a
            folder with a WAV file a stem, `{record}` for the record and `{output}` for the mix that the
            program must write, both WAV files. The files that it gets are stereo, in 32-bit float, at the
            song's sample rate. A command without `{record}` does not listen. For "mst", the folder with the
            code and the weights of that program (`mst`).
        limit_s: Seconds for one mix, above 0; then the program is stopped.

    Returns:
        The system. Its mix is an InputError in one line for a program that fails, says nothing in time or
        writes no stereo WAV file of the song's length and sample rate.

    Raises:
        InputError: For a name that is ours or no word, for a command without `{song}` or `{output}`, with
            other braces or quotes that do not close, and for a program that is not there.

    Example:
        >>> cat = program("first-stem", "cp {song}/kick.wav {output}")
        >>> cat.name, cat.listens
        ('first-stem', False)
    """
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        raise InputError(f"the name of a program must be a word such as 'my_program', not {name!r}")
    if name in SYSTEMS:
        raise InputError(f"the system {name!r} is one of ours: give the program another name")
    if not limit_s > 0:
        raise InputError(f"the time limit of {name} must be above 0 s, not {limit_s:g}")
    try:
        words = shlex.split(command)
        used = {place for word in words for place in _fields(word)}
    except ValueError as error:
        raise InputError(f"the command of {name} cannot be read ({why(error)}): {command}") from None
    if name == "mst" and not used:
        return mst(command, limit_s=limit_s)
    for place in ("song", "output"):
        if place not in used:
            raise InputError(f"the command of {name} must have {{{place}}} in it: {command}")
    find = partial(_find_program, name, words[0])
    find()
    about = " ".join(f"a program: {command}".split())
    run = partial(run_program, name, words, limit_s=limit_s)
    return own_system(name, about, run, listens="record" in used, fits=True, ready=find)


def run_program(name: str, words: Sequence[str], task: Task, *, limit_s: float = LIMIT_S) -> torch.Tensor:
    """Write song and record, run a program once, and read its mix.

    Args:
        name: What messages call it.
        words: The command line, with its places in braces.
        task: Song and record.
        limit_s: Seconds that it may take.

    Returns:
        The mix (2, num_samples), at the level that the program gave it.

    Raises:
        InputError: In one line, as in `program`.
    """
    song = task.song
    with tempfile.TemporaryDirectory(prefix="diffmst-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        places = {"song": folder / "song", "record": folder / "record.wav", "output": folder / "mix.wav"}
        places["song"].mkdir()
        for file, stem in zip(file_names(song.names), song.audio, strict=True):
            save_audio(places["song"] / f"{file}.wav", stem, sample_rate=song.sample_rate)
        save_audio(places["record"], task.record, sample_rate=song.sample_rate)
        filled = [_fill(word, places) for word in words]
        output = call(name, filled, limit_s=limit_s)
        return read_mix(name, [places["output"]], song, output)


def mst(folder: str | Path, *, python: str | None = None, limit_s: float = LIMIT_S) -> System:
    """Make a system of Music Mixing Style Transfer, the paper's baseline, from a folder that you fetched.

    It takes a finished mix, which is the plain sum of the stems, separates it and the record with Demucs, and
    changes the sources; there is no console. Where names of stems tell drums, bass, voices and others apart,
    and all four sound, it gets the sums of the true stems and separates only the record. Inputs come at
    -20 LUFS or below, at most half of full scale, since its README asks for inputs that are not loud.

    Source: Koo et al., Music mixing style transfer: a contrastive learning approach to disentangle audio effects,
    ICASSP 2023, arXiv 2211.02247.

    Args:
        folder: Its repository (github.com/jhtonyKoo/music_mixing_style_transfer), with the two files of weights
            whose names begin with FXencoder and MixFXcloner in it, or in its folder `weights`.
        python: The Python that runs it, with what it needs installed; None: that of a `.venv`, `venv` or `env`
            in the folder, otherwise the one that runs this.
        limit_s: Seconds for one mix.

    Returns:
        The system "mst".

    Raises:
        InputError: In one line, when code or weights are missing.
    """
    root = Path(folder).expanduser()
    ready = partial(_mst_command, root, python)
    ready()
    mix = partial(_mst_mix, root, python, limit_s)
    return own_system(
        "mst", "Koo et al. 2023 on the plain sum: the paper's baseline", mix, fits=True, ready=ready
    )


def mst_inputs(song: Multitrack) -> dict[str, torch.Tensor]:
    """Make the sounds that Music Mixing Style Transfer gets of a song.

    Args:
        song: The stems.

    Returns:
        "input", the plain sum (2, num_samples), and the sums of "drums", "bass", "other" and "vocals" where all
        four sound, all by one gain.

    Example:
        >>> stems = torch.randn(4, 2, 44100)
        >>> list(mst_inputs(Multitrack(["kick", "bass", "pad", "vox"], stems)))
        ['input', 'drums', 'bass', 'other', 'vocals']
    """
    sounds = {"input": song.audio.sum(dim=0)}
    rules = [rule_of(name) for name in song.names]
    for group in MST_GROUPS:
        chosen = [(rule.group if rule else "other") == group for rule in rules]
        sounds[group] = song.audio[torch.tensor(chosen)].sum(dim=0)
    if not all(bool(sounds[group].any()) for group in MST_GROUPS):
        sounds = {"input": sounds["input"]}
    level = normalize_loudness(sounds["input"], BUS_LUFS, sample_rate=song.sample_rate)
    gain = level.abs().max() / sounds["input"].abs().max()
    gain = min(float(gain), *(MST_PEAK / max(float(x.abs().max()), 1e-9) for x in sounds.values()))
    return {name: gain * audio for name, audio in sounds.items()}


def _mst_command(root: Path, python: str | None) -> list[str]:
    """Build its command line, but for the folder of songs."""
    if not (root / MST_SCRIPT).is_file():
        raise InputError(
            f"mst: {printable(str(root))} has no {MST_SCRIPT}: fetch github.com/jhtonyKoo/"
            "music_mixing_style_transfer and name its folder"
        )
    command = [_find_program("mst", _python_of(root) if python is None else python), MST_SCRIPT]
    for option, weights in MST_WEIGHTS.items():
        places = (*root.glob(f"weights/{weights}*"), *root.glob(f"{weights}*"))
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            raise InputError(
                f"mst: no weights {weights}*.pt in {printable(str(root))}: its README links them; put them "
                "into its folder weights"
            )
        command += [option, str(found.resolve())]
    return command


def _python_of(root: Path) -> str:
    inside = (root / name / "bin" / "python" for name in (".venv", "venv", "env"))
    return next((str(path.absolute()) for path in inside if path.exists()), sys.executable)


def _mst_mix(root: Path, python: str | None, limit_s: float, task: Task) -> torch.Tensor:
    command = _mst_command(root, python)
    if task.song.sample_rate != SAMPLE_RATE:
        raise InputError(
            f"mst works at {SAMPLE_RATE} Hz, the song has {task.song.sample_rate} Hz", about="song"
        )
    with tempfile.TemporaryDirectory(prefix="diffmst-", ignore_cleanup_errors=True) as made:
        folder = Path(made) / "song"
        folder.mkdir()
        sounds = mst_inputs(task.song)
        record = normalize_loudness(task.record, BUS_LUFS, sample_rate=task.song.sample_rate)
        record = record * min(1.0, MST_PEAK / float(record.abs().max()))
        _write_16_bit(folder / "reference.wav", record, task.song.sample_rate)
        _write_16_bit(folder / "input.wav", sounds.pop("input"), task.song.sample_rate)
        for name, audio in sounds.items():
            path = folder / MST_SEPARATED / "input" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_16_bit(path, audio, task.song.sample_rate)
        # With the slash at the end: it looks for folders of songs by this name and a star.
        said = call("mst", [*command, "--target_dir", f"{made}/"], limit_s=limit_s, folder=root)
        return read_mix("mst", [folder / name for name in MST_RESULTS], task.song, said)


def _write_16_bit(path: Path, audio: torch.Tensor, sample_rate: int) -> None:
    soundfile.write(path, audio.numpy(force=True).T, sample_rate, subtype="PCM_16")


# Running and reading


def call(name: str, command: Sequence[str], *, limit_s: float, folder: Path | None = None) -> str:
    """Run a program, and everything that it starts, for a limited time.

    Args:
        name: What messages call it.
        command: Its command line.
        limit_s: Seconds; then it is stopped with all that it started.
        folder: Where it runs; None: here.

    Returns:
        The last line of what it said.

    Raises:
        InputError: In one line, for a program that cannot be started, fails, or takes too long.
    """
    with tempfile.TemporaryFile() as said:  # a file: what it leaves running could hold a pipe open
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise InputError(f"{name} cannot be started ({why(error)}): {command[0]}") from None
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise InputError(f"{name} was stopped after {limit_s:g} s{_last_line(said.fileno())}") from None
        finally:
            _stop(process)
        line = _last_line(said.fileno())
    if status:
        how = f"ended by signal {-status}" if status < 0 else f"failed with exit code {status}"
        raise InputError(f"{name} {how}{line}")
    return line


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started: its group of processes has its number, on Windows only itself."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_line(file: int) -> str:
    """Return the last line of a file, after a colon; nothing where there is none."""
    size = os.lseek(file, 0, os.SEEK_END)
    os.lseek(file, max(0, size - 20 * SAID), os.SEEK_SET)
    lines = os.read(file, 20 * SAID).decode("utf-8", "replace").split("\n")
    lines = ["".join(c for c in " ".join(line.split()) if c.isprintable()) for line in lines]
    return next((f": {line[:SAID]}" for line in reversed(lines) if line), "")


def read_mix(name: str, paths: Sequence[Path], song: Multitrack, said: str = "") -> torch.Tensor:
    """Read the mix that a program wrote, and fit its length to the song's where it is off by a few samples.

    Args:
        name: What messages call the program.
        paths: Where it may be; the first that is there counts.
        song: The song.
        said: What the program said last, for the message about a missing file.

    Returns:
        The mix (2, num_samples).

    Raises:
        InputError: In one line, for a missing file, for one that is no audio, has no two channels, or another
            sample rate or length than the song.
    """
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise InputError(f"{name} wrote no {paths[0].name}{said}")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise InputError(f"{name} wrote no audio file ({why(error)})") from None
    if samples.shape[1] != 2:
        raise InputError(f"{name} wrote {samples.shape[1]} channels, not a stereo mix")
    if rate != song.sample_rate:
        raise InputError(f"{name} wrote a mix at {rate} Hz, the song has {song.sample_rate} Hz")
    length = song.audio.shape[-1]
    if abs(len(samples) - length) > OFF_S * rate:
        raise InputError(f"{name} wrote {len(samples) / rate:.2f} s, the song has {length / rate:.2f} s")
    fitted = np.zeros((length, 2), np.float32)
    fitted[: len(samples)] = samples[:length]
    return torch.from_numpy(fitted.T.copy())


def _fields(word: str) -> list[str]:
    """List the places in braces of a word; ValueError for others."""
    found, rest = [], word
    for place in PLACES:
        if f"{{{place}}}" in rest:
            found.append(place)
            rest = rest.replace(f"{{{place}}}", "")
    if "{" in rest or "}" in rest:
        raise ValueError(f"braces hold {', '.join(PLACES)}, nothing else")
    return found


def _fill(word: str, places: Mapping[str, Path]) -> str:
    for place, path in places.items():
        word = word.replace(f"{{{place}}}", str(path))
    return word


def _find_program(name: str, program: str) -> str:
    """Return where a program is."""
    path = shutil.which(program)
    if path is None:
        raise InputError(f"{name}: there is no program {program}")
    return str(Path(path).absolute())
