"""What `diffmst evaluate --keep-audio` leaves, made of noise and tones, and a listening test of it."""

import base64
import json
import zlib

import numpy as np
import soundfile

from diffmst_lib.evaluation.listening.building import seal_id

RATE = 44100
SYSTEMS = ("equal-loudness", "rules", "small", "human")


def sound(seed, seconds, level=0.1):
    """Pink-ish stereo noise (num_samples, 2), the same every time."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((round(seconds * RATE), 2))
    return level * (noise + np.roll(noise, 1, axis=0))


def keep_mixes(folder, *, songs=("one", "two", "one"), systems=SYSTEMS, seconds=2.0):
    """Write mixes/001 ... with a record and a mix of each system, which have levels of their own."""
    for number, song in enumerate(songs, start=1):
        place = folder / "mixes" / f"{number:03}"
        place.mkdir(parents=True)
        about = {"song": song, "record": f"record {number}", "start_s": 30.0}
        (place / "pair.json").write_text(json.dumps(about), "utf-8")
        soundfile.write(place / "record.flac", sound(number, seconds), RATE)
        for turn, system in enumerate(systems):
            mix = sound(100 * number + turn, seconds, 0.02 * (turn + 1))
            soundfile.write(place / f"{system}.flac", mix[:, :1] if turn == 0 else mix, RATE)
    return folder


def saved_sitting(listener="aa", *, rating=50.0, saved="2026-01-01T10:00:00.000Z", finished=True, seed=0):
    """What the page of a test with two pages and three systems saves."""
    systems = {"m1": "equal-loudness", "m2": "rules", "m3": "human"}
    roles = {"equal-loudness": "anchor", "rules": "system", "human": "human"}
    pages = [
        {
            "page": f"p{number}",
            "pair": f"00{number}",
            "song": f"song {number}",
            "record": "r",
            "stimuli": {
                f"{name}{number}": {"system": system, "role": roles[system]}
                for name, system in systems.items()
            },
        }
        for number in (1, 2)
    ]
    sealed = base64.b64encode(zlib.compress(json.dumps({"seed": seed, "pages": pages}).encode())).decode()
    return {
        "format": "diffmst-listening",
        "version": 1,
        "test": seal_id(sealed),
        "title": "t",
        "listener": listener,
        "started": saved,
        "saved": saved,
        "finished": saved if finished else None,
        "step": 4,
        "headphones": {"on": "headphones", "attempts": [[True] * 5 + [False], [True]]},
        "pages": [
            {
                "page": page["page"],
                "order": sorted(page["stimuli"], reverse=True),
                "ratings": {name: {"overall": rating, "clarity": 10} for name in page["stimuli"]},
                "heard_s": {next(iter(page["stimuli"])): 2.5},
            }
            for page in pages
        ],
        "sealed": sealed,
    }
