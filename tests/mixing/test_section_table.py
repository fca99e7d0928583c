"""The table of sections, printed and saved."""

import json
import math

import pandas as pd

from diffmst_lib.mixing.section_table import clock, section_numbers, shown_sections

TABLE = pd.DataFrame(
    {
        "start_s": [0.0, 59.96],
        "end_s": [59.96, 3725.0],
        "label": ["verse", "end"],
        "follows": ["B 0-12 s", "nothing"],
        "own_console": [True, False],
        "loss_one_console": [0.123456, math.nan],
        "loss": [0.05, math.nan],
    }
)


def test_it_is_readable():
    shown = shown_sections(TABLE)
    assert shown.index.tolist() == ["0:00.0-1:00.0", "1:00.0-62:05.0"]
    assert shown.iloc[0].tolist() == ["verse", "B 0-12 s", "its own", "0.1235", "0.0500"]
    assert shown.iloc[1].tolist() == ["end", "nothing", "the song's", "", ""]
    assert clock(0.04) == "0:00.0"


def test_it_is_strict_json():
    rows = json.loads(json.dumps(section_numbers(TABLE), allow_nan=False))
    assert rows[0]["loss_one_console"] == 0.1235 and rows[0]["own_console"] is True
    assert rows[1]["loss"] is None and rows[1]["label"] == "end"
