"""Files of settings: read whatever version wrote them, refused with file and field, put beside a song."""

import json

import pytest
import torch
from console_settings import unit

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, InputError
from diffmst_lib.console.automation import Automation
from diffmst_lib.console.settings_file import for_stems, load_params

NAMES = ["kick", "vox_lead", "vox_double"]


@pytest.fixture
def params():
    return ConsoleParams.from_unit(*unit(3), names=NAMES)


@pytest.fixture
def file(tmp_path, params):
    path = tmp_path / "params.json"
    path.write_text(params.to_json(), encoding="utf-8")
    return path


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        load_params(path, **options)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600
    return text


def same(one, other):
    return one.names == other.names and all(
        torch.equal(getattr(one, part), getattr(other, part))
        for part in ("tracks", "fx_bus_values", "master_bus_values")
    )


def test_a_file_is_read_as_it_was_written_to_the_last_bit(file, params):
    assert same(dm.load_params(file), params)
    assert same(load_params(file.parent), params)  # the folder of a saved mix
    assert same(load_params(str(file), stems=NAMES), params)


def test_sections_come_back(file, params):
    chorus = params.clone()
    chorus.track("vox_lead")["fader_db"] = 1.5
    moving = Automation([0.0, 12.5], [params, chorus], ["verse", "chorus"], loudest=1)
    file.write_text(moving.to_json(), encoding="utf-8")
    read = load_params(file, stems=list(reversed(NAMES)))
    assert isinstance(read, Automation)
    assert (read.starts_s, read.labels, read.loudest) == ([0.0, 12.5], ["verse", "chorus"], 1)
    for one, other in zip(read.consoles, (params, chorus), strict=True):
        assert same(one, for_stems(other, list(reversed(NAMES))))


def test_strips_come_in_the_order_of_the_stems(params):
    turned = for_stems(params, ["vox_double", "kick", "vox_lead"])
    assert turned.names == ["vox_double", "kick", "vox_lead"]
    for name in NAMES:
        assert dict(turned.track(name)) == dict(params.track(name))
    assert for_stems(params, NAMES) is params
    accented = ConsoleParams.neutral(["cafe\u0301"])
    assert for_stems(accented, ["caf\u00e9"]).names == ["caf\u00e9"]


def test_a_console_of_channels_has_two_strips_for_a_stereo_stem():
    params = ConsoleParams.neutral(["pad.L", "pad.R", "kick"], preset="reference")
    assert for_stems(params, ["kick", "pad"]).names == params.names
    with pytest.raises(InputError, match=r"^tracks\.kick: no such stem"):
        for_stems(params, ["pad"])
    with pytest.raises(InputError, match=r"^tracks\.bass is missing: the song has a stem of that name$"):
        for_stems(params, ["pad", "kick", "bass"])


def test_strips_that_are_not_the_songs(file):
    said = refused(file, stems=["kick", "vox_led", "vox_double"])
    assert said == f"{file}: tracks.vox_lead: no such stem, did you mean 'vox_led'?"
    assert refused(file, stems=[*NAMES, "bass"]).endswith(
        "tracks.bass is missing: the song has a stem of that name"
    )
    assert "tracks.vox_double: no such stem, the song has kick, vox_lead" in refused(file, stems=NAMES[:2])


def edited(file, old, new):
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def changed(file, change):
    data = json.loads(file.read_text("utf-8"))
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["tracks"]["vox_lead"].update(pan=1.4), "tracks.vox_lead.pan: 1.4 is outside 0 to 1"),
        (
            lambda d: d["tracks"]["kick"].update(fader_db=99),
            "tracks.kick.fader_db: 99 dB is outside -60 to 12 dB",
        ),
        (lambda d: d["tracks"]["kick"].update(pan="0.5"), "tracks.kick.pan takes one number, got '0.5'"),
        (lambda d: d["tracks"]["kick"].update(pan=float("nan")), "tracks.kick.pan takes one number, got NaN"),
        (lambda d: d["master_bus"].pop("ratio"), "master_bus.ratio is missing"),
        (
            lambda d: d["master_bus"].update(raito=d["master_bus"].pop("ratio")),
            "master_bus.raito: no such knob, did you mean 'ratio'?",
        ),
        (lambda d: d.update(section={}), "'section': no such field, did you mean 'sections'?"),
        (lambda d: d.update(sections=3), "sections is of the wrong kind: 3"),
        (lambda d: d.update(version=5), "version 5, this library reads versions 1 to 4"),
        (lambda d: d.update(preset="warmer"), "no console is registered as 'warmer'"),
    ],
)
def test_the_field_is_named(file, change, message):
    said = refused(changed(file, change))
    assert said.startswith(f"{file}: {message}") and "not a console's JSON" not in said


def test_line_and_column_are_named(file):
    edited(file, '"preset": "default",', '"preset": "default",,')
    assert refused(file).startswith(f"{file}: line 4, column 23: a comma too many")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the text is empty"),
        (b"  \n", "the text is empty"),
        (b'{"format": "diffmst-console",\n}', "line 1, column 29: a comma with nothing after it"),
        (b'{"a": [1, 2, ]}', "line 1, column 12: a comma with nothing after it"),
        (b'{"a": 1\n "b": 2}', "line 2, column 2: a comma or a closing bracket is missing before"),
        (b'{"a": 1,\n', "the text ends too early"),
        (b"{'a': 1}", "line 1, column 2: names and texts stand in double quotes"),
        (b'{"a": 1, // loud\n "b": 2}', "line 1, column 10: JSON has no comments"),
        (b'{"a": 1, "a": 2}', "'a' stands there twice"),
        (b"\xff\xfe{\x00}\x00", "not a text in UTF-8"),
        (b"[1, 2]", "a value of the wrong kind: [1, 2]"),
        (b"[" * 100_000, "its brackets are nested too deeply"),
    ],
)
def test_text_that_is_no_json(file, text, message):
    file.write_bytes(text)
    assert refused(file).startswith(f"{file}: ") and message in refused(file)


def test_files_that_cannot_be_read(tmp_path, file):
    assert refused(tmp_path / "other.json") == f"{tmp_path / 'other.json'}: there is no such file"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refused(empty).endswith("params.json: there is no such file")
    assert "cannot be read" in refused("a\0b") or "no such file" in refused("a\0b")
    with file.open("wb") as stream:
        stream.truncate(65 * 2**20)  # a hole: it takes no room
    assert refused(file).endswith("too large for a console's settings")


def test_a_byte_order_mark_does_not_matter(file, params):
    file.write_bytes(b"\xef\xbb\xbf" + params.to_json().encode())
    assert same(load_params(file), params)
