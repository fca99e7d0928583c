"""Pages of Ogg files."""

import io

import pytest
from sound_files import sweep, write_sound

from diffmst_lib.audio.ogg import read_pages


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return write_sound(tmp_path_factory.mktemp("ogg") / "a.ogg", sweep(3)).read_bytes()


def pages(content):
    found = read_pages(io.BytesIO(content))
    return found.starts, found.damaged, found.ended


def test_whole(content):
    assert pages(content) == ([0], False, True)
    assert read_pages(io.BytesIO(b"fLaC" + bytes(100))) is None


def test_joined(content):
    assert pages(content * 3) == ([0, len(content), 2 * len(content)], False, True)


@pytest.mark.parametrize("rest", [0, 10, 100])
def test_cut(content, rest):
    """Between two pages, within a page's head and within a page."""
    last = content.rindex(b"OggS")
    assert pages(content[: last + rest])[1:] == (rest == 10, False)


def test_one_wrong_byte_is_found_by_the_checksum(content):
    for place in range(100, len(content) - 1, len(content) // 50):
        wrong = bytearray(content)
        wrong[place] ^= 1
        assert pages(bytes(wrong))[1]


def test_a_page_that_is_missing(content):
    places = [i for i in range(len(content)) if content[i : i + 4] == b"OggS"]
    assert pages(content[: places[3]] + content[places[4] :]) == ([0], True, True)
