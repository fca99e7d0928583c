"""A desk on a page: what the page holds, where it stands, and settings in which every knob does something."""

import base64
import json
import re
from pathlib import Path

import matplotlib
import torch
from widget_sounds import RATE

import diffmst_lib as dm
from diffmst_lib.mixing.baselines import neutral_params

SECURE, PLAIN = "http://localhost", "http://desk.test"  # a page over plain http has no audio worklet

# Letters of every width, the same on every machine: what stands before a desk on its page. DejaVu Sans is about as
# wide as fonts for screens are; the others are wider still, and as narrow as a condensed font.
_FONT = base64.b64encode(
    (Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf").read_bytes()
).decode()
_STYLE = """<style>
  @font-face { font-family: "DejaVu"; src: url("data:font/ttf;base64,%s"); font-weight: 100 900; }
  body { font-family: "DejaVu"; letter-spacing: %s; }
</style>"""
LETTERS = {
    "wide": _STYLE % (_FONT, "normal"),
    "wider": _STYLE % (_FONT, "0.1em"),
    "narrow": _STYLE % (_FONT, "-0.1em"),
}


def page_state(desk):
    """Return the state that a page without a kernel holds, the audio in base64 included."""
    return json.loads(re.search(r'type="application/json">(.*?)</script>', desk._repr_html_()).group(1))


def busy_params(song, seed):
    """Every knob somewhere in the inner 80 % of its range, nothing sent, pans spread, the mix at -20 LUFS."""
    generator = torch.Generator().manual_seed(seed)
    units = [
        0.1 + 0.8 * torch.rand(unit.shape, generator=generator) for unit in neutral_params(song).to_unit()
    ]
    params = dm.ConsoleParams.from_unit(*units, names=song.names)
    for name, pan in zip(song.names, song.spread_pans(), strict=True):
        params.track(name)["pan"] = pan
        params.track(name)["send_db"] = -80.0
    level = dm.loudness(dm.MixingConsole(RATE).render(song.audio, params))
    params.master_bus["output_gain_db"] = max(-48.0, params.master_bus["output_gain_db"] - 20 - level)
    return params
