"""Options that say what stems are. Chapter: Mix your own song."""

from __future__ import annotations

import argparse
import unicodedata
from typing import TYPE_CHECKING

from ..audio.roles import ROLES
from ..inputs import InputError

if TYPE_CHECKING:
    from ..audio.multitrack import Multitrack


def add_role_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--role` to a parser; `set_roles` reads it."""
    parser.add_argument(
        "--role",
        type=role_of_stem,
        action="append",
        metavar="STEM=ROLE",
        help=f"what a stem is, where its name and its sound do not say it: {', '.join(ROLES)}; once for each stem",
    )


def role_of_stem(text: str) -> tuple[str, str]:
    """Read a stem's name and its role.

    Args:
        text: Text of the argument. The name may hold "=".

    Returns:
        The name and the role.

    Raises:
        argparse.ArgumentTypeError: For anything else.

    Example:
        >>> role_of_stem("take=2 = Voice")
        ('take=2', 'voice')
    """
    name, equals, role = text.rpartition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"must be a stem and its role, as in x1=voice, not {text}")
    if role.strip().lower() not in ROLES:
        raise argparse.ArgumentTypeError(f"the role of a stem is one of {', '.join(ROLES)}, not {role}")
    return unicodedata.normalize("NFC", name.strip()), role.strip().lower()


def set_roles(song: Multitrack, options: argparse.Namespace) -> None:
    """Write the roles that `--role` names into `song.roles`, before all else is done with the song.

    Args:
        song: The stems.
        options: Options of a command.

    Raises:
        InputError: About the "song", for a stem that is not there or is named twice.
    """
    by_name = {unicodedata.normalize("NFC", name): name for name in song.names}
    for name, role in options.role or []:
        if name not in by_name:
            raise InputError(f"--role names no stem {name}: there are {', '.join(song.names)}", about="song")
        if song.roles.get(by_name[name], role) != role:
            raise InputError(f"--role names {name} twice", about="song")
        song.roles[by_name[name]] = role
