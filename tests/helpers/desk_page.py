"""A desk on a page, for the tests that open one: songs, settings, and the page itself."""

import re

import pytest
import torch
from widget_sounds import RATE, tones

import diffmst_lib as dm
from diffmst_lib.mixing.baselines import neutral_params
from diffmst_lib.notebook.desk.desk import _SCRIPT

SECURE, PLAIN = "http://localhost", "http://desk.test"  # a page over plain http has no audio worklet


@pytest.fixture
def visit(chromium):
    """Open a desk on a page; at the end nothing may have failed or gone elsewhere."""
    complaints, tabs = [], []

    def open_page(*shown, address=SECURE, width=1280, before="", **files):
        body = "".join(item._repr_html_() for item in shown)
        page = f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body>{before}{body}'
        answers = {"/": (page, "text/html"), "/desk.js": (_SCRIPT, "text/javascript")}
        answers |= {f"/{name}": (data, "application/octet-stream") for name, data in files.items()}

        def answer(route):
            body, mime = answers.get(route.request.url.removeprefix(address), (None, None))
            if body is None:
                complaints.append(f"asked for {route.request.url}")
                return route.abort()
            return route.fulfill(body=body, content_type=mime)

        tab = chromium.new_page(viewport={"width": width, "height": 900})
        tabs.append(tab)
        tab.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.route(re.compile("^(?!data:|blob:)"), answer)
        tab.goto(f"{address}/")
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert complaints == []


@pytest.fixture(scope="module")
def excerpt(data):
    """3 s of five stems, nine tracks: one of them made mono."""
    whole = dm.load_multitrack(data / "multitracks" / "caesium")
    part = whole.excerpt(7, 3).select("alt_hats", "bgvox_harmony", "bgvox_main", "kick", "minilogue_synth")
    names = [name for name in part.names if name != "kick.R"]
    rows = [part.names.index(name) for name in names]
    names[names.index("kick.L")] = "kick"
    return dm.Multitrack(names, part.audio[rows])


@pytest.fixture
def toy():
    audio = torch.cat([tones(2.0, peak=0.3), tones(2.0, channels=1, first_hz=90)])
    return dm.Multitrack(["vox.L", "vox.R", "kick"], audio)


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
