"""The option that says what stems are."""

import argparse

import pytest
import torch

from diffmst_lib import InputError, Multitrack
from diffmst_lib.command.roles import add_role_arguments, role_of_stem, set_roles
from diffmst_lib.network.roles import lead_voice, roles


def options(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_role_arguments(parser)
    return parser.parse_args([part for one in arguments for part in ("--role", one)])


@pytest.fixture
def song():
    return Multitrack(["x1", "caf\u00e9", "a=b"], torch.zeros(3, 2, 100))


def test_roles_by_hand_count(song):
    set_roles(song, options("x1=voice", "cafe\u0301 = Bass", "a=b=drums"))
    assert roles(song) == {"x1": "voice", "caf\u00e9": "bass", "a=b": "drums"}
    assert lead_voice(song) == "x1"


def test_without_the_option_nothing_is_said(song):
    set_roles(song, options())
    assert song.roles == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("voice", "must be a stem and its role"),
        ("=voice", "must be a stem and its role"),
        (" =voice", "must be a stem and its role"),
        ("x1=", "the role of a stem is one of voice, drums"),
        ("x1=tuba", "the role of a stem is one of voice, drums, bass, keys, guitar, other, not tuba"),
    ],
)
def test_what_is_no_role(text, says):
    with pytest.raises(argparse.ArgumentTypeError, match=says):
        role_of_stem(text)


def test_stems_that_are_not_there_or_twice(song):
    with pytest.raises(InputError, match=r"^--role names no stem x2: there are x1, café, a=b$") as caught:
        set_roles(song, options("x2=voice"))
    assert caught.value.about == "song"
    with pytest.raises(InputError, match=r"^--role names x1 twice$"):
        set_roles(song, options("x1=voice", "x1=bass"))
