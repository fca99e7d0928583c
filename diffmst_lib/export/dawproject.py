"""A session as DAWproject, the open format that Bitwig, Studio One and Cubase read.

A ZIP with `project.xml` and `metadata.xml`, and with the audio where it was asked to be embedded.
Units are named in the file: hertz, decibels, seconds, ratios as such (4 is 4:1), volumes and sends as
factors, pans from 0 to 1.

Source: https://github.com/bitwig/dawproject, version 1.0. Chapter: Mix your own song.
"""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..console.table import EQ_BANDS
from .dawproject_notes import dawproject_notes
from .dawproject_xml import Parameter, add_device, add_points, add_real, number, text
from .session import AUDIO, Clip, Session
from .workstation import Knobs, bands, channel_values, factor, is_compressed, is_doubled, moments

FILE = "session.dawproject"
TEMPO = 120.0  # times are in seconds, so that none is known or needed
FX, MASTER = "fx", "master"  # ids of the buses
_TYPES = {"low_shelf": "lowShelf", "high_shelf": "highShelf"}  # of a band; the others are bells
_DATE = (1980, 1, 1, 0, 0, 0)  # in the ZIP: equal sessions are equal files
# Name, unit, lowest and highest value of a channel's parameters.
_ATTACK, _RATIO = ("Attack", "seconds", 0.0, 0.2), ("Ratio", "linear", 1.0, 20.0)
_IN, _OUT = ("InputGain", "decibel", -96.0, 96.0), ("OutputGain", "decibel", -96.0, 96.0)
_RELEASE, _THRESHOLD = ("Release", "seconds", 0.0, 1.0), ("Threshold", "decibel", -60.0, 0.0)
# In the schema's order, by the name of what it is set to.
_COMPRESSORS = {
    "Compressor": {
        "attack": _ATTACK,
        "input": _IN,
        "output": _OUT,
        "ratio": _RATIO,
        "release": _RELEASE,
        "threshold": _THRESHOLD,
    },
    "Compressor in place of look-ahead": {
        "fast_attack": _ATTACK,
        "input": _IN,
        "fast_ratio": _RATIO,
        "release": _RELEASE,
        "threshold": _THRESHOLD,
    },
    "Compressor after it": {
        "attack": _ATTACK,
        "output": _OUT,
        "slow_ratio": _RATIO,
        "release": _RELEASE,
        "threshold": _THRESHOLD,
    },
}
_BAND = {
    "frequency_hz": ("Freq", "hertz", 20.0, 20_000.0),
    "gain_db": ("Gain", "decibel", -12.0, 12.0),
    "q": ("Q", "linear", 0.3, 8.0),
}
_PAN, _VOLUME = ("Pan", "normalized", 0.0, 1.0), ("Volume", "linear", 0.0, 2.0)


def dawproject_files(session: Session) -> dict[str, Callable[[Path], object]]:
    """List the file of a DAWproject session, as `disk.write_together` takes it.

    Tracks play their files where they lie, by relative paths where possible. Of an embedded session they are in
    the ZIP as well, which can then be sent alone; their writers (`stem_writers`) come first.

    Args:
        session: The session.

    Returns:
        {"session.dawproject": a function that writes it at a path}.

    Example:
        >>> import diffmst_lib as dm
        >>> from diffmst_lib.export.session import build_session
        >>> result = dm.unity(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
        >>> list(dawproject_files(build_session(result.song, result.params, "mix")))
        ['session.dawproject']
    """
    return {FILE: lambda path: _write(session, path)}


def _write(session: Session, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, root in (("project.xml", project_xml(session)), ("metadata.xml", _metadata_xml(session))):
            ET.indent(root)
            content = ET.tostring(root, encoding="utf-8", xml_declaration=True)
            archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), content + b"\n")
        if session.embedded:
            for track in session.tracks:
                name = f"{AUDIO}/{track.clip.path.name}"
                with (
                    open(path.parent / name, "rb") as source,
                    archive.open(_entry(name, zipfile.ZIP_STORED), "w", force_zip64=True) as target,
                ):
                    shutil.copyfileobj(source, target, 1 << 20)


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type, entry.create_system, entry.external_attr = compression, 3, 0o644 << 16
    return entry


