"""Listeners whose ratings say little are left out by a rule that is fixed beforehand. Chapter: Results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...inputs import InputError, note

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 90.0  # a hidden reference below, an anchor above ...
SHARE = 0.15  # ... on more than this share of the pages: ITU-R BS.1534-3
REASONS = {
    "bs1534": {"human_low_share": "the human mix low", "anchor_high_share": "the anchor high"},
    "order": {"reversed_share": "the human mix no better than the anchor"},
}


@dataclass(frozen=True)
class Screened:
    """Ratings after the screening of their listeners.

    Attributes:
        ratings: The ratings of the listeners who are kept, a table like that of `collect_ratings`.
        listeners: One row a listener: human_pages and anchor_pages (pages with a human mix, with an anchor), the
            shares of them that count in `screen`: human_low_share, anchor_high_share, reversed_share; kept; reason.
    """

    ratings: pd.DataFrame
    listeners: pd.DataFrame


def screen(
    ratings: pd.DataFrame,
    *,
    scale: str = "overall",
    rule: str = "bs1534",
    limit: float = LIMIT,
    share: float = SHARE,
) -> Screened:
    """Leave out listeners who rate the hidden mixes against the rule on too many pages.

    "bs1534" is the rule of ITU-R BS.1534-3: the hidden reference, here the human mix, below 90, or the anchor
    above 90. It was made for codecs, whose reference is perfect by definition and is to be found. A human mix is
    not: good listeners may rate it 80, and then the rule leaves nobody, which is told. "order" asks less: the
    human mix must stand above the anchor, equal loudness in mono. Look at the results with and without.

    A page counts where it has such mixes. A test without any keeps everybody.

    Source: ITU-R BS.1534-3, section 4.1.2.

    Args:
        ratings: Table of `collect_ratings` or `simulate_listeners`.
        scale: The scale that decides.
        rule: "bs1534" or "order".
        limit: The limit of "bs1534", 0 to 100.
        share: The share of pages, 0 to 1, above which a listener is left out.

    Returns:
        The ratings that are left, and one row a listener.

    Raises:
        InputError: For a scale that nobody has rated.
        ValueError: For another rule.

    Example:
        >>> from diffmst_lib.evaluation.listening import simulate_listeners
        >>> quality = {"equal-loudness": 20, "rules": 60, "human": 97}
        >>> ratings = simulate_listeners(quality, listeners=20, careless=5, spread=2)
        >>> screened = screen(ratings)
        >>> len(screened.listeners), int(screened.listeners["kept"].sum())
        (25, 20)
    """
    import pandas as pd

    if rule not in REASONS:
        raise ValueError(f"rule must be one of {', '.join(REASONS)}, not {rule!r}")
    rows = {}
    for listener, own in of_scale(ratings, scale).groupby("listener", sort=True):
        pages = own.pivot_table(index="pair", columns="role", values="rating").reindex(
            columns=["human", "anchor"]
        )
        human, anchor = pages["human"].dropna(), pages["anchor"].dropna()
        both = pages.dropna()
        shares = {  # NaN where there are no such pages
            "human_low_share": (human < limit).mean(),
            "anchor_high_share": (anchor > limit).mean(),
            "reversed_share": (both["human"] <= both["anchor"]).mean(),
        }
        reasons = [words for name, words in REASONS[rule].items() if shares[name] > share]
        rows[listener] = {
            "human_pages": len(human),
            "anchor_pages": len(anchor),
            **shares,
            "kept": not reasons,
            "reason": " and ".join(reasons),
        }
    listeners = pd.DataFrame.from_dict(rows, orient="index").rename_axis("listener")
    kept = listeners.index[listeners["kept"]]
    if kept.empty:
        note(f"the rule {rule} leaves none of {len(listeners)} listeners")
    return Screened(ratings[ratings["listener"].isin(kept)].reset_index(drop=True), listeners)


def of_scale(ratings: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Return the ratings on one scale.

    Args:
        ratings: Table of ratings.
        scale: Name of the scale.

    Returns:
        Its rows.

    Raises:
        InputError: When there is none.
    """
    rated = ratings[ratings["scale"] == scale]
    if rated.empty:
        there = ", ".join(dict.fromkeys(ratings["scale"])) or "none"
        raise InputError(f"nobody has rated {scale!r}; scales with ratings: {there}")
    return rated
