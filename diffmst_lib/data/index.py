"""The song index: what a data set holds, measured once and kept as JSON. Chapter: Data."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..disk import write_whole
from ..inputs import InputError, InputNote
from .measure import measure
from .songs import SPLITS, FoundSong, Problem, Song, Source, Track

VERSION = 1
SILENCE_DB = -120.0  # stands for silence in the file
FACTS = ("title", "artist", "split", "license", "attribution")


class SongIndex:
    """Songs of a data set: `songs`, and `problems`, what was left out and why.

    >>> import diffmst_lib as dm
    >>> index = dm.data.SongIndex.load(dm.data_dir())
    >>> [song.name for song in index.multitracks("train")]
    ['potassium']
    """

    def __init__(self, songs: list[Song], problems: Iterable[Problem] = ()):
        _check_names(songs)
        self.songs, self.problems = sorted(songs, key=lambda song: song.name), list(problems)

    def __len__(self) -> int:
        return len(self.songs)

    def __iter__(self) -> Iterator[Song]:
        return iter(self.songs)

    def __contains__(self, name: str) -> bool:
        return any(song.name == name for song in self.songs)

    def __repr__(self) -> str:
        return f"SongIndex: {len(self.multitracks())} multitracks, {len(self.references())} references"

    def __getitem__(self, name: str) -> Song:
        for song in self.songs:
            if song.name == name:
                return song
        raise KeyError(f"no song {name} in this index of {len(self)}")

    def multitracks(self, split: str | None = None) -> list[Song]:
        """Songs that have stems, of one split or of all."""
        return [song for song in self._of(split) if song.stems]

    def references(self, split: str | None = None) -> list[Song]:
        """Songs that have a finished stereo mix, of one split or of all."""
        return [song for song in self._of(split) if song.mix and not song.mix.mono]

    def _of(self, split: str | None) -> list[Song]:
        if split not in (None, *SPLITS):
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        return [song for song in self.songs if split in (None, song.split)]

    def to_frame(self) -> pd.DataFrame:
        """A table with a row a song."""
        rows = [
            {
                "song": song.name,
                "artist": song.artist,
                "split": song.split,
                "layout": song.layout,
                "stems": len(song.stems),
                "tracks": song.num_tracks,
                "mix": song.mix is not None,
                "minutes": song.duration_s / 60,
                "license": song.license,
            }
            for song in self.songs
        ]
        return pd.DataFrame(rows).set_index("song") if rows else pd.DataFrame()

    def save(self, path: str | Path) -> Path:
        """Write the index as JSON, a song a line; songs' files below its folder are named relative to it."""
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
            raise InputError(f"{path}: not written ({error.strerror or error})") from None
        return path

    @classmethod
    def load(cls, path: str | Path) -> SongIndex:
        """Read an index, the file or the folder that holds `index.json`. InputError when it is none."""
        path = index_file(path)
        if not path.is_file():
            raise InputError(f"{path}: no such index; `diffmst data index` makes one")
        try:
            content = parse(path.read_text(encoding="utf-8", errors="surrogateescape"))
            version = content["version"]
            if version != VERSION:
                raise InputError(f"{path}: an index of version {version}, this library reads {VERSION}")
            songs = [song_from_json(song, path.parent) for song in content["songs"]]
            problems = [Problem(where, why) for where, why in content["problems"]]
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a song index ({type(error).__name__}: {error})") from None
        return cls(songs, problems)


def _check_names(songs: list[Song] | list[FoundSong]) -> None:
    twice = [name for name, count in Counter(song.name for song in songs).items() if count > 1]
    if twice:
        raise InputError(f"two songs are named {twice[0]}")


def index_file(path: str | Path) -> Path:
    """The index that a folder holds, or the file itself."""
    path = Path(path)
    return path if path.suffix == ".json" else path / "index.json"


