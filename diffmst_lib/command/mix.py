"""`diffmst mix`: stems and a reference in, a stereo mix and console settings out. Chapter: A first mix."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import SAMPLE_RATE
from .delivery import add_delivery_arguments, at_level, save_options
from .device import add_device_arguments, chosen_device
from .mix_options import add_method_arguments, chosen_method, chosen_settings
from .references import add_reference_arguments, asked_references, load_references, reference_paths
from .roles import add_role_arguments, set_roles
from .sections import add_sections_arguments
from .session import (
    add_output_arguments,
    add_song_arguments,
    files_named,
    keep_earlier_stems,
    keep_the_users_files,
    print_mix,
    tell_limits,
)

if TYPE_CHECKING:
    from ..audio.multitrack import Multitrack
    from ..mixing.references import References
    from ..mixing.result import MixResult
    from ..model import DiffMST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst mix` to its parser."""
    add_song_arguments(parser)
    add_reference_arguments(parser)
    add_method_arguments(parser)
    add_role_arguments(parser)
    add_sections_arguments(parser)
    add_output_arguments(parser)
    add_delivery_arguments(parser)
    add_device_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Mix a song. All input is read and checked before anything is written.

    Args:
        options: Options of `diffmst mix`.

    Raises:
        InputError: For bad input, in one line that begins with the name of the file.
    """
    from ..audio.loudness import MIX_LUFS
    from ..audio.stems import load_multitrack
    from ..disk import output_folder
    from ..mixing.parts import check_amount
    from ..mixing.saving import save_result, saved_files
    from ..model import DiffMST
    from .memory import keep_freed_memory

    keep_freed_memory()
    method = chosen_method(options)
    check_amount(1.0 if options.amount is None else options.amount)
    asked = asked_references(options)
    paths = [one.path for one in asked]
    keep_the_users_files(options, paths, options.format)
    model, device = None, chosen_device(options)
    if method == "model":
        model = DiffMST.from_pretrained("small" if options.model is None else options.model).to(device)
    rate = model.config.sample_rate if model else SAMPLE_RATE
    song = load_multitrack(
        options.tracks, sample_rate=rate, layout=options.layout, timestamps=options.timestamps
    )
    record = load_references(asked, sample_rate=rate)
    keep_earlier_stems(options, song, options.format)
    names = {"song": options.tracks, **reference_paths(asked)}
    with output_folder(options.output, saved_files(options.format)) as output, files_named(names, song):
        set_roles(song, options)
        _tell_earlier_mixes(paths)
        result = at_level(_mix(song, record, method, model, options), options, MIX_LUFS)
        report = result.report()
        keep_the_users_files(options, paths, options.format)  # others may have written there in the meantime
        saved = save_result(
            result, output, stems=options.stems, embed=options.embed, report=report, **save_options(options)
        )
    tell_limits(saved)
    if not options.quiet:
        print_mix(result, report, saved)


def _mix(
    song: Multitrack,
    record: References | None,
    method: str,
    model: DiffMST | None,
    options: argparse.Namespace,
) -> MixResult:
    from ..mixing.baselines import equal_loudness
    from ..mixing.optimize import optimize_mix

    if method == "equal-loudness" or record is None:
        return equal_loudness(song, reference=record)
    chosen = chosen_settings(options, song)
    if model:
        return model.mix(song, record, **chosen)
    return optimize_mix(song, record, device=options.device, **chosen)


def _tell_earlier_mixes(references: Sequence[str]) -> None:
    """Name references that are no records but mixes that were made here."""
    from ..audio.delivery import MIX_FILES
    from ..audio.song_folder import is_earlier_mix
    from ..inputs import note

    for path in map(Path, references):
        if path.name in MIX_FILES and is_earlier_mix(os.listdir(path.parent)):
            note(f"{path}: the reference is no record but an earlier mix: params.json lies beside it")
