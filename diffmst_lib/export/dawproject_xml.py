"""Pieces of a DAWproject file: parameters, devices, points, text. Chapter: Mix your own song."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

Parameter = tuple[str, str, float, float]  # name, unit, lowest and highest value
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STRAIGHT = 1e-6  # of a value: points that near to a line between their neighbors are left out


def add_device(devices: ET.Element, kind: str, identity: str, name: str) -> ET.Element:
    """Add a built-in device that is switched on: "Equalizer" or "Compressor"."""
    device = ET.SubElement(devices, kind, id=identity, name=name, deviceName=kind, deviceRole="audioFX")
    ET.SubElement(device, "Enabled", id=f"{identity}-enabled", name="On/Off", value="true")
    return device


def add_real(parent: ET.Element, spec: Parameter, value: float, identity: str) -> None:
    """Add a parameter with its unit and range."""
    name, unit, low, high = spec
    attributes = {"id": identity, "name": name, "unit": unit, "min": number(low), "max": number(high)}
    ET.SubElement(parent, name, attributes, value=number(value))


def add_points(lane: ET.Element, unit: str, target: str, times: list[float], values: list[float]) -> None:
    """Add the course of a parameter to a lane, if it moves: points with straight lines between them."""
    if max(values) - min(values) <= _STRAIGHT * max(map(abs, values)):
        return
    points = ET.SubElement(lane, "Points", id=f"{target}-points", unit=unit)
    ET.SubElement(points, "Target", parameter=target)
    for time, value in _corners(list(zip(times, values, strict=True))):
        ET.SubElement(points, "RealPoint", time=number(time), value=number(value), interpolation="linear")


def _corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out points on a straight line between their neighbors."""
    kept = points[:1]
    for here, after in zip(points[1:], [*points[2:], None], strict=True):
        (t0, v0), (t1, v1) = kept[-1], here
        if after is not None:
            share = (t1 - t0) / (after[0] - t0)
            line = v0 + share * (after[1] - v0)
            if abs(v1 - line) <= _STRAIGHT * max(abs(v0), abs(v1), abs(after[1])):
                continue
        kept.append(here)
    return kept


def text(name: str) -> str:
    """Replace what XML cannot hold, such as control characters and halves of letters."""
    return _NOT_XML.sub("\ufffd", name)


def number(value: float) -> str:
    """Write a number without an exponent."""
    return f"{round(value, 9) + 0.0:.9f}".rstrip("0").rstrip(".")  # + 0.0: no "-0"
