"""Listeners who do not exist, for planning a test and for trying its statistics. Chapter: Results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...inputs import InputError
from .scales import SCALES, role

if TYPE_CHECKING:
    import pandas as pd

TEST = "simulated"  # the name of their test, so that no table of theirs passes for a real one


def simulate_listeners(
    quality: Mapping[str, float],
    *,
    listeners: int = 20,
    careless: int = 0,
    pages: int = 6,
    scales: Sequence[str] = tuple(SCALES),
    spread: float = 12.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw ratings of listeners who do not exist: they are named "simulated", and so is their test.

    rating = quality of the system + taste of the listener for it + mood of the listener + chance, rounded and
    limited to 0 ... 100. Taste, mood and chance are normal, with standard deviations of a half, a half and one
    `spread`. Careless listeners answer anything.

    Args:
        quality: What each system is worth on average, 0 to 100, by its name.
        listeners: How many listen.
        careless: How many more answer anything.
        pages: How many pages each of them rates; every page is another song.
        scales: Names of scales, which are all alike here.
        spread: Standard deviation of a single rating.
        seed: Seed of the draw.

    Returns:
        A table like that of `collect_ratings`, with `simulated` true.

    Raises:
        InputError: Without systems, listeners or pages.

    Example:
        >>> ratings = simulate_listeners({"sum": 40, "rules": 60}, listeners=2, pages=1, scales=["overall"])
        >>> ratings[["test", "listener", "system"]].iloc[-1].tolist()
        ['simulated', 'simulated-02', 'rules']
    """
    import numpy as np
    import pandas as pd

    if not quality or listeners + careless < 1 or pages < 1:
        raise InputError("simulated listeners need systems, pages, and one listener at least")
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(listeners + careless):
        taste = dict(zip(quality, rng.normal(0.0, spread / 2, len(quality)), strict=True))
        mood = rng.normal(0.0, spread / 2)
        for page in range(pages):
            places = rng.permutation(len(quality))
            for place, (system, worth) in zip(places, quality.items(), strict=True):
                for scale in scales:
                    value = worth + taste[system] + mood + rng.normal(0.0, spread)
                    if number >= listeners:
                        value = rng.uniform(0.0, 100.0)
                    rows.append(
                        {
                            "test": TEST,
                            "listener": f"simulated-{number + 1:02}",
                            "simulated": True,
                            "headphones": "headphones",
                            "headphones_right": 6.0,
                            "finished": True,
                            "pair": f"{page + 1:03}",
                            "song": f"song {page + 1}",
                            "record": f"record {page + 1}",
                            "place": int(place) + 1,
                            "system": system,
                            "role": role(system),
                            "heard_s": np.nan,
                            "scale": scale,
                            "rating": float(np.clip(np.round(value), 0, 100)),
                        }
                    )
    return pd.DataFrame(rows)
