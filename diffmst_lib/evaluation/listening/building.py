"""The page of a listening test: one file that needs no server, no network and no other file. Chapter: Results."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ...disk import output_folder, write_together
from ...inputs import InputError, note
from .clips import ENCODINGS, Clip, common_lufs, encode, pair_clips
from .pairs import chosen_pairs, chosen_systems, kept_pairs
from .scales import FORMATS, LUFS, as_data, role

PAGE = "index.html"
PARTS = Path(__file__).parent / "page"
SCRIPTS = ("keeping.js", "player.js", "headphones.js", "elements.js", "rating.js", "steps.js", "page.js")
SECONDS = (1.0, 60.0)
GOOD_SECONDS = 10.0  # a loop below tells little about a mix
LARGE_MB = 60


def build_page(
    folder: str | Path,
    *,
    output: str | Path | None = None,
    pages: int = 6,
    systems: Sequence[str] | None = None,
    seconds: float = 15.0,
    title: str = "Listening test",
    seed: int = 0,
    format: str = "opus",
    progress: bool = False,
) -> Path:
    """Build the page of a listening test from an evaluation whose mixes were kept.

    All sounds have one loudness, -23 LUFS or as much less as keeps every true peak at -1 dBTP. The page does
    not show who made a mix: the key is sealed in it, and comes back with the ratings. It keeps out eyes, not
    a listener who wants to cheat.

    Source: ITU-R BS.2132-0 (several stimuli, no perfect original); De Man and Reiss 2014 (APE); the check for
    headphones: Milne et al. 2021, beside Woods et al. 2017.

    Args:
        folder: Output folder of `diffmst evaluate --keep-audio`.
        output: Folder of the page. Default: "listening" in `folder`.
        pages: How many pairs of a song and a record, at most, one on a page.
        systems: Names of the systems to compare. Default: all. The hidden anchor `equal-loudness` and the hidden
            `human` mix are added where there are any. Ten are the most.
        seconds: Length of the looped excerpts in seconds, 1 to 60; 10 to 30 are good.
        title: Heading of the page.
        seed: Seed of the draw of pairs.
        format: "opus" (about 0.4 MB for 15 s; Safari needs 18.4), or "flac" (lossless; four times as large, for
            every browser).
        progress: Whether a progress bar is shown.

    Returns:
        Path of the page.

    Raises:
        InputError: For a folder without mixes, unknown systems, too many of them, and where nothing can be
            written.
        ValueError: For other options out of their range.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if not SECONDS[0] <= seconds <= SECONDS[1]:
        raise ValueError(f"seconds must be between {SECONDS[0]:g} and {SECONDS[1]:g}, not {seconds!r}")
    if pages < 1:
        raise ValueError(f"pages must be at least 1, not {pages!r}")
    folder = Path(folder)
    pairs = kept_pairs(folder)
    drawn = chosen_pairs(pairs, chosen_systems(pairs, systems), pages, seed)
    rate = ENCODINGS[format][0]
    found = [
        (pair, clips)
        for pair in tqdm(drawn, desc="measuring", unit="pair", disable=not progress)
        if (clips := pair_clips(pair, seconds, rate)) is not None
    ]
    if not found:
        raise InputError(f"{folder}: no pair is left that could be rated")
    lufs = common_lufs([clip for _, (record, mixes) in found for clip in (record, *mixes.values())])
    if lufs < LUFS:
        note(f"all sounds are at {lufs:.1f} LUFS, not {LUFS:g}: one of them has high peaks")
    shortest = min(mix.num_samples for _, (_, mixes) in found for mix in mixes.values()) / rate
    if shortest < min(seconds, GOOD_SECONDS):
        note(f"the shortest loop is {shortest:.1f} s; from {GOOD_SECONDS:g} s on, more of a mix can be heard")

    sounds: dict[str, Clip] = {}
    key_pages, shown_pages = [], []
    for pair, (record, mixes) in found:
        page_id, record_id = _name(seed, pair.number), _name(seed, pair.number, record.digest)
        sounds[record_id] = record
        stimuli = {}
        for system, clip in mixes.items():
            name = _name(seed, pair.number, system, clip.digest)
            sounds[name] = clip
            stimuli[name] = {"system": system, "role": role(system)}
        some = next(iter(mixes.values()))
        key_pages.append(
            {
                "page": page_id,
                "pair": pair.number,
                "song": pair.song,
                "record": pair.record,
                "start_s": round(pair.start_s + some.start / rate, 3),
                "seconds": round(some.num_samples / rate, 3),
                "stimuli": stimuli,
            }
        )
        shown_pages.append({"page": page_id, "record": record_id, "stimuli": sorted(stimuli)})
    key = {"title": title, "lufs": round(lufs, 2), "seed": seed, "format": format, "pages": key_pages}
    sealed = base64.b64encode(zlib.compress(json.dumps(key).encode(), 9)).decode()
    shown = {
        "test": seal_id(sealed),
        "title": title,
        "sealed": sealed,
        "scales": as_data(),
        "pages": sorted(shown_pages, key=lambda page: page["page"]),  # an order that tells nothing
    }
    text = _html(title, shown, _encoded(sounds, lufs, format, progress))
    if len(text) > LARGE_MB * 1e6:
        note(f"the page has {len(text) / 1e6:.0f} MB: fewer --pages, --systems or --seconds make it smaller")
    with output_folder(output or folder / "listening", (PAGE,)) as place:
        write_together(place, {PAGE: lambda path: path.write_text(text, "utf-8")})
        return place / PAGE


def seal_id(sealed: str) -> str:
    """Compute the name of a test from its sealed key."""
    return hashlib.sha256(sealed.encode()).hexdigest()[:12]


def open_seal(sealed: str) -> dict[str, Any]:
    """Read a sealed key.

    Args:
        sealed: Text as in a page and in its ratings.

    Returns:
        The key: title, lufs, seed, format, and pages with their stimuli.

    Raises:
        ValueError: When it is damaged.
    """
    try:
        key = json.loads(zlib.decompress(base64.b64decode(sealed, validate=True)))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, dict):
        raise ValueError("no key")
    return key


def _name(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:10]


def _encoded(sounds: dict[str, Clip], lufs: float, format: str, progress: bool) -> dict[str, str]:
    """Encode all sounds in base64, sorted by their names, which tell nothing."""

    def one(name: str) -> str:
        return base64.b64encode(encode(sounds[name].samples(lufs), format)).decode()

    names = sorted(sounds)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # libsndfile releases Python's lock
        files = pool.map(one, names)
        bar = tqdm(files, desc="encoding", unit="sound", total=len(names), disable=not progress)
        return dict(zip(names, bar, strict=True))


def _html(title: str, shown: dict[str, Any], sounds: dict[str, str]) -> str:
    parts = {
        "title": html.escape(title),
        "style": (PARTS / "page.css").read_text("utf-8"),
        "test": json.dumps(shown).replace("<", "\\u003c"),
        "sounds": "\n".join(
            f'<script type="text/plain" data-sound="{name}">{data}</script>' for name, data in sounds.items()
        ),
        "scripts": "\n".join((PARTS / name).read_text("utf-8") for name in SCRIPTS),
    }
    template = (PARTS / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