def build_index(
    found: list[FoundSong],
    output: str | Path,
    *,
    problems: Iterable[Problem] = (),
    workers: int | None = None,
    progress: bool = False,
) -> SongIndex:
    """Measure songs and write their index to `output`, a .json file or a folder for `index.json`.

    Songs whose files have not changed since an earlier run, finished or interrupted, are not read again. Broken files
    are listed in `problems` of the index; a song without any usable file is left out. `workers` threads decode, as many
    as there are cores by default. Splits that no list has given come from `split_of`.

    Raises InputError when nothing can be written, or when no song is left.
    """
    _check_names(found)
    output = index_file(output)
    journal = output.with_name(
        f".{output.name}.part"
    )  # songs measured so far: an interrupted run goes on from there
    known, songs, problems = _known(output, journal), [], list(problems)
    _allow_open_files(4096)  # every stem of a song is open while it is measured
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            open(journal, "a", encoding="utf-8", errors="surrogateescape") as measured,
            ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
        ):
            measured.write("\n")  # whatever a killed run has left ends here
            jobs = [pool.submit(_measured, song, known, output.parent) for song in found]
            try:
                for job in tqdm(as_completed(jobs), total=len(jobs), unit="song", disable=not progress):
                    song, broken = job.result()
                    problems += broken
                    if song:
                        songs.append(song)
                        measured.write(
                            json.dumps(song_to_json(song, output.parent), ensure_ascii=False) + "\n"
                        )
                        measured.flush()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except OSError as error:
        raise InputError(f"{output}: not written ({error.strerror or error})") from None
    if not songs:
        journal.unlink(missing_ok=True)
        reasons = "; ".join(f"{p.path}: {p.reason}" for p in problems[:3])
        raise InputError(f"{output}: no song could be used ({reasons or 'none found'})")
    index = SongIndex(songs, sorted(problems, key=lambda problem: problem.path))
    index.save(output)
    journal.unlink(missing_ok=True)
    _tell_of_artists(index)
    return index


def _allow_open_files(count: int) -> None:
    with suppress(ImportError, OSError, ValueError):  # not on Windows, or not allowed
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _tell_of_artists(index: SongIndex) -> None:
    splits, spelled = {}, {}
    for song in index:
        if song.artist:
            splits.setdefault(letters(song.artist), set()).add(song.split)
            spelled.setdefault(letters(song.artist), song.artist)
    several = sorted(spelled[artist] for artist, found in splits.items() if len(found) > 1)
    if several:
        names = ", ".join(several[:5]) + (f" and {len(several) - 5} more" if len(several) > 5 else "")
        warnings.warn(f"in more than one split, by a list: {names}", InputNote, stacklevel=3)


def with_facts(found: list[FoundSong], path: str | Path) -> list[FoundSong]:
    """Songs with what a JSON file {song: {title, artist, split, license, attribution}} knows better than the folders.

    So published splits and licenses get into an index. Raises InputError when the file is none, for songs that are not
    there and for facts that no song has.
    """
    try:
        about = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'not JSON'}") from None
    if not isinstance(about, dict) or not all(isinstance(facts, dict) for facts in about.values()):
        raise InputError(f"{path}: must be JSON {{song: {{fact: text}}}}")
    about = {_composed(name): facts for name, facts in about.items()}
    names = {_composed(song.name) for song in found}
    for name, facts in about.items():
        if name not in names:
            raise InputError(f"{path}: no song is named {name}")
        wrong = [key for key, value in facts.items() if key not in FACTS or not isinstance(value, str)]
        if facts.get("split", "train") not in SPLITS:
            wrong.append("split")
        if wrong:
            raise InputError(
                f"{path}: {name} has {wrong[0]} {facts[wrong[0]]!r}; "
                f"known are {', '.join(FACTS)}, and the splits {', '.join(SPLITS)}"
            )
    return [replace(song, **about.get(_composed(song.name), {})) for song in found]


def _composed(name: str) -> str:
    """An "é" is one character in some file systems and two in others."""
    return unicodedata.normalize("NFC", name)


def _measured(song: FoundSong, known: dict[str, Song], root: Path) -> tuple[Song | None, list[Problem]]:
    about = {
        "name": song.name,
        "title": song.title,
        "layout": song.layout,
        "artist": song.artist,
        "license": song.license,
        "attribution": song.attribution,
        "split": song.split or split_of(song.artist or song.title),
    }
    sources, problems = _files(song)
    signature = _signature(sources, root)
    if signature in known and not problems:
        return replace(known[signature], **about), []
    mix_source = sources.pop(None, None)
    stems, power_db, broken = measure(sources)
    mix, problems = None, problems + broken
    if mix_source:
        mixes, mix_power_db, broken = measure({"mix": mix_source})
        problems += broken
        if mixes:
            mix, power_db = mixes[0], mix_power_db
    if not stems and not mix:
        return None, problems
    signature = "" if problems else signature  # what was broken is looked at again next time
    return Song(**about, stems=stems, mix=mix, power_db=power_db, signature=signature), problems


def _known(output: Path, journal: Path) -> dict[str, Song]:
    """Songs of an earlier index and of an interrupted run, by signature."""
    songs = []
    with suppress(InputError):
        songs += SongIndex.load(output).songs
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
            with suppress(ValueError, KeyError, TypeError):  # the last line of a killed run may be cut
                songs.append(song_from_json(parse(line), journal.parent))
    return {song.signature: song for song in songs if song.signature}


