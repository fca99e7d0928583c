"""Cut the tiny data set from the full songs: `python data/build_tiny.py ORIGINALS`.

ORIGINALS holds `multitracks/<song>/<stem>.m4a` and `references/<file>`.
The same library versions on the same machine write the same bytes.
"""

import argparse
import hashlib
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import av
import librosa
import numpy as np
import soundfile as sf
from tqdm import tqdm

RATE = 44100
FADE = 0.005
MARGIN = 1.0
PEAK = 0.95  # below 1, because lossy coding overshoots
QUALITY = 0.8
MONO_DB = -60.0
SERIAL = 1

CC0 = ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/")
CC_BY = ("CC BY 3.0", "https://creativecommons.org/licenses/by/3.0/")
CC_BY_SA = ("CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0/")
PUBLIC_DOMAIN = ("public domain", "https://creativecommons.org/publicdomain/mark/1.0/")

ALBUM_ARTIST = "Software-Entwicklungskit"
ALBUM_SOURCE = (
    'album "Everything is remixed", '
    "[ichbinsoftware/everythingisremixed](https://github.com/ichbinsoftware/everythingisremixed), commit 6a6fbe3a"
)
MAP_TILES = "[digabi/map-tiles](https://github.com/digabi/map-tiles), commit 126765a6, `tiles/muzak/`"
LIBROSA_DATA = "[librosa/data](https://github.com/librosa/data), commit 450cdd8a"

# Excerpts start and end on bar lines: bar 0 of every song starts at the first sample of its stems.
SONGS = {
    "caesium": {
        "bpm": 130,
        "bars": (100, 108),
        # Against the artist's master this stem alone comes 188 samples (at 48 kHz) late.
        "late": {"minilogue_synth": 188 / 48000},
        "stems": (
            "alt_hats bgvox_alt bgvox_echo bgvox_harmony bgvox_high bgvox_main kick microcosm_effect "
            "minilogue_synth"
        ),
    },
    "potassium": {
        "bpm": 90,
        "bars": (76, 81),
        "stems": "end_drums mallet microcosm_effect minilogue_synth outro_drum pad_bass snare vox_lead",
    },
    "rubidium": {
        "bpm": 132,
        # Not the outro: there the original's vox_lead is a copy of pluck.
        "bars": (93, 101),
        "stems": "bgvox build drums_2 drums_main drums_outro melody_break minilogue_synth vox_lead",
    },
}

# Seconds by which the stems run behind the artist's master (by cross-correlation).
HUMAN_MIXES = {"caesium": {"file": "sek_caesium_master.m4a", "offset": 7.84617}}

REFERENCES = {
    "its_simple": {
        "file": "unwrittenstories_its_simple.mp3",
        "start": 84.0,
        "title": "It's Simple",
        "artist": "Unwritten Stories",
        "genre": "house",
        "source": MAP_TILES,
        "page": "https://soundcloud.com/unwritten-stories/its-simple-creative-commons-free-house-music",
        "license": CC_BY_SA,
    },
    "vibe_ace": {
        "file": "kevin_macleod_vibe_ace.ogg",
        "start": 16.0,
        "title": "Vibe Ace",
        "artist": "Kevin MacLeod",
        "genre": "jazz",
        "source": LIBROSA_DATA,
        "page": "https://freemusicarchive.org/music/Kevin_MacLeod/Jazz_Sampler/Vibe_Ace",
        "license": CC_BY,
    },
    "lets_go_fishin": {
        "file": "karissa_hobbs_lets_go_fishin.ogg",
        "start": 33.0,
        "title": "Let's Go Fishin'",
        "artist": "Karissa Hobbs",
        "genre": "folk with voice",
        "source": LIBROSA_DATA,
        "page": "https://freemusicarchive.org/music/Karissa_Hobbs/Age_of_Flowers/09_Lets_Go_Fishin",
        "license": CC_BY,
    },
    "hungarian_dance": {
        "file": "brahms_hungarian_dance_5.ogg",
        "start": 2.0,
        "title": "Hungarian Dance no. 5 (Johannes Brahms)",
        "artist": "US Army Strings",
        "genre": "string orchestra",
        "source": LIBROSA_DATA,
        "page": "https://musopen.org/music/43805-hungarian-dance-no-5-in-f-sharp-minor-woo-1-string-orchestra-arr/",
        "license": PUBLIC_DOMAIN,
    },
    "inspiring_acoustic": {
        "file": "romansenykmusic_inspiring_acousting_uplifting_soft_background.mp3",
        "start": 108.0,
        "title": "Inspiring Acoustic Uplifting Soft Background",
        "artist": "RomanSenykMusic",
        "genre": "acoustic pop",
        "source": MAP_TILES,
        "page": "https://soundcloud.com/romansenykmusic/no-copyright-inspiring-acoustic-uplifting-soft-background",
        "license": CC_BY,
    },
    "coherence": {
        "file": "singularity_coherence.ogg",
        "start": 90.0,
        "title": "Coherence",
        "artist": "Max McCracken",
        "genre": "game soundtrack",
        "source": "Debian package [singularity-music](https://tracker.debian.org/pkg/singularity-music) 007-2",
        "page": "https://code.google.com/p/endgame-singularity/",
        "license": CC_BY_SA,
    },
}
REFERENCE_LENGTH = 15.0
LAST_COLUMNS = ("channels", "license", "attribution", "changes")

