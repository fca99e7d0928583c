"""`diffmst mix`: stems and a reference in, a stereo mix and console settings out. Chapter: A first mix."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import SAMPLE_RATE
from .arguments import amount, count, count_from_zero, file, folder, number_from_zero, seconds, stem_names

if TYPE_CHECKING:
    import torch

    from ..audio.multitrack import Multitrack
    from ..mixing.report import Report
    from ..mixing.result import MixResult
    from ..model import DiffMST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst mix` to its parser."""
    add = parser.add_argument
    add("tracks", type=folder, metavar="TRACKS_DIR", help="folder with one audio file a stem, mono or stereo")
    add(
        "--layout",
        choices=("auto", "instruments", "folders"),
        default="auto",
        help="folders in TRACKS_DIR: instruments where their names say so (default), all are, or none is",
    )
    add(
        "--timestamps",
        action="store_true",
        help="place stems where the time stamps of their files say (Broadcast WAV), not all at 0",
    )
    add("--reference", type=file, metavar="FILE", help="stereo mix whose style to take")
    add(
        "--output",
        type=folder,
        metavar="DIR",
        required=True,
        help="folder for mix.wav, params.json, params.csv, report.json",
    )
    add(
        "--method",
        choices=("model", "optimize", "equal-loudness"),
        help="ask a network (default with --model), fit the console to the reference (default without), "
        "or the baseline without a reference",
    )
    add(
        "--model",
        type=folder,
        metavar="small|PATH",
        help="the network: small, or a folder made by save_pretrained",
    )
    add(
        "--refine",
        type=count_from_zero,
        metavar="STEPS",
        help="gradient steps that continue from the network's console (default: none)",
    )
    add("--steps", type=count, help="gradient steps of optimize (default: 200)")
    add(
        "--fit-seconds",
        type=seconds,
        help="fit on the loudest window of this length; the whole song is rendered (default: 15)",
    )
    add(
        "--keep",
        type=number_from_zero,
        metavar="PULL",
        help="how strongly the fit and --refine are pulled towards their start: 0 not at all, as in the paper, "
        "2 twice as strongly as by default (default: 1). Of a network without --refine 0 takes the console as it "
        "is, also where it leads farther from the reference than the plain sum of the stems",
    )
    add(
        "--lock",
        type=stem_names,
        action="append",
        metavar="NAMES",
        help="stems and knobs that stay as delivered, as in vox_lead,kick.pan,master_bus.ratio",
    )
    add(
        "--amount",
        type=amount,
        metavar="SHARE",
        help="how far to go from the song as delivered to what was found, 0 to 1, for all or by aspect as in "
        "balance=0,tone=1,dynamics=0.5,image=1 (default: 1)",
    )
    add(
        "--balance",
        choices=("delivered", "equal"),
        help="start from the stems at the levels that they have (default), or all equally loud, for raw "
        "recordings",
    )
    add(
        "--center",
        metavar="NAMES",
        help="in a song of mono stems, those that start in the middle (default: the low end, and names that "
        "say lead voice, kick, bass, snare)",
    )
    add(
        "--stems", action="store_true", help="write DIR/stems as well: each stem as it reaches the master bus"
    )
    add("--overwrite", action="store_true", help="replace the files of an earlier mix in DIR")
    add("--quiet", action="store_true", help="no progress bar and no report")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Mix a song. All input is read and checked before anything is written.

    Args:
        options: Options of `diffmst mix`.

    Raises:
        InputError: For bad input, in one line that begins with the name of the file.
    """
    from ..audio.loading import load_audio
    from ..audio.stems import load_multitrack
    from ..disk import output_folder
    from ..mixing.parts import check_amount
    from ..mixing.result import FILES
    from ..model import DiffMST
    from .memory import keep_freed_memory

    keep_freed_memory()
    method = _method(options)
    check_amount(1.0 if options.amount is None else options.amount)
    _keep_the_users_files(options)
    model = None
    if method == "model":
        model = DiffMST.from_pretrained("small" if options.model is None else options.model)
    rate = model.config.sample_rate if model else SAMPLE_RATE
    song = load_multitrack(
        options.tracks, sample_rate=rate, layout=options.layout, timestamps=options.timestamps
    )
    reference = load_audio(options.reference, sample_rate=rate) if options.reference else None
    _keep_earlier_stems(options, song)
    with output_folder(options.output, FILES) as output, _files_named(options, song):
        if reference is not None:
            _tell_earlier_mix(options.reference)
        result = _mix(song, reference, method, model, options)
        report = result.report()
        _keep_the_users_files(options)  # others may have written there in the meantime
        result.save(output, stems=options.stems, report=report)
    if not options.quiet:
        _print(result, report, output, options.stems)


def _mix(
    song: Multitrack,
    reference: torch.Tensor | None,
    method: str,
    model: DiffMST | None,
    options: argparse.Namespace,
) -> MixResult:
    from ..mixing.baselines import equal_loudness
    from ..mixing.optimize import optimize_mix

    if method == "equal-loudness":
        return equal_loudness(song, reference=reference)
    given = {
        "steps": options.steps,
        "refine_steps": options.refine,
        "fit_seconds": options.fit_seconds,
        "keep": options.keep,
        "lock": None if options.lock is None else _names(options.lock, song),
        "amount": options.amount,
        "balance": options.balance,
        "center": None if options.center is None else _names([options.center], song),
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    chosen["progress"] = not options.quiet
    return model.mix(song, reference, **chosen) if model else optimize_mix(song, reference, **chosen)


def _names(texts: Sequence[str], song: Multitrack) -> list[str]:
    """Split texts at commas, but for those that are a stem's name or a knob's as they are."""
    names = []
    for text in texts:
        whole = text in song.names or text.rpartition(".")[0] in song.names
        names += [text] if whole else [part.strip() for part in text.split(",") if part.strip()]
    return names


@contextmanager
def _files_named(options: argparse.Namespace, song: Multitrack) -> Iterator[None]:
    """Put the name of the file in front of an error about the song or the reference."""
    from ..inputs import InputError

    try:
        yield
    except InputError as error:
        path = {"song": options.tracks, "reference": options.reference}.get(error.about)
        if not path:
            raise
        raise InputError(f"{path}: {str(error).removeprefix(f'{song.title}: ')}", about=error.about) from None


def _method(options: argparse.Namespace) -> str:
    """Return the chosen method, or the one that the other options imply. Refuse options of another method."""
    from ..inputs import InputError

    asks_model = options.model is not None or options.refine is not None
    method = options.method or ("model" if asks_model else "optimize")
    fits = method == "optimize" or (method == "model" and options.refine)
    allowed = {
        "model": method == "model",
        "refine": method == "model",
        "steps": method == "optimize",
        "fit-seconds": fits,
        "keep": fits or (method == "model" and options.keep == 0),
        **dict.fromkeys(("lock", "amount", "balance", "center"), method != "equal-loudness"),
    }
    for name, allow in allowed.items():
        if getattr(options, name.replace("-", "_")) is not None and not allow:
            without = " without --refine" if name in ("fit-seconds", "keep") and method == "model" else ""
            but = ", but for 0" if name == "keep" and without else ""
            raise InputError(f"--{name} has no meaning with --method {method}{without}{but}")
    if not options.reference and method != "equal-loudness":
        raise InputError(f"--method {method} needs a --reference")
    return method


def _keep_the_users_files(options: argparse.Namespace) -> None:
    """Refuse an output folder with an earlier mix, or in which a stem or the reference would be overwritten."""
    from ..inputs import InputError
    from ..mixing.result import FILES, STEMS

    # realpath, since resolve() fails on a link to itself
    output = Path(os.path.realpath(options.output))
    stems = [output / STEMS] if options.stems else []
    if Path(os.path.realpath(options.tracks)) in [output, *stems]:
        raise InputError(f"{options.tracks}: holds the stems, choose another folder for the mix")
    if options.reference:
        reference = Path(os.path.realpath(options.reference))
        if reference in [output / name for name in FILES] or reference.parent in stems:
            raise InputError(
                f"{options.reference}: the reference would be overwritten, choose another output folder"
            )
    _refuse_earlier(options, FILES)


def _keep_earlier_stems(options: argparse.Namespace, song: Multitrack) -> None:
    """Refuse a folder with stems of an earlier mix, or name those that stay beside a new mix."""
    from ..audio.remarks import few
    from ..inputs import note
    from ..mixing.result import FX_RETURN, STEMS
    from ..mixing.stem_files import file_names

    files = [f"{name}.wav" for name in file_names([*song.names, FX_RETURN])] if options.stems else []
    _refuse_earlier(options, [f"{STEMS}/{file}" for file in files])
    there = sorted(path.name for path in Path(options.output, STEMS).glob("*.wav"))
    if Path(options.output, "params.json").exists() and (
        left := [file for file in there if file not in files]
    ):
        note(f"{Path(options.output, STEMS)}: stems that are not of this mix stay there: {few(left)}")


def _refuse_earlier(options: argparse.Namespace, files: Sequence[str]) -> None:
    from ..audio.remarks import few
    from ..inputs import InputError

    output = Path(options.output)
    there = [file for file in files if os.path.lexists(output / file) and not (output / file).is_dir()]
    if there and not options.overwrite:
        raise InputError(
            f"{output}: holds {few(there)}; replace with --overwrite, or name another folder for the mix"
        )


def _tell_earlier_mix(reference: str) -> None:
    """Name a reference that is no record but a mix that was made here."""
    from ..audio.song_folder import is_earlier_mix
    from ..inputs import note

    path = Path(reference)
    if path.name == "mix.wav" and is_earlier_mix(os.listdir(path.parent)):
        note(f"{path}: the reference is no record but an earlier mix: params.json lies beside it")


def _print(result: MixResult, report: Report, output: Path, stems: bool) -> None:
    from ..mixing.result import FILES, STEMS

    song, peak = result.song, result.audio.abs().max().item()
    stems_of_song = f"{len(song.names)} stem{'s' if len(song.names) > 1 else ''}"
    print(
        f"{stems_of_song}, {song.duration_s:.1f} s, {result.loudness_lufs:.1f} LUFS, peak {peak:.2f}"
        + (" (above full scale: kept, the file is 32-bit float)" if peak > 1 else "")
    )
    if result.history is not None:
        total = result.history["total"]
        best = (total + result.history["pull"]).idxmin()
        print(f"fit: audio-feature loss {total.iloc[0]:.4f} -> {total[best]:.4f}")
    if result.loss is not None:
        print(f"whole mix: audio-feature loss {result.loss['total']:.4f}")
    print(f"\n{report}\n")
    print(f"written: {output}/" + ", ".join([*FILES, *([f"{STEMS}/"] if stems else [])]))
