"""Tables 1 and 2 of the paper in its layout: its figures beside ours, from the rows of an evaluation.

Chapter: Results
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FEATURES = ("rms", "crest_factor", "stereo_width", "stereo_imbalance", "bark_spectrum")
SHORT = ("RMS", "CF", "SW", "SI", "BS")
METHODS = {  # the paper's systems by our names, in its order
    "equal-loudness": "Equal Loudness",
    "mst": "MST",
    "mrstft-8": "Diff-MST MRSTFT-8",
    "mrstft-16": "Diff-MST MRSTFT-16",
    "mrstft+af-8": "Diff-MST MRSTFT+AF-8",
    "mrstft+af-16": "Diff-MST MRSTFT+AF-16",
    "af-16": "Diff-MST AF-16",
    "human": "Human",
}
# The figures of the paper, in the units of its columns.
CAPTION_1 = (
    "Table 1 of the paper, whose figures come from other songs, records and weights: averages over random pairs. The "
    "AF loss is the mean of its five terms. CF, SW and SI in e-02. The paper's FAD is of VGGish."
)
CAPTION_2 = (
    "Table 2 of the paper, whose figures come from other songs, records and weights: averages over a section of three "
    "songs, verse to chorus. The AF loss is the sum of its five terms. RMS in e-04, CF in e-01, SW and SI in e-02."
)
UNITS_1 = (1.0, 1e-2, 1e-2, 1e-2, 1.0, 1.0, 1.0)
PAPER_1 = {  # RMS, CF, SW, SI, BS, AF loss (mean of the five), FAD (VGGish)
    "equal-loudness": (2.31e-4, 2.11, 6.03, 1.41, 32.7, 6.55, 17.6),
    "mst": (4.07e-4, 1.72, 5.84, 0.89, 0.31, 7.85e-2, 17.9),
    "mrstft-8": (3.08e6, 3.91, 4.55, 3.38, 7.06, 6.15e5, 51.3),
    "mrstft-16": (2.23e3, 4.07, 5.00, 1.97, 1.81, 4.47e2, 65.9),
    "mrstft+af-8": (2.00e5, 1.79, 4.58, 2.86, 6.89, 4.00e4, 48.3),
    "mrstft+af-16": (2.46, 1.14, 4.29, 3.44, 0.92, 6.92e-1, 51.1),
    "af-16": (4.24e-4, 0.67, 4.78, 0.22, 0.11, 3.26e-2, 15.1),
}
UNITS_2 = (1e-4, 1e-1, 1e-2, 1e-2, 1.0, 1.0)
PAPER_2 = {  # RMS, CF, SW, SI, BS, AF loss (sum of the five)
    "equal-loudness": (3.11, 0.51, 3.16, 0.21, 33.3, 33.389),
    "mst": (3.15, 0.45, 4.64, 0.13, 0.09, 0.185),
    "mrstft-8": (3.63, 1.44, 1.97, 4.29, 0.17, 0.379),
    "mrstft-16": (3.40, 0.98, 1.91, 1.99, 0.19, 0.328),
    "mrstft+af-8": (3.12, 0.86, 1.29, 0.76, 0.13, 0.237),
    "mrstft+af-16": (3.15, 0.43, 0.89, 2.20, 0.11, 0.186),
    "af-16": (2.39, 0.07, 1.60, 0.97, 0.13, 0.168),
    "Human 1": (3.02, 0.26, 2.05, 0.46, 0.17, 0.218),
    "Human 2": (3.21, 0.14, 3.63, 2.29, 0.11, 0.180),
}


def table_1(pairs: pd.DataFrame, summary: pd.DataFrame | None = None) -> pd.DataFrame:
    """Make Table 1: averages over random pairs, the AF loss as the mean of its five terms.

    Args:
        pairs: The rows of an evaluation, see `read_pairs`.
        summary: Its summary, for the column FAD; None: without ours. The paper's embedding is another one (VGGish),
            so that only its order compares.

    Returns:
        A row for every system of the paper, then our others: Method, pairs, and for each column the paper's figure
        and ours, in the paper's unit. NaN where there is none.

    Example:
        >>> import pandas as pd
        >>> row = {"system": "af-16", "error": "", "af_mean": 0.03} | dict.fromkeys(FEATURES, 0.01)
        >>> table_1(pd.DataFrame([row])).set_index("Method").loc["Diff-MST AF-16", ["CF, paper", "CF, ours"]].tolist()
        [0.67, 1.0]
    """
    units = dict(zip((*SHORT, "AF loss", "FAD"), UNITS_1, strict=True))
    fad = None
    if summary is not None and "fad" in summary:
        fad = summary.set_index("system")["fad"]
    return _table(pairs, PAPER_1, units, "af_mean", fad)


def table_2(pairs: pd.DataFrame, summary: pd.DataFrame | None = None) -> pd.DataFrame:
    """Make Table 2: averages over a section of three songs, the AF loss as the sum of its five terms.

    Args:
        pairs: The rows of an evaluation, see `read_pairs`.
        summary: Not used: the paper's second table has no FAD.

    Returns:
        As `table_1`. The paper's two engineers are rows of their own.
    """
    units = dict(zip((*SHORT, "AF loss"), UNITS_2, strict=True))
    return _table(pairs, PAPER_2, units, "af_sum", None)


def _table(
    pairs: pd.DataFrame,
    paper: dict[str, tuple[float, ...]],
    units: dict[str, float],
    loss: str,
    fad: pd.Series | None,
) -> pd.DataFrame:
    import pandas as pd

    good = pairs[pairs["error"] == ""]
    names = [*paper, *(name for name in dict.fromkeys(good["system"]) if name not in paper)]
    rows = []
    for name in names:
        of_system = good[good["system"] == name]
        means = [of_system[column].mean() for column in (*FEATURES, loss)]
        means.append(math.nan if fad is None else float(fad.get(name, math.nan)))
        row = {"Method": METHODS.get(name, name), "pairs": len(of_system)}
        for i, (column, unit) in enumerate(units.items()):
            row[f"{column}, paper"] = paper[name][i] if name in paper else math.nan
            row[f"{column}, ours"] = means[i] / unit
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Write a table in Markdown, numbers with three digits.

    Args:
        table: The table; its index is left out.

    Example:
        >>> import pandas as pd
        >>> print(markdown(pd.DataFrame({"system": ["sum"], "loss": [0.12345]})))
        | system | loss |
        | --- | --- |
        | sum | 0.123 |
    """
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False, name=None)]
    lines = [[_cell(name) for name in table.columns], ["---"] * len(table.columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.3g}"
    return str(value).replace("|", "\\|")
