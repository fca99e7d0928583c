"""Explorers for the tests: settings with which every knob does something, and a hand that moves one."""

EQ = {
    "gain_db": [6.0, 0, -6, 3, 0, -4],
    "frequency_hz": [90.0, 200, 700, 2e3, 5e3, 9e3],
    "q": [0.7, 1, 4, 2, 1, 0.5],
}
COMPRESSOR = {
    "threshold_db": -35.0,
    "ratio": 6.0,
    "attack_ms": 8.0,
    "release_ms": 60.0,
    "knee_db": 4.0,
    "makeup_gain_db": 2.0,
}


def move(explorer):
    """Move the first control that changes the sound."""
    name = next(name for name in explorer.controls if name != "band")
    value = explorer.controls[name].value
    explorer.controls[name].value = (not value) if isinstance(value, bool) else value - 5
