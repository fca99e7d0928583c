"""Your own stems and a record, chosen in a notebook: uploaded, from a folder, or from Google Drive.

Chapter: Mix your own song.
"""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets
import torch

from ..audio.loading import AUDIO_SUFFIXES, load_audio
from ..audio.multitrack import Multitrack
from ..audio.song_folder import STEM_FOLDERS
from ..audio.stems import load_multitrack
from ..disk import data_dir, printable, why
from ..inputs import InputError, note
from ..options import SAMPLE_RATE

VIEW = "application/vnd.jupyter.widget-view+json"
SONG, RECORD = Path("multitracks", "rubidium"), Path("references", "vibe_ace.ogg")  # where nothing is chosen
MOST_BYTES = 8 * 2**30  # of an unpacked archive
DRIVE = Path("/content/drive")  # where Colab puts it


@dataclass(frozen=True)
class Upload:
    """A file that the browser has sent.

    Attributes:
        name: Its name, without folders.
        content: Its bytes.
    """

    name: str
    content: bytes


class Choice:
    """What `choose` shows: fields for the stems and for the record.

    Attributes:
        controls: The fields by name: "stems" and "record" take uploads, "stems_path" and "record_path" the paths
            of files and folders where Python runs, also of a mounted Drive. A path counts where both are given.
        box: The fields as one widget of ipywidgets.
    """

    def __init__(self) -> None:
        wide = ipywidgets.Layout(width="100%", max_width="36rem")
        sounds = ",".join([*sorted(AUDIO_SUFFIXES), ".zip"])

        def path(hint: str) -> ipywidgets.Widget:
            return ipywidgets.Text(placeholder=hint, description="or path", layout=wide)

        self.controls: dict[str, ipywidgets.Widget] = {
            "stems": ipywidgets.FileUpload(accept=sounds, multiple=True, description="Stems, or a ZIP"),
            "stems_path": path("folder with one file a stem, or a ZIP"),
            "record": ipywidgets.FileUpload(accept=sounds, multiple=False, description="Record"),
            "record_path": path("file of the record"),
        }
        self._says = ipywidgets.HTML()
        fields = [*self.controls.values(), self._says]
        if find_spec("google") and find_spec("google.colab"):
            button = ipywidgets.Button(description="Mount Google Drive")
            button.on_click(lambda _: self._mount())
            fields.insert(0, button)
        self.box = ipywidgets.VBox(fields)
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self._changed()

    def load(self, *, sample_rate: int = SAMPLE_RATE) -> tuple[Multitrack, torch.Tensor]:
        """Read what was chosen.

        Where nothing was chosen, a song and a record that come with the library take its place, which an
        `InputNote` says. After an error nothing that was uploaded is lost: choose another file, and load again.

        Args:
            sample_rate: The rate wanted, in Hz.

        Returns:
            The song, and the record (2, num_samples).

        Raises:
            InputError: In one line, for files that are no stems or no record.

        Example:
            >>> import warnings
            >>> with warnings.catch_warnings(record=True) as notes:
            ...     song, record = choose().load()
            >>> print(song.title, len(record), "-", notes[0].message)
            rubidium 2 - nothing was chosen: the song is rubidium, the record vibe_ace.ogg, which come with the library
        """
        stems_at, record_at = self._path("stems_path"), self._path("record_path")
        stems, record = uploads(self.controls["stems"].value), uploads(self.controls["record"].value)
        own = [bool(stems or stems_at), bool(record or record_at)]
        if not any(own):
            note(
                f"nothing was chosen: the song is {SONG.name}, the record {RECORD.name}, "
                "which come with the library"
            )
        elif not own[0]:
            note(f"no stems were chosen: the song is {SONG.name}, which comes with the library")
        elif not own[1]:
            note(f"no record was chosen: it is {RECORD.name}, which comes with the library")
        with TemporaryDirectory() as folder:
            song = read_stems(stems_at or stems or data_dir() / SONG, Path(folder, "song"), sample_rate)
            source = record_at or data_dir() / RECORD
            if record and not record_at:
                source = Path(folder, record[0].name)
                source.write_bytes(record[0].content)
            sound = load_audio(source, sample_rate=sample_rate)
        if sound.shape[0] == 1:
            sound = sound.repeat(2, 1)
        if sound.shape[0] != 2:
            raise InputError(f"{source.name}: {sound.shape[0]} channels, a record has two", about="reference")
        return song, sound

    def _path(self, name: str) -> Path | None:
        text = self.controls[name].value.strip().strip("\"'")
        return Path(text).expanduser() if text else None

    def _changed(self, _change: Any = None) -> None:
        """Say what is chosen."""
        parts = []
        for what, path in (("stems", "stems_path"), ("record", "record_path")):
            files = uploads(self.controls[what].value)
            chosen = str(self._path(path) or ", ".join(one.name for one in files[:8]))
            parts.append(f"{what}: {chosen or 'none yet'}{' ...' if len(files) > 8 else ''}")
        self._say("; ".join(parts))

    def _say(self, line: str) -> None:
        self._says.value = f"<small>{html.escape(line)}</small>"

    def _mount(self) -> None:
        """Mount the user's Google Drive, which asks for their permission."""
        try:
            from google.colab import drive

            drive.mount(str(DRIVE))
            self._say(f"Google Drive lies in {DRIVE}/MyDrive: give the path of a folder in it")
        except Exception as error:  # whatever Colab says, the other ways remain
            self._say(f"Google Drive cannot be mounted ({why(error)}): upload files, or give a path")

    def _repr_html_(self) -> str:
        return "<p><small>Run this page (Colab or Jupyter) to choose your own stems and record.</small></p>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {VIEW: view, "text/plain": repr(self), "text/html": self._repr_html_()}

    def __repr__(self) -> str:
        return "Choice of stems and a record: load() reads them"


