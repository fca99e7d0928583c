"""Plug-ins in JSFX, run by an engine that nobody here wrote: Pure Data with jsusfx, both from Debian."""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

BLOCK = 64  # samples that Pure Data computes at a time
ENGINE = Path("/usr/lib/pd/extra/jsusfx~")


def need_jsfx_host() -> None:
    """Skip a test where Pure Data is missing, or fail it where DIFFMST_REQUIRE_PD=1."""
    if shutil.which("pd") is None or not ENGINE.is_dir():
        missing = "puredata-core and pd-jsusfx are not installed: no plug-in was run"
        pytest.fail(missing) if os.environ.get("DIFFMST_REQUIRE_PD") == "1" else pytest.skip(missing)


def with_sliders(plugin: str, values: list[float]) -> str:
    """Return a plug-in whose sliders start at values, in their order."""
    at = iter(values)
    text, count = re.subn(r"(?m)^(slider\d+:\w+=)[-+.\w]+", lambda m: f"{m[1]}{next(at)!r}", plugin)
    assert count == len(values)
    return text


def run_plugins(
    plugins: list[str], sounds: list[np.ndarray], *, sample_rate: int, folder: Path
) -> list[np.ndarray]:
    """Run each plug-in on its sound (2, T) and return what comes out, (2, T), without taking delays back.

    All sounds are of the same length.
    """
    folder, length = Path(tempfile.mkdtemp(dir=folder)), sounds[0].shape[-1]
    lines, wires = ["#N canvas 0 0 400 300 10;"], []

    def add(text: str) -> int:
        lines.append(f"#X {text};")
        return len(lines) - 2

    # Sounds go through tables: reading and writing files while sound runs is a matter of threads, and of luck.
    # What starts at once starts with the first block, for the plug-in as well.
    load = add("obj 0 0 loadbang")
    ended = add(f"obj 0 0 delay {20 + 1000 * (length + BLOCK) / sample_rate:.0f}")
    in_turn, leave = add("obj 0 0 t b b"), add("msg 0 0 \\; pd quit")
    wires += [(load, 0, ended, 0), (ended, 0, in_turn, 0), (in_turn, 0, leave, 0)]
    for i, (plugin, sound) in enumerate(zip(plugins, sounds, strict=True)):
        assert sound.shape == (2, length)
        (folder / f"plugin{i}.jsfx").write_text(plugin, encoding="utf-8")
        soundfile.write(folder / f"in{i}.wav", sound.T, sample_rate, subtype="FLOAT")
        files, runs = add("obj 0 0 soundfiler"), add(f"obj 0 0 jsfx~ plugin{i}.jsfx")
        read = add(f"msg 0 0 read in{i}.wav in{i}-0 in{i}-1")
        write = add(f"msg 0 0 write -wave -bytes 4 out{i}.wav out{i}-0 out{i}-1")
        wires += [(load, 0, read, 0), (read, 0, files, 0), (in_turn, 1, write, 0), (write, 0, files, 0)]
        for channel in range(2):
            add(f"obj 0 0 table in{i}-{channel} {length}")
            add(f"obj 0 0 table out{i}-{channel} {length}")
            plays = add(f"obj 0 0 tabplay~ in{i}-{channel}")
            keeps = add(f"obj 0 0 tabwrite~ out{i}-{channel}")
            wires += [(load, 0, plays, 0), (load, 0, keeps, 0)]
            wires += [(plays, 0, runs, channel), (runs, channel, keeps, 0)]
    lines += [f"#X connect {a} {b} {c} {d};" for a, b, c, d in wires]
    (folder / "patch.pd").write_text("\n".join(lines) + "\n")
    command = ["pd", "-nogui", "-batch", "-noaudio", "-nomidi", "-r", str(sample_rate), "-path", str(ENGINE)]
    command += ["-lib", "jsusfx~", "-open", "patch.pd", "-send", "pd dsp 1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert "error" not in done.stderr, done.stderr
    results = [soundfile.read(folder / f"out{i}.wav", dtype="float64")[0].T for i in range(len(plugins))]
    assert all(result.shape == (2, length) for result in results), done.stderr
    return results


def reported_delay(plugins: list[str], *, sample_rate: int, folder: Path) -> list[int]:
    """Return how many samples each plug-in says that it delays both channels."""
    telling = [
        f"{plugin}\nspl0 = pdc_bot_ch == 0 && pdc_top_ch == 2 ? pdc_delay : -1;\n" for plugin in plugins
    ]
    silence = [np.zeros((2, BLOCK))] * len(plugins)
    told = run_plugins(telling, silence, sample_rate=sample_rate, folder=folder)
    return [round(sound[0, 0]) for sound in told]


def with_envelopes(plugin: str, courses: dict[str, list[tuple[float, float]]]) -> str:
    """Return a plug-in whose sliders move from block to block, straight between points (seconds, value)."""
    if not courses:
        return plugin
    code = ["clock = clocked * samplesblock / srate;", "clocked += 1;"]
    for name, points in courses.items():
        for (start, old), (end, new) in itertools.pairwise(points):
            value = f"{old!r} + ({new - old!r}) * min((clock - {start!r}) / {max(end - start, 0.001)!r}, 1)"
            code.append(f"clock >= {start!r} ? {name} = {value};")
    moved = re.search(r"(?ms)^@slider\n(.*?)^@block\n", plugin)[1]
    return plugin.replace("@block\n", "@block\n" + "\n".join(code) + "\n" + moved)


def with_file(plugin: str, samples: np.ndarray, sample_rate: int) -> str:
    """Return a plug-in that finds a sound file (T, channels), which the engine has no functions to read.

    They stand in its @init section, with the samples as strings: five digits of base 40 each.
    """
    scale = np.abs(samples).max() or 1.0
    numbers = np.round((samples.ravel() / scale + 1.0) / 2.0 * (40**5 - 1)).astype(np.int64)
    digits = np.stack([numbers // 40**power % 40 for power in range(4, -1, -1)], axis=-1)
    letters = (digits + ord("0")).astype(np.uint8).tobytes().decode()
    step = 5 * 600  # letters a line; the engine reads 4,096
    parts = [f'  put("{letters[i : i + step]}");' for i in range(0, len(letters), step)]
    functions = f"""
function file_open(index) ( 1; );
function file_close(file) ( 0; );
function file_avail(file) ( {samples.size}; );
function put(text) local(i number)
(
  i = 0;
  loop(strlen(text) / 5,
    number = 0;
    loop(5, number = number * 40 + str_getchar(text, i) - 48; i += 1; );
    file_to[0] = (number / {40**5 - 1} * 2 - 1) * {float(scale)!r};
    file_to += 1;
  );
);
function file_mem(file, to, length)
(
  file_to = to;
{chr(10).join(parts)}
  length;
);
"""
    plugin = plugin.replace("file_riff(file, channels, rate);", f"channels = {samples.shape[1]};")
    return plugin.replace("@init\n", "@init\n" + functions, 1)
