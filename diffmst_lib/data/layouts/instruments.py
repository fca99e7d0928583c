"""Folders of instruments: which folders below a song's are parts of it. Chapter: Data."""

from __future__ import annotations

from collections.abc import Container

from ...audio.roles import is_instrument
from ...audio.song_folder import STEM_FOLDERS
from .folders import Folder, song_folder

Parts = tuple[str, ...]  # names of the folders on the way to a folder


class Tree:
    """The folders of a data set that hold audio files at any depth.

    Args:
        folders: All folders of the data set.
    """

    def __init__(self, folders: list[Folder]) -> None:
        self.with_files = {folder.parts for folder in folders if folder.audio}
        self.children: dict[Parts, set[Parts]] = {}
        for parts in self.with_files:
            for end in range(1, len(parts) + 1):
                self.children.setdefault(parts[: end - 1], set()).add(parts[:end])

    def below(self, parts: Parts) -> set[Parts]:
        """List all folders below one."""
        children = self.children.get(parts, set())
        return children.union(*map(self.below, children))

    def is_song_of_instruments(self, parts: Parts) -> bool:
        """Tell whether most folders in a folder are named like instruments, or half of them beside files."""
        children, has_files = self.children.get(parts, set()), parts in self.with_files
        named = sum(
            is_instrument(child[-1]) or (has_files and child[-1].lower() in STEM_FOLDERS)
            for child in children
        )
        return 2 * named > len(children) or bool(has_files and named and 2 * named == len(children))


def recognize_instruments(folders: list[Folder]) -> tuple[set[Parts], set[Parts]]:
    """Recognize instruments by their names.

    Args:
        folders: All folders of the data set.

    Returns:
        The folders of instruments, and the other folders beside or in them, which belong to no song.
    """
    tree = Tree(folders)
    instruments: set[Parts] = set()
    others: set[Parts] = set()
    for parts in sorted(tree.below(()), key=len):
        above = parts[:-1]
        if above in others:
            others.add(parts)
        elif above in instruments or tree.is_song_of_instruments(above):
            belongs = is_instrument(parts[-1]) or parts[-1].lower() in STEM_FOLDERS
            (instruments if belongs else others).add(parts)
    return instruments, others


def instruments_by_hand(folders: list[Folder]) -> set[Parts]:
    """List all folders below those of songs, whatever their names.

    A song is the topmost folder that holds files, or mostly folders without other folders in them.
    """
    tree, instruments, waiting = Tree(folders), set(), [()]
    while waiting:
        parts = waiting.pop()
        children = tree.children.get(parts, set())
        parts_of_it = [c for c in children if c not in tree.children or is_instrument(c[-1])]
        if parts in tree.with_files or 2 * len(parts_of_it) > len(children):
            instruments |= tree.below(parts)
        else:
            waiting += children
    return instruments


def home_of(parts: Parts, instruments: Container[Parts]) -> Parts:
    """Return the folder of the song that a folder belongs to."""
    while True:
        above = parts[:-1] if parts and parts in instruments else song_folder(parts)
        if above == parts:
            return parts
        parts = above