# As in the open set, of which these are excerpts: never trained on, and looked at only to choose.
SPLITS = {
    "test": ("caesium", "vibe_ace", "its_simple", "lets_go_fishin"),
    "validation": ("rubidium", "hungarian_dance"),
}


def fail(message: str) -> NoReturn:
    """End the script with one line."""
    sys.exit(f"build_tiny: {message}")


def decode(path: Path) -> tuple[np.ndarray, int]:
    """Return channels x samples (float32) and the sample rate."""
    if not path.is_file():
        fail(f"missing file: {path}")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            frames = [frame.to_ndarray() for frame in container.decode(stream)]
            return np.concatenate(frames, axis=1), stream.rate
    except (av.FFmpegError, IndexError, ValueError) as error:
        fail(f"cannot decode {path}: {error}")


def cut(path: Path, start: float, length: float) -> np.ndarray:
    """Decode one file and return the excerpt at RATE, with short fades."""
    audio, rate = decode(path)
    # Margins keep the resampler's edges out of the excerpt; whole seconds keep it on the sample grid.
    first = max(int(start - MARGIN), 0)
    last = int(start + length + MARGIN) + 1
    audio = audio[:, first * rate : last * rate]
    if rate != RATE:
        audio = librosa.resample(audio, orig_sr=rate, target_sr=RATE, res_type="soxr_hq")
    begin, size = round((start - first) * RATE), round(length * RATE)
    audio = audio[:, begin : begin + size]
    if audio.shape[1] != size:
        fail(f"{path} ends before {start + length:.1f} s")
    ramp = np.linspace(0, 1, round(FADE * RATE), dtype=np.float32)
    audio[:, : len(ramp)] *= ramp
    audio[:, -len(ramp) :] *= ramp[::-1]
    return audio


def to_mono_if_equal(audio: np.ndarray) -> np.ndarray:
    """Return one channel where two are equal."""
    if len(audio) == 2:
        difference = np.sqrt(np.mean((audio[0] - audio[1]) ** 2))
        if difference <= 10 ** (MONO_DB / 20) * np.sqrt(np.mean(audio**2)):
            return audio[:1]
    return audio


def set_serial(ogg: bytes) -> bytes:
    """Replace libsndfile's random stream number, and so every page's checksum, by fixed ones."""
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    pages, position = [], 0
    while position < len(ogg):
        segments = ogg[position + 26]
        header = 27 + segments
        size = header + sum(ogg[position + 27 : position + header])
        page = bytearray(ogg[position : position + size])
        page[14:18] = struct.pack("<I", SERIAL)
        page[22:26] = bytes(4)
        # Ogg's CRC-32 is zlib's with the bits the other way round and without its inversions.
        crc = zlib.crc32(page.translate(reverse), 0xFFFFFFFF) ^ 0xFFFFFFFF
        page[22:26] = crc.to_bytes(4, "big").translate(reverse)
        pages.append(bytes(page))
        position += size
    return b"".join(pages)


def write(path: Path, audio: np.ndarray) -> None:
    """Write one file as Ogg Vorbis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {"format": "OGG", "subtype": "VORBIS", "compression_level": 1 - QUALITY}
    with sf.SoundFile(path, "w", RATE, len(audio), **codec) as file:
        # libsndfile's Vorbis encoder can overflow its stack on one large block.
        for start in range(0, audio.shape[1], RATE):
            file.write(audio[:, start : start + RATE].T)
    path.write_bytes(set_serial(path.read_bytes()))


def lower_to_peak(audio: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the audio, lowered where its peak needs it, and the gain in dB."""
    gain = min(1.0, PEAK / np.abs(audio).max())
    return audio * np.float32(gain), 20 * np.log10(gain)


def song_span(song: dict) -> tuple[float, float]:
    """Return start and length of a song's excerpt in seconds."""
    first, last = song["bars"]
    bar = 4 * 60 / song["bpm"]
    return first * bar, (last - first) * bar


