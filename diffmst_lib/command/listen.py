"""`diffmst listen`: the page of a listening test, and the table of its ratings. Chapter: Results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.listening.scales import FORMATS, MOST_STIMULI
from .arguments import count, count_from_zero, folder, number

if TYPE_CHECKING:
    import pandas as pd

BUILDING = {  # options of the page, and what they are when left out
    "pages": 6,
    "systems": None,
    "seconds": 15.0,
    "title": "Listening test",
    "seed": 0,
    "format": "opus",
}


def loop_seconds(text: str) -> float:
    """Read the length of a loop, 1 to 60 s."""
    value = number(text)
    if not 1.0 <= value <= 60.0:
        raise argparse.ArgumentTypeError(f"must be a number between 1 and 60, not {text}")
    return value


def system_names(text: str) -> list[str]:
    """Read names of systems, as in "rules,small".

    Example:
        >>> system_names("rules, small,")
        ['rules', 'small']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("is empty: name systems, as in rules,small")
    return names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst listen` to its parser."""
    add = parser.add_argument
    add("folder", metavar="DIR", nargs="?", help="output folder of diffmst evaluate --keep-audio")
    add(
        "--collect",
        metavar="FILE",
        nargs="+",
        help="instead: merge files that listeners saved, or all in these folders, into one table",
    )
    add(
        "--output",
        type=folder,
        metavar="PATH",
        help="folder of the page (default: DIR/listening), or the table (default: ratings.csv)",
    )
    add(
        "--pages",
        type=count,
        metavar="N",
        help=f"pairs of song and record, at most (default: {BUILDING['pages']})",
    )
    add(
        "--systems",
        type=system_names,
        metavar="A,B",
        help="default: all of the evaluation; the anchor equal-loudness and the human mix are added, hidden; "
        f"{MOST_STIMULI} at most",
    )
    add("--seconds", type=loop_seconds, help="length of the loops; 10 to 30 are good (default: 15)")
    add("--title", help=f"heading of the page (default: {BUILDING['title']})")
    add("--seed", type=count_from_zero, help="of the draw of pairs (default: 0)")
    add(
        "--format",
        choices=FORMATS,
        help="of the sounds: small, for Firefox, Chrome, and Safari from 18.4 on; or lossless, four times as "
        "large, for all (default: opus)",
    )
    add("--quiet", action="store_true", help="no progress bar and no report")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Build the page, or collect ratings.

    Args:
        options: Options of `diffmst listen`.

    Raises:
        InputError: For what cannot be read or written, and for options that exclude each other.
    """
    from ..inputs import InputError

    given = {name: getattr(options, name) for name in BUILDING if getattr(options, name) is not None}
    if options.collect is not None:
        if options.folder or given:
            surplus = ["DIR"] * bool(options.folder) + [f"--{name}" for name in given]
            raise InputError(f"--collect takes files alone, not {', '.join(surplus)}")
        return collect(options.collect, Path(options.output or "ratings.csv"), quiet=options.quiet)
    if options.folder is None:
        raise InputError("name an evaluation's folder, or files after --collect")

    from ..evaluation.listening.building import build_page

    page = build_page(
        options.folder, output=options.output, progress=not options.quiet, **{**BUILDING, **given}
    )
    if not options.quiet:
        print(f"{page}: {page.stat().st_size / 1e6:.1f} MB, one file for all listeners")
        print("collect what they save: diffmst listen --collect FILES --output ratings.csv")


def collect(paths: list[str], output: Path, *, quiet: bool = False) -> None:
    """Write one table of all ratings, and print who listened and what they liked.

    Args:
        paths: Files that listeners saved, and folders of such files.
        output: The table, CSV.
        quiet: Whether nothing is printed.

    Raises:
        InputError: When there are no ratings, or nothing can be written.
    """
    from ..disk import output_folder, write_together
    from ..evaluation.listening.collecting import collect_ratings

    ratings = collect_ratings(paths)
    with output_folder(output.parent, (output.name,)) as place:
        write_together(place, {output.name: lambda path: ratings.to_csv(path, index=False)})
    if not quiet:
        print(report(ratings))
        print(f"{output}: {len(ratings)} ratings")


def report(ratings: pd.DataFrame) -> str:
    """Say in a few lines who listened, who would be left out by BS.1534-3, and the medians.

    Args:
        ratings: Table of `collect_ratings`.

    Returns:
        The lines.
    """
    each = ratings.drop_duplicates("listener")
    lines = [f"{len(each)} listeners, {int((~each['finished']).sum())} of them not at the end"]
    if "overall" in set(ratings["scale"]) and set(ratings["role"]) & {"human", "anchor"}:
        for rule, words in (("bs1534", "by ITU-R BS.1534-3"), ("order", "for a human mix below the anchor")):
            listeners = rule_out(ratings, rule)
            lines.append(f"left out {words}: {', '.join(listeners) or 'nobody'} (the table keeps all)")
    medians = ratings.pivot_table(index="system", columns="scale", values="rating", aggfunc="median")
    scales = list(dict.fromkeys(ratings["scale"]))
    lines.append("medians of all listeners:")
    lines.append(medians[scales].sort_values(scales[-1], ascending=False).to_string(float_format="%.0f"))
    return "\n".join(lines)


def rule_out(ratings: pd.DataFrame, rule: str) -> list[str]:
    """List the listeners whom a rule of `screen` would leave out, on the scale "overall"."""
    import warnings

    from ..evaluation.listening.screening import screen

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nobody is left can be seen
        listeners = screen(ratings, rule=rule).listeners
    return list(listeners.index[~listeners["kept"]])
