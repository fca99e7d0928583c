"""DAWproject sessions for tests: mixes as engineers make them, written and read as another program does."""

import math
import zipfile
from pathlib import Path

import numpy as np
from lxml import etree

from diffmst_lib import ConsoleParams
from diffmst_lib.console.table import param_table
from diffmst_lib.disk import write_together
from diffmst_lib.export.dawproject import dawproject_files
from diffmst_lib.export.session import build_session, stem_writers

SCHEMA = Path(__file__).parents[1] / "export" / "schema"


def mixed(names, seed=0, ratio=2.0):
    """A mix as engineers make one: every knob somewhere in the middle of its range, nothing sent."""
    draw = np.random.default_rng(seed)
    params = ConsoleParams.neutral(names)
    for strip in (*(params.track(name) for name in names), params.master_bus):
        master = strip.label == "master_bus"
        for spec in param_table("master_bus" if master else "track"):
            if spec.name != "send_db":
                low, high = (spec.low, spec.high) if spec.scale == "linear" else np.log((spec.low, spec.high))
                value = low + draw.uniform(0.3, 0.7) * (high - low)
                strip[spec.name] = value if spec.scale == "linear" else math.exp(value)
        strip["ratio"] = min(ratio, 3.0) if master else ratio
        strip["threshold_db"] = draw.uniform(-18, -12) if master else draw.uniform(-32, -20)
        for name in ("fader_db",) if not master else ("output_gain_db",):
            strip[name] = draw.uniform(-6, 6)
        if not master:
            strip["input_gain_db"] = draw.uniform(-8, 8)
    return params


def written(folder, song, settings, **options):
    """The session's XML as another program reads it from its file."""
    session = build_session(song, settings, folder, **options)
    (folder / "audio").mkdir(exist_ok=True)
    write_together(folder, stem_writers(session, song) | dawproject_files(session))
    return read(folder / "session.dawproject")


def read(path):
    with zipfile.ZipFile(path) as archive:
        roots = [etree.fromstring(archive.read(name)) for name in ("project.xml", "metadata.xml")]
    for root, schema in zip(roots, ("Project.xsd", "MetaData.xsd"), strict=True):
        etree.XMLSchema(file=str(SCHEMA / schema)).assertValid(root)
    return roots[0]


def value(parent, path):
    found = parent.find(path)
    return float(found.get("value"))
