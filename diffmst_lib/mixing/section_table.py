"""The sections of a mix as a table, to be read and to be saved. Chapter: Mix your own song."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 4


def shown_sections(table: pd.DataFrame) -> pd.DataFrame:
    """Make the table of `MixResult.sections` readable: times on the clock, losses rounded.

    Args:
        table: The table.

    Returns:
        A row for each section, of texts.

    Example:
        >>> import pandas as pd
        >>> row = {"start_s": 0.0, "end_s": 65.5, "label": "A", "follows": "whole", "own_console": True}
        >>> shown_sections(pd.DataFrame([row | {"loss_one_console": 0.08, "loss": 0.041}])).iloc[0].tolist()
        ['A', 'whole', 'its own', '0.0800', '0.0410']
    """
    import pandas as pd

    rows = {
        f"{clock(row.start_s)}-{clock(row.end_s)}": [
            row.label,
            row.follows,
            "its own" if row.own_console else "the song's",
            *("" if math.isnan(loss) else f"{loss:.4f}" for loss in (row.loss_one_console, row.loss)),
        ]
        for row in table.itertuples()
    }
    columns = ["section", "follows", "console", "loss with one console", "loss"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def clock(seconds: float) -> str:
    """Write a time as minutes and seconds.

    Example:
        >>> clock(65.5), clock(59.96)
        ('1:05.5', '1:00.0')
    """
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def section_numbers(table: pd.DataFrame) -> list[dict[str, Any]]:
    """List the sections for JSON, None for losses that are not there."""
    rows: list[dict[str, Any]] = table.to_dict("records")
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    return value
