"""Stems and a reference to mix, and the command in this process."""

import pytest

from diffmst_lib.command.main import main


@pytest.fixture
def inputs(write, noise, tmp_path, monkeypatch):
    """The current folder, with stems/ (two of 0.5 s) and ref.wav of a second."""
    write("stems/bass.wav", noise(1, 22050))
    write("stems/keys.wav", noise(2, 22050, seed=1))
    write("ref.wav", noise(2, 50000, seed=2) + 0.5 * noise(1, 50000, seed=3))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def diffmst(capsys):
    """diffmst("mix stems ...", path, ["--output", ""]): exit code, lines of stdout, lines of stderr.

    The command runs in this process. Strings are taken apart at spaces, lists are not.
    """

    def run(*arguments):
        words = []
        for one in arguments:
            words += (
                one.split() if isinstance(one, str) else map(str, one if isinstance(one, list) else [one])
            )
        try:
            code = main(words)
        except SystemExit as stop:  # argparse
            code = stop.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out.splitlines(), err.splitlines()

    return run
