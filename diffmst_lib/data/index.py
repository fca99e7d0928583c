"""The song index: the songs of a data set with their measurements, saved as JSON. Chapter: Data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..disk import composed, why, write_whole
from ..inputs import InputError
from ..options import SPLITS
from .song_json import NOT_A_SONG, parse_json, song_from_json, song_to_json
from .songs import FoundSong, Problem, Song

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1


class SongIndex:
    """Index of the songs of a data set.

    Attributes:
        songs: Songs, sorted by name.
        problems: Files and folders that were left out, with reasons.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> [song.name for song in index.multitracks("train")]
        ['potassium']
    """

    def __init__(self, songs: Iterable[Song], problems: Iterable[Problem] = ()) -> None:
        self.songs, self.problems = sorted(songs, key=lambda song: song.name), list(problems)
        check_names(self.songs)

    def __len__(self) -> int:
        return len(self.songs)

    def __iter__(self) -> Iterator[Song]:
        return iter(self.songs)

    def __contains__(self, name: str) -> bool:
        return any(song.name == composed(name) for song in self.songs)

    def __repr__(self) -> str:
        return f"SongIndex: {len(self.multitracks())} multitracks, {len(self.references())} references"

    def __getitem__(self, name: str) -> Song:
        for song in self.songs:
            if song.name == composed(name):
                return song
        raise KeyError(f"no song {name} in this index of {len(self)}")

    def multitracks(self, split: str | None = None) -> list[Song]:
        """List the songs that have stems, of one split or of all.

        Args:
            split: "train", "validation" or "test"; None for all.

        Returns:
            Songs, sorted by name.

        Raises:
            ValueError: For another split.
        """
        return [song for song in self._songs_of(split) if song.stems]

    def references(self, split: str | None = None) -> list[Song]:
        """List the songs that have a finished stereo mix, of one split or of all.

        Args:
            split: "train", "validation" or "test"; None for all.

        Returns:
            Songs, sorted by name.

        Raises:
            ValueError: For another split.
        """
        return [song for song in self._songs_of(split) if song.mix and not song.mix.mono]

    def _songs_of(self, split: str | None) -> list[Song]:
        if split not in (None, *SPLITS):
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        return [song for song in self.songs if split in (None, song.split)]

    def to_frame(self) -> pd.DataFrame:
        """Make a table with one row per song."""
        import pandas as pd

        rows = [
            {
                "song": song.name,
                "artist": song.artist,
                "split": song.split,
                "layout": song.layout,
                "stems": len(song.stems),
                "channels": song.num_channels,
                "mix": song.mix is not None,
                "minutes": song.duration_s / 60,
                "license": song.license,
            }
            for song in self.songs
        ]
        return pd.DataFrame(rows).set_index("song") if rows else pd.DataFrame()

    def save(self, path: str | Path) -> Path:
        """Write the index as JSON, one line per song. The file is written whole or not at all.

        Args:
            path: Path of the file. Audio files below its folder are named by their relative path.

        Returns:
            Path of the file.

        Raises:
            InputError: When the file cannot be written.
        """
        path = Path(path)
        lines = ",\n".join(
            json.dumps(song_to_json(song, path.parent), ensure_ascii=False) for song in self.songs
        )
        problems = ",\n".join(json.dumps([p.path, p.reason], ensure_ascii=False) for p in self.problems)
        text = f'{{"version": {VERSION},\n"songs": [\n{lines}\n],\n"problems": [\n{problems}\n]}}\n'
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, lambda part: part.write_text(text, encoding="utf-8", errors="surrogateescape"))
        except OSError as error:
            raise InputError(f"{path}: not written ({why(error)})") from None
        return path

    @classmethod
    def load(cls, path: str | Path) -> SongIndex:
        """Read an index.

        Args:
            path: Path of the file, or of the folder that holds `index.json`.

        Returns:
            Index that the file holds.

        Raises:
            InputError: When the file is missing or is not an index.
        """
        path = index_file(path)
        if not path.is_file():
            raise InputError(f"{path}: no such index; `diffmst data index` makes one")
        try:
            content = parse_json(path.read_text(encoding="utf-8", errors="surrogateescape"))
            version = content["version"]
            if version != VERSION:
                raise InputError(f"{path}: an index of version {version}, this library reads {VERSION}")
            songs = [song_from_json(song, path.parent) for song in content["songs"]]
            problems = [Problem(file, reason) for file, reason in content["problems"]]
            if not all(isinstance(text, str) for p in problems for text in (p.path, p.reason)):
                raise ValueError("problems that are not texts")
        except InputError:
            raise
        except (OSError, *NOT_A_SONG) as error:
            raise InputError(f"{path}: not a song index ({_reason(error)[:200]})") from None
        return cls(songs, problems)


def _reason(error: Exception) -> str:
    """Say what is wrong with a file, without the words of Python for it."""
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, RecursionError):
        return "its brackets are nested too deeply"
    return "fields of a wrong kind" if isinstance(error, TypeError) else why(error)


def check_names(songs: Sequence[Song] | Sequence[FoundSong]) -> None:
    """Raise InputError when two songs have the same name."""
    twice = [name for name, count in Counter(song.name for song in songs).items() if count > 1]
    if twice:
        raise InputError(f"two songs are named {twice[0]}")


def index_file(path: str | Path) -> Path:
    """Return the path of the index in a folder, or the file itself."""
    path = Path(path)
    return path if path.suffix == ".json" else path / "index.json"
