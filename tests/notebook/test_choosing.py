"""Choosing your own stems and a record in a notebook: uploads of both versions of ipywidgets, ZIPs, paths."""

import io
import warnings
import zipfile
from datetime import UTC, datetime

import pytest
import soundfile
import torch

import diffmst_lib as dm
from diffmst_lib import InputError, InputNote
from diffmst_lib.notebook.choosing import choose, read_stems, uploads

RATE = 44100
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def sound(seconds=0.2, channels=2, seed=0):
    """A short WAV in memory."""
    noise = 0.1 * torch.randn(round(seconds * RATE), channels, generator=torch.Generator().manual_seed(seed))
    file = io.BytesIO()
    soundfile.write(file, noise.numpy(), RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def archive(files, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return file.getvalue()


def sent(files):
    """As ipywidgets 8 gives what a browser sent."""
    return tuple(
        {
            "name": name,
            "type": "audio/wav",
            "size": len(data),
            "content": memoryview(data),
            "last_modified": WHEN,
        }
        for name, data in files.items()
    )


def upload(choice, what, files):
    choice.controls[what].set_trait("value", ())
    choice.controls[what].value = sent(files)


STEMS = {"kick.wav": sound(), "vox lead.wav": sound(0.3, 1, seed=1)}


def load(choice):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputNote)
        song, record = choice.load()
    return song, record, [str(one.message) for one in caught]


def test_without_a_user_the_librarys_own_song_is_taken_and_told(data):
    song, record, told = load(choose())
    assert (song.title, record.shape[0]) == ("rubidium", 2)
    assert torch.equal(record, dm.load_audio(data / "references" / "vibe_ace.ogg"))
    assert told == [
        "nothing was chosen: the song is rubidium, the record vibe_ace.ogg, which come with the library"
    ]


def test_several_files_and_a_record():
    choice = choose()
    upload(choice, "stems", STEMS)
    upload(choice, "record", {"record.wav": sound(0.4)})
    assert "kick.wav, vox lead.wav" in choice.box.children[-1].value
    song, record, told = load(choice)
    assert song.names == ["kick", "vox lead"] and song.title == "my song"
    assert not any(song.sources.values()) and song.audio.shape == (2, 2, round(0.3 * RATE))
    assert record.shape == (2, round(0.4 * RATE)) and not any("chosen" in one for one in told)


@pytest.mark.parametrize("folder", ["", "My song/", "My song/stems/"])
def test_a_zip(tmp_path, folder):
    files = {f"{folder}{name}": data for name, data in STEMS.items()} | {"__MACOSX/._kick.wav": b"x"}
    choice = choose()
    upload(choice, "stems", {"song.zip": archive(files)})
    song, _, told = load(choice)
    assert song.names == ["kick", "vox lead"] and song.title == (folder.split("/")[0] or "song")
    assert not any(song.sources.values())  # what was unpacked is gone again
    assert any("no record was chosen: it is vibe_ace.ogg" in one for one in told)
    (tmp_path / "song.zip").write_bytes(archive(files))
    choice = choose()
    choice.controls["stems_path"].value = f' "{tmp_path / "song.zip"}" '  # as a file manager copies it
    assert load(choice)[0].names == ["kick", "vox lead"]


def test_paths_come_first(tmp_path):
    for name, data in STEMS.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "record.flac").write_bytes(sound(0.5, 1))
    choice = choose()
    upload(choice, "stems", {"other.wav": sound()})
    choice.controls["stems_path"].value = str(tmp_path)
    choice.controls["record_path"].value = str(tmp_path / "record.flac")
    assert str(tmp_path) in choice.box.children[-1].value
    song, record, _ = load(choice)
    assert song.sources["kick"].path == tmp_path / "kick.wav"
    assert "other" not in song.names and "kick" in song.names
    assert torch.equal(record[0], record[1]) and record.shape == (2, round(0.5 * RATE))


def test_an_older_ipywidgets_gives_a_dictionary():
    value = {name: {"metadata": {"name": name}, "content": data} for name, data in STEMS.items()}
    assert [(one.name, one.content) for one in uploads(value)] == list(STEMS.items())
    assert [one.name for one in uploads(({"name": "C:\\songs\\kick.wav", "content": b""},))] == ["kick.wav"]
    assert [one.name for one in uploads(({"name": "../../kick.wav", "content": b""},))] == ["kick.wav"]


@pytest.mark.parametrize(
    ("stems", "record", "message"),
    [
        ({"song.zip": b"PK no zip"}, {}, r"^song\.zip: cannot be unpacked \(File is not a zip file\)$"),
        ({"song.zip": archive({"read me.txt": b"hello"})}, {}, "no audio files in this folder"),
        ({"song.zip": archive(STEMS), "kick.wav": sound()}, {}, r"^song\.zip: upload one ZIP with all stems"),
        ({"notes.txt": b"hello"}, {}, "no audio files in this folder"),
        ({"kick.wav": b"RIFF and no more"}, {}, r"^[^\n]*kick\.wav"),
        (STEMS, {"record.wav": b"hello"}, r"^[^\n]*record\.wav"),
        (STEMS, {"record.wav": sound(channels=3)}, r"^record\.wav: 3 channels, a record has two$"),
    ],
)
def test_bad_uploads_are_refused_in_one_line_and_nothing_is_lost(stems, record, message):
    choice = choose()
    upload(choice, "stems", stems)
    upload(choice, "record", record)
    for _ in range(2):
        with pytest.raises(InputError, match=message) as caught:
            choice.load()
        assert "\n" not in str(caught.value)
    upload(choice, "stems", STEMS)
    upload(choice, "record", {"record.wav": sound()})
    assert load(choice)[0].names == ["kick", "vox lead"]


def test_bad_paths_are_refused_in_one_line(tmp_path):
    choice = choose()
    choice.controls["stems_path"].value = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere: no such folder of stems$"):
        choice.load()
    (tmp_path / "kick.wav").write_bytes(sound())
    choice.controls["stems_path"].value = str(tmp_path / "kick.wav")
    with pytest.raises(InputError, match=r"^kick\.wav: stems are a folder or a ZIP, not one file$"):
        choice.load()


def test_a_zip_leaves_its_folder_neither_by_name_nor_by_size(tmp_path, monkeypatch):
    packed = tmp_path / "song.zip"
    packed.write_bytes(archive({"../../out.wav": sound(), "/abs.wav": sound(seed=1)}))
    song = read_stems(packed, tmp_path / "deep" / "er" / "song", RATE)
    assert len(song.names) == 2 and not (tmp_path / "out.wav").exists()
    monkeypatch.setattr("diffmst_lib.notebook.choosing.MOST_BYTES", 1000)
    with pytest.raises(InputError, match=r"^song\.zip: unpacks to more than"):
        read_stems(packed, tmp_path / "again", RATE)


def test_a_page_without_a_kernel_says_what_to_do():
    bundle = choose()._repr_mimebundle_()
    assert "Run this page" in bundle["text/html"]
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
