"""The page of a listening test as a file; the browser's tests are apart."""

import json
import re

import pytest
from listening_tests import keep_mixes

from diffmst_lib.evaluation.listening.building import build_page, open_seal, seal_id
from diffmst_lib.inputs import InputError, InputNote

pytestmark = pytest.mark.filterwarnings("ignore:the shortest loop")


def shown(page):
    """What the page's scripts know, and the names of its sounds."""
    text = page.read_text("utf-8")
    data = json.loads(re.search(r'id="test">(.*?)</script>', text)[1])
    return data, re.findall(r'data-sound="(\w+)"', text)


def test_the_key_is_whole_and_sealed(page):
    data, sounds = shown(page)
    key = open_seal(data["sealed"])
    assert data["test"] == seal_id(data["sealed"]) and key["title"] == "Ears & <eyes>"
    assert key["lufs"] <= -23 and len(key["pages"]) == 2
    assert sorted(page["song"] for page in key["pages"]) == ["one", "two"]
    for number, known in enumerate(sorted(key["pages"], key=lambda page: page["page"])):
        assert data["pages"][number]["stimuli"] == sorted(known["stimuli"])
        roles = {one["system"]: one["role"] for one in known["stimuli"].values()}
        assert roles == {"equal-loudness": "anchor", "human": "human", "rules": "system", "small": "system"}
        assert 30.0 <= known["start_s"] < 32.0 and known["seconds"] == 2.0
    named = {name for page in data["pages"] for name in (page["record"], *page["stimuli"])}
    assert named == set(sounds) and sounds == sorted(sounds) and len(sounds) == 10


def test_the_page_names_nobody_and_asks_nobody(page):
    text = page.read_text("utf-8")
    without_sounds = re.sub(r'data-sound="\w+">[^<]*<', "", text).partition('id="test">')
    assert not re.search(r"https?://|src=|@import|url\(", without_sounds[0] + without_sounds[2])
    assert "default-src 'none'" in text
    data, _ = shown(page)
    assert not re.search("rules|equal-loud|record 1|30.0", json.dumps({**data, "sealed": "", "scales": ""}))
    assert "<title>Ears &amp; &lt;eyes&gt;</title>" in text and "<eyes>" not in text


def test_the_same_again_is_the_same_test_and_replaces_the_page(tmp_path):
    keep_mixes(tmp_path)
    options = {"pages": 1, "systems": ["rules", "small"], "format": "flac"}
    first = build_page(tmp_path, **options)
    before = shown(first)
    assert build_page(tmp_path, **options) == first and shown(first) == before
    other = build_page(tmp_path, **options, seed=1, output=tmp_path / "other")
    assert shown(other)[0]["test"] != before[0]["test"] and shown(first) == before
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["index.html"]


def test_what_is_left_out_is_told_and_nothing_is_written(tmp_path):
    keep_mixes(tmp_path, songs=("one",))
    for name in ("rules", "small", "human"):
        (tmp_path / f"mixes/001/{name}.flac").write_bytes(b"")
    with (
        pytest.warns(InputNote, match="left out"),
        pytest.raises(InputError, match="no pair is left that could be rated"),
    ):
        build_page(tmp_path, pages=1)
    assert not (tmp_path / "listening").exists()


def test_short_loops_and_few_pages_are_told(tmp_path):
    keep_mixes(tmp_path, songs=("one",), systems=("rules", "small"))
    with pytest.warns(InputNote) as notes:
        build_page(tmp_path, format="flac")
    told = [str(one.message) for one in notes]
    assert told == [
        "the test has no hidden anchor: the evaluation has no mixes by equal-loudness",
        "only 1 of 6 pages: there are no more pairs",
        "the shortest loop is 2.0 s; from 10 s on, more of a mix can be heard",
    ]


@pytest.mark.parametrize(
    "options", [{"seconds": 0.5}, {"seconds": 90}, {"pages": 0}, {"format": "mp3"}, {"seconds": float("nan")}]
)
def test_wrong_options_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build_page(tmp_path, **options)


@pytest.mark.parametrize("sealed", ["", "???", "e30=", "eJwDAAAAAAE="])
def test_a_damaged_key_is_refused(sealed):
    with pytest.raises(ValueError):
        open_seal(sealed)