def _metadata_xml(session: Session) -> ET.Element:
    root = ET.Element("MetaData")
    ET.SubElement(root, "Title").text = text(session.title)
    ET.SubElement(root, "Comment").text = text("\n".join(dawproject_notes(session)))
    return root


def project_xml(session: Session) -> ET.Element:
    """Build the XML of a session, valid against DAWproject's Project.xsd.

    Args:
        session: The session.

    Returns:
        The element "Project".
    """
    course = moments(session)
    root = ET.Element("Project", version="1.0")
    ET.SubElement(root, "Application", name="Diff-MST", version=__version__)
    transport = ET.SubElement(root, "Transport")
    add_real(transport, ("Tempo", "bpm", 20.0, 666.0), TEMPO, "tempo")
    ET.SubElement(transport, "TimeSignature", id="time-signature", numerator="4", denominator="4")
    structure = ET.SubElement(root, "Structure")
    arrangement = ET.SubElement(root, "Arrangement", id="arrangement")
    lanes = ET.SubElement(arrangement, "Lanes", id="lanes", timeUnit="seconds")
    sends = [strip["send_db"] for _, strips, _ in course for strip in strips]
    top_db = max(0.0, *sends) if session.fx_bus is not None else None
    for row, track in enumerate(session.tracks):
        identity = f"track{row + 1}"
        element = _track(structure, identity, track.name, f"role: {track.role}", color=track.color)
        lane = ET.SubElement(lanes, "Lanes", id=f"{identity}-lanes", track=identity)
        _clip(lane, identity, track.name, track.clip, session)
        strip = [(time, strips[row]) for time, strips, _ in course]
        _channel(element, lane, identity, strip, top_db)
    notes = "\n".join(dawproject_notes(session))
    if top_db is not None:
        _effects_bus(structure, factor(top_db))
    element = _track(structure, MASTER, "Master", notes)
    lane = ET.SubElement(lanes, "Lanes", id=f"{MASTER}-lanes", track=MASTER)
    _channel(element, lane, MASTER, [(time, master) for time, _, master in course], None)
    if session.markers:
        markers = ET.SubElement(arrangement, "Markers", id="markers", timeUnit="seconds")
        for time, name in session.markers:
            ET.SubElement(markers, "Marker", time=number(time), name=text(name))
    return root


def _track(parent: ET.Element, identity: str, name: str, comment: str, **more: str) -> ET.Element:
    attributes = {"id": identity, "name": text(name), "comment": text(comment), **more}
    return ET.SubElement(parent, "Track", attributes, contentType="audio", loaded="true")


def _clip(lane: ET.Element, identity: str, name: str, clip: Clip, session: Session) -> None:
    seconds = number(clip.seconds)
    clips = ET.SubElement(lane, "Clips", id=f"{identity}-clips")
    element = ET.SubElement(
        clips,
        "Clip",
        name=text(name),
        time=number(clip.start_s),
        duration=seconds,
        contentTimeUnit="seconds",
        playStart="0",
    )
    audio = ET.SubElement(
        element,
        "Audio",
        id=f"{identity}-audio",
        algorithm="raw",
        channels=str(clip.channels),
        sampleRate=str(clip.sample_rate),
        duration=seconds,
    )
    if session.embedded:
        ET.SubElement(audio, "File", path=text(f"{AUDIO}/{clip.path.name}"), external="false")
    else:
        ET.SubElement(audio, "File", path=text(_path(clip.path, session.folder)), external="true")


