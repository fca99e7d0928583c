"""The paper's tables: its figures add up, ours stand beside them in its units."""

import math

import pandas as pd
import pytest

from diffmst_lib.evaluation.tables import (
    FEATURES,
    PAPER_1,
    PAPER_2,
    UNITS_1,
    UNITS_2,
    markdown,
    table_1,
    table_2,
)


@pytest.mark.parametrize("name", PAPER_1)
def test_the_first_table_has_means_of_five(name):
    terms = sum(value * unit for value, unit in zip(PAPER_1[name][:5], UNITS_1, strict=False))
    assert PAPER_1[name][5] == pytest.approx(terms / 5, rel=0.03)


@pytest.mark.parametrize("name", PAPER_2)
def test_the_second_table_has_sums(name):
    terms = sum(value * unit for value, unit in zip(PAPER_2[name][:5], UNITS_2, strict=False))
    # Bark figures have two digits only, and means of rows were rounded one by one.
    assert PAPER_2[name][5] == pytest.approx(terms, rel=0.005, abs=0.012)


def rows(*systems):
    values = dict(zip(FEATURES, (1e-4, 0.02, 0.03, 0.04, 0.5), strict=True))
    return pd.DataFrame(
        {"system": name, "error": error, "af_mean": 0.1, "af_sum": 0.5} | values for name, error in systems
    )


def test_ours_are_means_in_the_units_of_the_paper():
    pairs = rows(("af-16", ""), ("af-16", ""), ("mine", ""), ("sum", "broken"))
    pairs.loc[1, "crest_factor"] = 0.04
    table = table_1(pairs, pd.DataFrame({"system": ["af-16"], "fad": [7.0]})).set_index("Method")
    row = table.loc["Diff-MST AF-16"]
    assert row["pairs"] == 2 and row["FAD, ours"] == 7.0 and row["FAD, paper"] == 15.1
    ours = [row[f"{name}, ours"] for name in ("RMS", "CF", "SW", "SI", "BS", "AF loss")]
    assert ours == pytest.approx([1e-4, 3.0, 3.0, 4.0, 0.5, 0.1])
    assert table.loc["mine", "RMS, ours"] == pytest.approx(1e-4) and math.isnan(
        table.loc["mine", "RMS, paper"]
    )
    assert "sum" not in table.index and math.isnan(table.loc["MST", "CF, ours"])


def test_the_second_table_has_its_own_units_and_two_engineers():
    table = table_2(rows(("af-16", ""))).set_index("Method")
    row = table.loc["Diff-MST AF-16"]
    ours = [row[f"{name}, ours"] for name in ("RMS", "CF", "SW", "SI", "BS", "AF loss")]
    assert ours == pytest.approx([1.0, 0.2, 3.0, 4.0, 0.5, 0.5])
    assert {"Human 1", "Human 2"} <= set(table.index) and "FAD, ours" not in table.columns


def test_markdown_escapes_and_leaves_nan_empty():
    text = markdown(pd.DataFrame({"a|b": ["x|y"], "value": [math.nan]}))
    assert text.splitlines() == [r"| a\|b | value |", "| --- | --- |", r"| x\|y |  |"]
