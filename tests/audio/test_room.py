"""Sounds that do not fit into memory are refused before they are read."""

import pytest
import torch

from diffmst_lib import InputError, load_audio, load_multitrack
from diffmst_lib.audio import room
from diffmst_lib.audio.room import check_room, free_bytes


def test_free_memory_is_a_number_where_the_system_says_it():
    assert free_bytes() is None or 0 <= free_bytes() < 2**50


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda: 3 * 10**9)
    check_room(2.9e9, "a song")
    with pytest.raises(InputError, match=r"^a song: 3\.1 GB of memory needed, 3\.0 GB free$"):
        check_room(3.1e9, "a song")
    monkeypatch.setattr(room, "free_bytes", lambda: None)
    check_room(1e30, "a song")


def test_little_is_never_refused(monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda: 0)
    check_room(1e6, "a song")


def test_a_file_of_two_hours_costs_one_line(write, noise, tmp_path, monkeypatch):
    write("song/bass.wav", noise(1, 4410))
    hours = write("song/jam.wav", torch.zeros(1, 8000), 8000, "PCM_U8")
    sound = hours.read_bytes()
    size = 2 * 3600 * 8000
    with open(hours, "r+b") as file:  # a long file with a hole
        file.write(sound[:4] + (size + 36).to_bytes(4, "little") + sound[8:40] + size.to_bytes(4, "little"))
        file.truncate(44 + size)
    monkeypatch.setattr(room, "free_bytes", lambda: 10**9)
    with pytest.raises(
        InputError, match=r"jam\.wav: 120 minutes of sound: 1\.5 GB of memory needed, 1\.0 GB free$"
    ):
        load_audio(hours)
    with pytest.raises(InputError, match=r"jam\.wav: 120 minutes of sound: "):
        load_multitrack(tmp_path / "song")


def test_a_song_that_does_not_fit_costs_one_line(write, noise, tmp_path, monkeypatch):
    for name in ("bass", "kick"):
        write(f"song/{name}.wav", noise(1, 44100))
    monkeypatch.setattr(room, "free_bytes", lambda: 10**6)
    monkeypatch.setattr(room, "SURE", 0)
    with pytest.raises(
        InputError, match=r"song: 2 stems of 0 minutes: 0\.0 GB of memory needed, 0\.0 GB free$"
    ):
        load_multitrack(tmp_path / "song")