def _path(path: Path, folder: Path) -> str:
    """Write a path as seen from a folder, with slashes; as it is where none leads there (another drive)."""
    try:
        seen = os.path.relpath(os.path.realpath(path.parent), os.path.realpath(folder))
    except ValueError:
        return path.as_posix()
    return (Path(seen) / path.name).as_posix()


def _channel(
    track: ET.Element,
    lane: ET.Element,
    identity: str,
    course: list[tuple[float, Knobs]],
    send_top_db: float | None,
) -> None:
    """Add a channel's devices, pan, send and volume to its track, and what moves to its lane.

    It is stereo for a mono stem too: mono channels have their workstation's pan law, -3 dB in the middle.
    """
    knobs = [at for _, at in course]
    times = [time for time, _ in course]
    compressed, turned = is_compressed(knobs), bands(knobs)
    values = [channel_values(at, compressed=compressed, send_top_db=send_top_db or 0.0) for at in knobs]
    role = MASTER if identity == MASTER else "regular"
    channel = ET.SubElement(
        track, "Channel", id=f"{identity}-channel", role=role, audioChannels="2", solo="false"
    )
    if identity != MASTER:
        channel.set("destination", f"{MASTER}-channel")

    def add(parent: ET.Element, spec: Parameter, name: str, every: list[float]) -> None:
        parameter = f"{identity}-{name}"
        add_real(parent, spec, every[0], parameter)
        add_points(lane, spec[1], parameter, times, every)

    devices = ET.SubElement(channel, "Devices") if turned or compressed else channel
    if turned:
        equalizer = add_device(devices, "Equalizer", f"{identity}-equalizer", "Equalizer")
        for band in turned:
            kind = _TYPES.get(band, "bell")
            element = ET.SubElement(equalizer, "Band", type=kind, order=str(EQ_BANDS.index(band)))
            for knob, spec in _BAND.items():
                add(element, spec, f"{band}-{spec[0].lower()}", [at[f"{band}_{knob}"] for at in knobs])
    one, *two = _COMPRESSORS
    for place, title in enumerate((two if is_doubled(knobs) else [one]) if compressed else []):
        compressor = add_device(devices, "Compressor", f"{identity}-compressor{place + 1}", title)
        for name, spec in _COMPRESSORS[title].items():
            if name != "input" or any(at["input"] for at in values):
                add(compressor, spec, f"compressor{place + 1}-{spec[0].lower()}", [at[name] for at in values])
            if name.endswith("attack"):
                automatic = f"{identity}-compressor{place + 1}-automakeup"
                ET.SubElement(compressor, "AutoMakeup", id=automatic, value="false")
    if "pan" in values[0]:
        add(channel, _PAN, "pan", [at["pan"] for at in values])
    if send_top_db is not None and any(at["send"] for at in values):
        sends = ET.SubElement(channel, "Sends")
        send = ET.SubElement(sends, "Send", id=f"{identity}-send", type="post", destination=f"{FX}-channel")
        add(send, ("Volume", "linear", 0.0, 1.0), "send-volume", [at["send"] for at in values])
    add(channel, _VOLUME, "volume", [at["volume"] for at in values])


def _effects_bus(structure: ET.Element, volume: float) -> None:
    """Add the bus of the reverb: muted, because without its reverb it would return the sends as they are."""
    comment = "Put a reverb here, wet only, and switch the channel on."
    track = _track(structure, FX, "Reverb", comment, color="#7d8597")
    channel = ET.SubElement(
        track,
        "Channel",
        id=f"{FX}-channel",
        role="effect",
        audioChannels="2",
        solo="false",
        destination=f"{MASTER}-channel",
    )
    ET.SubElement(channel, "Mute", id=f"{FX}-mute", name="Mute", value="true")
    add_real(channel, _PAN, 0.5, f"{FX}-pan")
    add_real(channel, ("Volume", "linear", 0.0, 4.0), volume, f"{FX}-volume")
