"""A project of Reaper, read back from its text and rendered from its files, without anything of ours."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rpp
import soundfile
from jsfx_host import reported_delay, run_plugins, with_envelopes, with_file, with_sliders


@dataclass
class Rendering:
    """What comes out: the mix (2, T) and each track before the master, by name, delays taken back."""

    mix: np.ndarray
    tracks: dict[str, np.ndarray]
    sample_rate: int
    delays: dict[str, int]


class Project:
    """A project's text as a tree, its numbers as numbers."""

    def __init__(self, path: Path):
        self.folder, self.tree = path.parent, rpp.loads(path.read_text(encoding="utf-8"))
        self.sample_rate = int(words(self.tree, "SAMPLERATE")[0])
        self.tracks = self.tree.findall("TRACK")

    def plugin(self, chain) -> tuple[str, list[float]]:
        """Return the file's name of the plug-in in a chain of effects, and its sliders."""
        js = chain.find("JS")
        project, name = js.attrib[0].split("/", 1)
        assert project == "<Project>" and len(js.children[0]) == 64
        return name, [float(word) for word in js.children[0] if word != "-"]


def words(element, tag: str) -> list[str]:
    """Return what stands behind a word in its first line."""
    return element.find(tag)[1:]


def render_project(path: Path, scratch: Path) -> Rendering:
    """Render a project whose plug-ins and stems lie where it says."""
    project = Project(path)
    rate, sources = project.sample_rate, [t for t in project.tracks if t.find("ITEM") is not None]
    length = round(float(words(project.tree, "RENDER_RANGE")[2]) * rate)
    plugins, sounds = zip(*(_strip(project, track, length) for track in sources), strict=True)
    buses = [t for t in project.tracks if t.find("ITEM") is None]
    master, sliders = project.plugin(project.tree.find("MASTERFXLIST"))
    texts = {
        "strip": plugins[0],
        "master": _moving(with_sliders(_text(project, master), sliders), project.tree.find("MASTERFXLIST")),
    }
    texts |= {words(bus, "NAME")[0]: _reverb(project, bus) for bus in buses}
    delays = dict(
        zip(texts, reported_delay(list(texts.values()), sample_rate=rate, folder=scratch), strict=True)
    )

    def run(plugins, sounds, delay):
        padded = [np.pad(sound, ((0, 0), (0, delay))) for sound in sounds]
        made = run_plugins(plugins, padded, sample_rate=rate, folder=scratch)
        return [sound[:, delay:] for sound in made]

    wet = run(plugins, sounds, delays["strip"])
    wet = [
        sound * _volume(words(track, "VOLPAN")) * _course(track.find("VOLENV2"), length, rate)
        for sound, track in zip(wet, sources, strict=True)
    ]
    tracks = dict(zip((words(track, "NAME")[0] for track in sources), wet, strict=True))
    for bus in buses:
        name, sent = words(bus, "NAME")[0], np.zeros((2, length))
        for receive in bus.findall("AUXRECV"):
            source, after_fader, gain = int(receive[1]), receive[2] == "0", float(receive[3])
            assert after_fader
            sent += gain * wet[source]
        (heard,) = run([texts[name]], [sent], delays[name])
        tracks[name] = heard * _volume(words(bus, "VOLPAN"))
    (mix,) = run([texts["master"]], [sum(tracks.values())], delays["master"])
    return Rendering(mix * _volume(words(project.tree, "MASTER_VOLUME")), tracks, rate, delays)


def _volume(fields: list[str]) -> float:
    volume, pan = map(float, fields[:2])
    assert pan == 0.0  # then, with PANLAW 1, Reaper leaves the channels alone
    return volume


def _strip(project: Project, track, length: int) -> tuple[str, np.ndarray]:
    """Return a track's plug-in with its values, and what its item plays."""
    item = track.find("ITEM")
    sound, rate = soundfile.read(project.folder / words(item.find("SOURCE"), "FILE")[0], always_2d=True)
    assert rate == project.sample_rate
    start, seconds, skipped = (float(words(item, tag)[0]) for tag in ("POSITION", "LENGTH", "SOFFS"))
    begin, first, count = (round(rate * s) for s in (start, skipped, seconds))
    played = np.zeros((2, length))
    part = sound[first : first + count].T  # a mono file plays on both sides
    played[:, begin : begin + part.shape[1]] = part
    name, values = project.plugin(track.find("FXCHAIN"))
    played *= float(words(item, "VOLPAN")[0]) * _course(track.find("VOLENV"), length, rate)
    return _moving(with_sliders(_text(project, name), values), track.find("FXCHAIN")), played


def _moving(plugin: str, chain) -> str:
    """Return a plug-in whose sliders follow the envelopes in its chain."""
    names = re.findall(r"(?m)^slider\d+:(\w+)=", plugin)
    return with_envelopes(plugin, {names[int(e.attrib[0])]: _points(e) for e in chain.findall("PARMENV")})


def _points(block) -> list[tuple[float, float]]:
    return [(float(time), float(value)) for _, time, value, _ in block.findall("PT")]


def _course(block, length: int, rate: int) -> np.ndarray | float:
    return 1.0 if block is None else np.interp(np.arange(length) / rate, *zip(*_points(block), strict=True))


def _reverb(project: Project, bus) -> str:
    name, _ = project.plugin(bus.find("FXCHAIN"))
    text = _text(project, name)
    (file,) = (line.split(",")[1] for line in text.splitlines() if line.startswith("filename:0,"))
    return with_file(text, *soundfile.read(project.folder / "Effects" / file))


def _text(project: Project, name: str) -> str:
    return (project.folder / "Effects" / name).read_text(encoding="utf-8")