def plan(only: Sequence[str]) -> list[tuple]:
    """List the files to make: group, name, stem, original below ORIGINALS, start and length in seconds."""
    jobs = []
    for name, song in SONGS.items():
        start, length = song_span(song)
        for stem in song["stems"].split():
            late = song.get("late", {}).get(stem, 0.0)
            jobs.append(("multitracks", name, stem, f"multitracks/{name}/{stem}.m4a", start + late, length))
    for name, mix in HUMAN_MIXES.items():
        start, length = song_span(SONGS[name])
        jobs.append(("human_mixes", name, None, f"references/{mix['file']}", start - mix["offset"], length))
    for name, song in REFERENCES.items():
        jobs.append(("references", name, None, f"references/{song['file']}", song["start"], REFERENCE_LENGTH))
    if only:
        unknown = sorted(set(only) - {job[1] for job in jobs})
        if unknown:
            fail(f"no such song or reference: {', '.join(unknown)}")
        jobs = [job for job in jobs if job[1] in only]
    return jobs


def build(originals: Path, output: Path, only: Sequence[str] = ()) -> dict[str, dict]:
    """Write the audio files and return, by path below the output folder, what SOURCES.md says of each."""
    if not originals.is_dir():
        fail(f"missing folder: {originals}")
    for folder in ("multitracks", "references"):
        if not (originals / folder).is_dir():
            fail(f"missing folder: {originals / folder}")
    made = {}
    for group, name, stem, original, start, length in tqdm(plan(only), unit="file"):
        audio, gain = cut(originals / original, start, length), 0.0
        if group == "multitracks":
            audio = to_mono_if_equal(audio)
        else:
            audio, gain = lower_to_peak(audio)
        path = f"{group}/{name}/{stem}.ogg" if stem else f"{group}/{name}.ogg"
        write(output / path, audio)
        made[path] = {
            "channels": "mono" if len(audio) == 1 else "stereo",
            "gain": gain,
            "sha256": hashlib.sha256((output / path).read_bytes()).hexdigest(),
        }
    return made


def row(*cells: object) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def link(license: tuple[str, str]) -> str:
    """Return a license as a Markdown link."""
    return f"[{license[0]}]({license[1]})"


def changes(gain: float) -> str:
    """Return what was done to a finished song."""
    lowered = f", lowered by {-gain:.1f} dB against clipping" if gain < -0.05 else ""
    return f"excerpt, re-encoded{lowered}"