def choose() -> Choice:
    """Show fields to choose your own stems and a record, in Jupyter and in Colab.

    Upload several files or a ZIP, or give the path of a folder where Python runs, which is quicker for whole
    songs: a browser sends files slowly, and some servers take none above 10 MB. In Colab a button mounts Google
    Drive. On a page that only shows what was executed nothing can be chosen.

    Returns:
        The choice; `load()` reads it, in the next cell.

    Example:
        >>> choose()
        Choice of stems and a record: load() reads them
    """
    return Choice()


def uploads(value: Any) -> list[Upload]:
    """List what a `FileUpload` holds, in ipywidgets 7 (a dictionary) as in 8 (a tuple).

    Args:
        value: Its value.

    Example:
        >>> uploads({"a/kick.wav": {"metadata": {}, "content": b"RIFF"}})
        [Upload(name='kick.wav', content=b'RIFF')]
        >>> uploads(({"name": "kick.wav", "content": memoryview(b"RIFF")},))
        [Upload(name='kick.wav', content=b'RIFF')]
    """
    if isinstance(value, Mapping):
        files = [(name, file["content"]) for name, file in value.items()]
    else:
        files = [(file["name"], file["content"]) for file in value]
    return [Upload(_alone(name), bytes(content)) for name, content in files]


def read_stems(stems: Path | Sequence[Upload], folder: Path, sample_rate: int) -> Multitrack:
    """Read stems from a folder, from a ZIP, or as they were uploaded.

    Args:
        stems: The path of a folder or of a ZIP; or files that were uploaded, one of them a ZIP or none.
        folder: Where files are unpacked; it is made where it is needed.
        sample_rate: The rate wanted, in Hz.

    Returns:
        The song.

    Raises:
        InputError: In one line, for what is no stems.
    """
    if isinstance(stems, Path) and not stems.is_file():
        return load_multitrack(stems, sample_rate=sample_rate)
    title = "my song"
    folder.mkdir(parents=True)
    if isinstance(stems, Path):
        if not zipfile.is_zipfile(stems):
            raise InputError(
                f"{printable(stems.name)}: stems are a folder or a ZIP, not one file", about="song"
            )
        _unpack(stems, printable(stems.name), folder)
        stems, title = [], printable(stems.stem)
    for file in stems:
        if not file.name.lower().endswith(".zip"):
            (folder / file.name).write_bytes(file.content)
        elif len(stems) > 1:
            raise InputError(
                f"{file.name}: upload one ZIP with all stems, or the stems without it", about="song"
            )
        else:
            _unpack(io.BytesIO(file.content), file.name, folder)
            title = Path(file.name).stem
    place = _only_folder(folder)
    song = load_multitrack(place, sample_rate=sample_rate)
    song.title = title if place == folder else song.title
    song.sources = dict.fromkeys(song.names)  # the files will not stay
    return song


def _unpack(archive: Path | io.BytesIO, name: str, folder: Path) -> None:
    """Unpack a ZIP into a folder, which nothing in it can leave."""
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.filename.startswith("__MACOSX/")]
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise InputError(f"{name}: unpacks to more than {MOST_BYTES >> 30} GB", about="song")
            packed.extractall(folder, entries)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        locked = isinstance(error, RuntimeError) and "password" in str(error)
        reason = "it has a password" if locked else why(error)
        raise InputError(f"{name}: cannot be unpacked ({reason})", about="song") from None


def _only_folder(folder: Path) -> Path:
    """Return the folder of the song in what was unpacked: archives often hold one folder with everything."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in STEM_FOLDERS:
        return folder
    return _only_folder(inside[0])


def _alone(name: str) -> str:
    """Return a file's name without folders, whatever system sent it."""
    return PurePosixPath(printable(str(name)).replace("\\", "/").replace("\0", "")).name or "file"
