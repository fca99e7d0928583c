"""A desk on a page: what the page holds, where it stands, and settings in which every knob does something."""

import base64
import json
import re
from pathlib import Path

import matplotlib
import torch
from widget_sounds import RATE

import diffmst_lib as dm
from diffmst_lib.console.table import OFF_DB

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


def settings_text(tab):
    tab.get_by_role("button", name="Copy the settings as JSON").click()
    return tab.get_by_role("textbox", name="Settings as JSON").input_value()


def fader(tab, name):
    return tab.get_by_role("slider", name=f"Fader of {name} in dB")


def level_of(tab, name):
    return float(fader(tab, name).get_attribute("aria-valuenow"))


def turn_to(tab, knob, value):
    """Write a number into a knob's field."""
    number = tab.get_by_role("spinbutton", name=knob)
    number.fill(str(value))
    number.press("Enter")


def busy_params(song, seed):
    """Every knob somewhere in the inner 80 % of its range, faders near 0 dB, nothing sent, at -20 LUFS."""
    generator = torch.Generator().manual_seed(seed)
    units = [
        0.1 + 0.8 * torch.rand(unit.shape, generator=generator)
        for unit in dm.ConsoleParams.neutral(song.names).to_unit()
    ]
    params = dm.ConsoleParams.from_unit(*units, names=song.names)
    for name in song.names:
        params.track(name)["fader_db"] /= 6  # or one stem alone would be heard
        params.track(name)["input_gain_db"] /= 6
        params.track(name)["send_db"] = OFF_DB
    level = dm.loudness(dm.MixingConsole(RATE).render(song.audio, params))
    output_db = params.master_bus["output_gain_db"] - 20 - level
    params.master_bus["output_gain_db"] = min(max(output_db, -48.0), 48.0)
    return params


def lossless(song):
    """Return a song's samples as bytes, stem after stem: of a mono stem one channel, as a desk has it."""
    channels = [stem[:1] if mono else stem for stem, mono in zip(song.audio, song.is_mono(), strict=True)]
    return torch.cat(channels).contiguous().numpy().tobytes()


# Gives the browser a function stemBuffers(setup): what lossless() has sent, in place of decoded files.
STEM_BUFFERS = """
  const samples = new Float32Array(await (await fetch("/tracks")).arrayBuffer());
  let at = 0;
  const next = (length) => samples.subarray(at, (at += length));
  const stemBuffers = ({ strips, num_samples }) => strips.map(({ channels }) => {
    const rows = Array.from({ length: channels }, () => next(num_samples));
    return { numberOfChannels: channels, getChannelData: (i) => rows[i] };
  });
"""