def sources(made: dict[str, dict]) -> str:
    """Return the text of SOURCES.md."""
    lines = [
        "# Sources and licenses of the tiny data set",
        "",
        "Written by `build_tiny.py`; do not edit by hand.",
        "",
        "Excerpts of freely licensed music to run and test the library on: time-aligned stems in",
        "`multitracks/`, the artist's own mix of one of them in `human_mixes/`, finished songs of other",
        "artists in `references/`. All files are Ogg Vorbis at 44.1 kHz. The folder is made by",
        "",
        "    python data/build_tiny.py ORIGINALS",
        "",
        "where `ORIGINALS` holds the full songs. Every file was changed: an excerpt was cut, given fades of",
        "5 ms, resampled to 44.1 kHz where the original has another rate, and re-encoded.",
        "",
        "Each file keeps the license of its original. In particular, the CC BY-SA excerpts stay under",
        "CC BY-SA 3.0, as must anything adapted from them; the MIT license of the code covers no audio.",
        "",
        "## Stems: `multitracks/<song>/<stem>.ogg`",
        "",
        f"Artist: {ALBUM_ARTIST}. Source: {ALBUM_SOURCE}.",
        'Its README says: "All stems, artwork, and code are public domain (CC0 1.0)". Attribution is not',
        f'required; given all the same: "Caesium", "Potassium", "Rubidium" by {ALBUM_ARTIST}, CC0 1.0.',
        "",
        row("song", "title, tempo", "excerpt", "stems", "license"),
        row(*["---"] * 5),
    ]
    for name, song in SONGS.items():
        start, length = song_span(song)
        stems = ", ".join(
            f"`{stem}`" + (" (mono)" if made[f"multitracks/{name}/{stem}.ogg"]["channels"] == "mono" else "")
            for stem in song["stems"].split()
        )
        first, last = song["bars"]
        excerpt = f"from {start:.3f} s, {length:.3f} s (bars {first} to {last - 1}, counted from 0)"
        lines.append(row(f"`{name}`", f"{name.capitalize()}, {song['bpm']} BPM", excerpt, stems, link(CC0)))
    lines += [
        "",
        "All stems of a song have the same number of samples and their original levels. Stems that are",
        "silent in the excerpt are left out. Stems are stereo unless marked as mono (two channels whose",
        f"difference lies below {MONO_DB:.0f} dB of the stem).",
    ]
    for name, song in SONGS.items():
        for stem, late in song.get("late", {}).items():
            lines += [
                f"`{name}/{stem}` was moved {1000 * late:.2f} ms earlier: in the original it comes that much late",
                "against the artist's own mix, where all other stems agree.",
            ]
    lines += [
        "",
        "## Human mixes: `human_mixes/<song>.ogg`",
        "",
        row("file", "title, artist", "source", "excerpt", *LAST_COLUMNS),
        row(*["---"] * 8),
    ]
    for name, mix in HUMAN_MIXES.items():
        title, about = name.capitalize(), made[f"human_mixes/{name}.ogg"]
        start, length = song_span(SONGS[name])
        lines.append(
            row(
                f"`{name}.ogg`",
                f'"{title}" (master), {ALBUM_ARTIST}',
                ALBUM_SOURCE,
                f"from {start - mix['offset']:.3f} s, {length:.3f} s",
                about["channels"],
                link(CC0),
                f'"{title}" by {ALBUM_ARTIST}, CC0 1.0',
                changes(about["gain"]),
            )
        )
    lines += [
        "",
        "Aligned with the stems of the same song, sample for sample. The original has a sample rate of",
        "24 kHz, so nothing sounds above 12 kHz.",
        "",
        "## References: `references/<file>`",
        "",
        row("file", "title, artist", "genre", "source", "excerpt", *LAST_COLUMNS),
        row(*["---"] * 9),
    ]
    for name, song in REFERENCES.items():
        about, license = made[f"references/{name}.ogg"], song["license"]
        lines.append(
            row(
                f"`{name}.ogg`",
                f'"{song["title"]}", {song["artist"]}',
                song["genre"],
                f"{song['source']}, `{song['file']}`; [original page]({song['page']})",
                f"from {song['start']:.3f} s, {REFERENCE_LENGTH:.3f} s",
                about["channels"],
                link(license),
                f'"{song["title"]}" by {song["artist"]}, {license[0]} ({license[1]})',
                changes(about["gain"]),
            )
        )
    lines += ["", "## SHA-256 of each file", "", row("file", "license", "SHA-256"), row(*["---"] * 3)]
    for path, about in sorted(made.items()):
        group, name = Path(path).parts[:2]
        license = REFERENCES[Path(name).stem]["license"] if group == "references" else CC0
        lines.append(row(f"`{path}`", license[0], f"`{about['sha256']}`"))
    return "\n".join(lines) + "\n"


def about() -> dict[str, dict[str, str]]:
    """Return what the song index should know besides what it measures: the content of about.json."""

    def facts(name: str, title: str, artist: str, license: tuple[str, str]) -> dict[str, str]:
        split = next((split for split, names in SPLITS.items() if name in names), "train")
        return {
            "title": title,
            "artist": artist,
            "split": split,
            "license": license[0],
            "attribution": f'"{title}" by {artist}, {license[0]} ({license[1]})',
        }

    songs = {name: facts(name, name.capitalize(), ALBUM_ARTIST, CC0) for name in SONGS}
    mixes = {
        f"human_mixes/{name}": facts(name, f"{name.capitalize()} (master)", ALBUM_ARTIST, CC0)
        for name in HUMAN_MIXES
    }
    records = {
        name: facts(name, *(song[fact] for fact in ("title", "artist", "license")))
        for name, song in REFERENCES.items()
    }
    return songs | mixes | records


def index(folder: Path) -> None:
    """Write about.json and index.json."""
    (folder / "about.json").write_text(json.dumps(about(), indent=2) + "\n", encoding="utf-8")
    command = ["diffmst", "data", "index", folder / "multitracks"]
    command += ["--references", folder / "references", folder / "human_mixes"]
    command += ["--about", folder / "about.json", "--output", folder / "index.json"]
    subprocess.run(command, check=True)


def main() -> None:
    """Read the command line, write the files."""
    parser = argparse.ArgumentParser(description="Cut the tiny data set from the full songs.")
    parser.add_argument("originals", type=Path, help="folder with multitracks/ and references/")
    here = Path(__file__).parent
    parser.add_argument("--output", type=Path, default=here, help="default: this script's folder")
    only_help = "only these; SOURCES.md stays as it is"
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help=only_help)
    arguments = parser.parse_args()
    made = build(arguments.originals, arguments.output, arguments.only)
    if not arguments.only:
        (arguments.output / "SOURCES.md").write_text(sources(made), encoding="utf-8")
        index(arguments.output)


if __name__ == "__main__":
    main()