def _files(song: FoundSong) -> tuple[dict[str | None, Source], list[Problem]]:
    """The song's files that are there, the mix under None; what is no file, such as a link to nothing, is a problem."""
    sources, problems = dict(sorted(song.stems.items())), []
    if song.mix:
        sources[None] = song.mix
    for name, source in list(sources.items()):
        try:
            if not stat.S_ISREG(os.stat(source.path).st_mode):
                raise OSError("not a file")
        except OSError as error:
            problems.append(Problem(str(source.path), error.strerror or str(error)))
            del sources[name]
    return sources, problems


def _signature(sources: dict[str | None, Source], root: Path) -> str:
    """Changes with the names, sizes and dates of the files."""
    facts = []
    for name, source in sources.items():
        status = os.stat(source.path)
        facts.append(
            [VERSION, name, _relative(source.path, root), source.stream, status.st_size, status.st_mtime_ns]
        )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def split_of(name: str) -> str:
    """The split of an artist, or of a song whose artist nobody knows: 80 % train, 10 % validation, 10 % test.

    It depends on `letters` of the name alone: not on the data set, its order or its size. So "A Classic Education" of one
    data set and "AClassicEducation" of another share a split, and an artist and the same one "feat." a guest.

    >>> split_of("A Classic Education") == split_of("AClassicEducation")
    True
    """
    digest = hashlib.sha256(letters(name).encode("utf-8", "surrogateescape")).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if share < 0.8 else "validation" if share < 0.9 else "test"


def letters(name: str) -> str:
    """What two spellings of one name share: no case, accents, spaces, punctuation or guests.

    >>> letters("Triviul feat. The Fiend")
    'triviul'
    """
    name = re.split(r"[\s_(]+(?:feat|ft|featuring)\b", name.casefold())[0] or name
    return "".join(c for c in unicodedata.normalize("NFKD", name) if c.isalnum()) or name


def song_to_json(song: Song, root: Path) -> dict:
    """A song as an index writes it, files below `root` by their relative path."""

    def track(t: Track) -> dict:
        return {
            "name": t.name,
            "path": _relative(t.source.path, root),
            "stream": t.source.stream,
            "sample_rate": t.sample_rate,
            "num_samples": t.num_samples,
            "channels": t.channels,
            "mono": t.mono,
            "peak": round(t.peak, 6),
            "gain": t.gain,
            "loudness_lufs": _numbers(t.loudness_lufs),
        }

    return vars(song) | {
        "stems": [track(stem) for stem in song.stems],
        "mix": song.mix and track(song.mix),
        "power_db": _numbers(song.power_db),
    }


def _numbers(levels_db: np.ndarray) -> list[float]:
    """Rounded, and nothing below -120 dB: that is silence, or what a filter left of it."""
    return np.maximum(levels_db, SILENCE_DB).astype(np.float64).round(1).tolist()


def parse(text: str) -> dict:
    """JSON with its levels as arrays, one song at a time: the lists of a large index would take gigabytes."""

    def compact(content: dict) -> dict:
        for key in content.keys() & {"loudness_lufs", "power_db"}:
            values = np.array(content[key], np.float32)
            content[key] = np.where(values <= SILENCE_DB, -np.inf, values)
        return content

    return json.loads(text, object_hook=compact)


def song_from_json(content: dict, root: Path) -> Song:
    """The song again, of parsed JSON. ValueError, KeyError or TypeError for what is none."""

    def track(t: dict) -> Track:
        facts = dict(t)
        source = Source(root / facts.pop("path"), facts.pop("stream"))
        return Track(source=source, **facts)

    song = Song(
        **content
        | {
            "stems": [track(stem) for stem in content["stems"]],
            "mix": content["mix"] and track(content["mix"]),
        }
    )
    texts = (song.name, song.title, song.artist, song.layout, song.license, song.attribution)
    if song.split not in SPLITS or not all(isinstance(text, str) for text in texts) or not song.tracks:
        raise ValueError(f"song {song.name!r} of split {song.split!r} with {len(song.tracks)} tracks")
    for t in song.tracks:
        if not all(isinstance(n, int) and n > 0 for n in (t.sample_rate, t.num_samples, t.channels)):
            raise ValueError(
                f"track {t.name!r} of {song.name!r} has {t.num_samples!r} samples at {t.sample_rate!r} Hz"
            )
    return song


def _relative(path: str | Path, root: Path) -> str:
    """POSIX path below `root`, or the absolute one."""
    path, root = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
