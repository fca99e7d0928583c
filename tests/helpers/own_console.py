"""A console of one's own, as a user's module registers it: a saturator in every strip."""

import torch

import diffmst_lib as dm


def saturate(x, sample_rate, drive_db):
    gain = 10 ** (drive_db / 20)[:, None, None]
    return x + (1 - 1 / gain) * (torch.tanh(gain * x) - x)


DRIVE = dm.ParamSpec("drive_db", "saturator", "dB", 0.0, 24.0, "linear", 0.0, 3.0, aspect="tone")
SATURATOR = dm.Effect("saturator", (DRIVE,), saturate, after="equalizer")
dm.register_console("warm", strip=[SATURATOR])
dm.register_console("paper-warm", base="reference", strip=[SATURATOR])
