"""Building of a song index. An interrupted run can be continued. Chapter: Data."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import as_completed
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from tqdm.auto import tqdm

from ..audio.decoding import AudioFile
from ..audio.remarks import few
from ..audio.roles import side_of
from ..audio.stem_sound import SAME_S, streams_in
from ..disk import composed, why
from ..inputs import InputError, note
from ..options import SPLITS
from .index import VERSION, SongIndex, check_names, index_file
from .measure import measure
from .names import letters, split_of
from .song_json import NOT_A_SONG, as_saved, parse_json, relative_path, song_from_json, song_to_json
from .songs import FoundSong, Problem, Song, Source, Track
from .threads import thread_pool

# What is told of the files of songs, once for all of them.
STREAMS = "only the first stream of a file is used, the others are left out"
SHORT = "padded with silence to the length of the other side of their stereo stem"
ALONE = "named like one side of a stereo stem, taken for a mono stem"
KINDS = (STREAMS, SHORT, ALONE)
FACTS = ("title", "artist", "split", "license", "attribution")


def build_index(
    songs: list[FoundSong],
    output: str | Path,
    *,
    problems: Iterable[Problem] = (),
    workers: int | None = None,
    progress: bool = False,
) -> SongIndex:
    """Measure songs and write their index.

    Songs whose files have not changed since an earlier run, finished or interrupted, are not read again.
    Broken files are listed in `problems` of the index. A song without any usable file is left out. Where no
    published list gives a song's split, `split_of` computes it.

    Args:
        songs: Songs from `find_songs`.
        output: Path of a .json file, or of a folder for `index.json`.
        problems: Files and folders that were left out before. The index lists them, too.
        workers: Number of threads that decode. Default: the number of cores.
        progress: Whether to show a progress bar.

    Returns:
        Index of the songs.

    Raises:
        InputError: When nothing can be written, two songs have the same name, or no song is left.
    """
    check_names(songs)
    output = index_file(output)
    # The songs measured so far, so that an interrupted run can be continued.
    journal = output.with_name(f".{output.name}.part")
    known, indexed, problems = _known_songs(output, journal), [], list(problems)
    told: dict[str, list[str]] = {kind: [] for kind in KINDS}
    _allow_open_files(4096)  # every stem of a song is open while it is measured
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            open(journal, "a", encoding="utf-8", errors="surrogateescape") as measured,
            thread_pool(workers) as pool,
        ):
            measured.write("\n")  # ends a line that a killed run left unfinished
            jobs = [pool.submit(_measured_song, song, known, output.parent, told) for song in songs]
            for job in tqdm(as_completed(jobs), total=len(jobs), unit="song", disable=not progress):
                song, broken = job.result()
                problems += broken
                if song:
                    indexed.append(song)
                    line = json.dumps(song_to_json(song, output.parent), ensure_ascii=False)
                    measured.write(line + "\n")
                    measured.flush()
    except OSError as error:
        raise InputError(f"{output}: not written ({why(error)})") from None
    if not indexed:
        journal.unlink(missing_ok=True)
        reasons = "; ".join(f"{p.path}: {p.reason}" for p in problems[:3])
        raise InputError(f"{output}: no song could be used ({reasons or 'none found'})")
    index = SongIndex(indexed, sorted(problems, key=lambda problem: problem.path))
    index.save(output)
    journal.unlink(missing_ok=True)
    for kind, names in told.items():
        if names:
            note(f"{kind}: {few(sorted(names))}")
    several = _artists_in_several_splits(index)
    if several:
        note(f"in more than one split, by a list: {few(several)}")
    return index


def _allow_open_files(count: int) -> None:
    with suppress(ImportError, OSError, ValueError):  # not on Windows, or not allowed
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _artists_in_several_splits(index: SongIndex) -> list[str]:
    splits: dict[str, set[str]] = {}
    spelled: dict[str, str] = {}
    for song in index:
        if song.artist:
            splits.setdefault(letters(song.artist), set()).add(song.split)
            spelled.setdefault(letters(song.artist), song.artist)
    return sorted(spelled[artist] for artist, of_artist in splits.items() if len(of_artist) > 1)


def _measured_song(
    song: FoundSong, known: dict[str, Song], root: Path, told: dict[str, list[str]]
) -> tuple[Song | None, list[Problem]]:
    """Measure a song, unless it is known. Return None where none of its files can be used.

    What is not quite as it seems is added to `told`, by its kind.
    """
    facts = {
        "name": song.name,
        "title": song.title,
        "layout": song.layout,
        "artist": song.artist,
        "license": song.license,
        "attribution": song.attribution,
        "split": song.split or split_of(song.artist or song.title),
    }
    sources, problems = _files_of(song)
    signature = _signature(sources, root)
    if signature in known and not problems:
        return replace(known[signature], **facts), []
    told[STREAMS] += _several_streams(sources.values())
    told[SHORT] += _short_sides(sources.values())
    mix_source = sources.pop(None, None)
    stems, power_db, broken = measure(sources)
    told[ALONE] += [str(one.source.path) for one in stems if one.channels == 1 and _is_side_alone(one)]
    mix, problems = None, problems + broken
    if mix_source:
        mixes, mix_power_db, broken = measure({"mix": mix_source})
        problems += broken
        if mixes:
            mix, power_db = mixes[0], mix_power_db
    if not stems and not mix:
        return None, problems
    for track in (*stems, *([mix] if mix else [])):
        track.loudness_lufs = as_saved(track.loudness_lufs)
    signature = "" if problems else signature  # the next run tries broken files again
    return Song(**facts, stems=stems, mix=mix, power_db=as_saved(power_db), signature=signature), problems


def _known_songs(output: Path, journal: Path) -> dict[str, Song]:
    """Read the songs of an earlier index and of an interrupted run, by signature."""
    songs = []
    with suppress(InputError):
        songs += SongIndex.load(output).songs
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
            with suppress(*NOT_A_SONG):  # the last line of a killed run may be cut
                songs.append(song_from_json(parse_json(line), journal.parent))
    return {song.signature: song for song in songs if song.signature}


def _files_of(song: FoundSong) -> tuple[dict[str | None, Source], list[Problem]]:
    """List the files of a song that exist, the mix under None. Anything that is not a file is a problem."""
    sources: dict[str | None, Source] = dict(sorted(song.stems.items()))
    problems = []
    if song.mix:
        sources[None] = song.mix
    for name, source in list(sources.items()):
        paths = []
        for path in source.paths:
            try:
                if not stat.S_ISREG(os.stat(path).st_mode):
                    raise OSError("not a file")
                paths.append(path)
            except OSError as error:
                problems.append(Problem(str(path), why(error)))
        if not paths:
            del sources[name]
        elif len(paths) < len(source.paths):
            sources[name] = replace(source, path=paths[0], right=None)
        elif source.right and not _are_mono(paths):  # two stems that are only named like sides
            del sources[name]
            for path in paths:
                side = path.stem.removeprefix((side_of(path.stem) or (path.stem,))[0])
                sources[f"{name}{side}"] = replace(source, path=path, right=None)
    return sources, problems


def _are_mono(paths: list[Path]) -> bool:
    """Tell whether files have one channel; one that cannot be read is told later."""
    try:
        with ExitStack() as opened:
            return all(opened.enter_context(AudioFile(path)).channels == 1 for path in paths)
    except (ValueError, OSError):
        return False


def _several_streams(sources: Iterable[Source]) -> list[str]:
    """List the files with streams that no source uses."""
    used = Counter(path for source in sources for path in source.paths)
    return [str(path) for path, count in used.items() if streams_in(path) > count]


def _short_sides(sources: Iterable[Source]) -> list[str]:
    """List the files of stereo stems that are shorter than the other side, as their headers say."""
    short = []
    for source in sources:
        if source.right:
            with suppress(ValueError, OSError), ExitStack() as opened:
                lengths = [opened.enter_context(AudioFile(path)).expected_s for path in source.paths]
                if all(lengths) and abs(lengths[0] - lengths[1]) > SAME_S:
                    short.append(str(source.paths[lengths.index(min(lengths))]))
    return short


def _is_side_alone(track: Track) -> bool:
    return track.source.right is None and side_of(track.name) is not None


def _signature(sources: dict[str | None, Source], root: Path) -> str:
    """Compute a text that changes with the names, sizes and dates of the files."""
    facts = []
    for name, source in sources.items():
        placed = [source.delay_s] if source.delay_s else []
        for path in source.paths:
            status, known_as = os.stat(path), relative_path(path, root)
            facts.append(
                [VERSION, name, known_as, source.stream, status.st_size, status.st_mtime_ns, *placed]
            )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def with_facts(songs: list[FoundSong], path: str | Path) -> list[FoundSong]:
    """Set facts of songs from a list, such as published splits and licenses.

    Args:
        songs: Songs from `find_songs`.
        path: Path of a JSON file {song: {title, artist, split, license, attribution}}. All facts are
            optional.

    Returns:
        Songs with these facts.

    Raises:
        InputError: When the file is not such a list, and for unknown songs and facts.
    """
    try:
        facts_of = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {why(error)}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON") from None
    if not isinstance(facts_of, dict) or not all(isinstance(facts, dict) for facts in facts_of.values()):
        raise InputError(f"{path}: must be JSON {{song: {{fact: text}}}}")
    facts_of = {composed(name): facts for name, facts in facts_of.items()}
    names = {composed(song.name) for song in songs}
    for name, facts in facts_of.items():
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
    return [replace(song, **facts_of.get(composed(song.name), {})) for song in songs]
