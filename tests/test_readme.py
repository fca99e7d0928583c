"""The lines that README promises to run, run."""

import re

import pytest
from layout import ROOT


def test_library_example(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    code = "".join(blocks).replace("progress=True", "progress=False")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    song = names["song"]
    assert (
        len(blocks) == 5
        and names["mix"].shape == (2, song.audio.shape[-1])
        and names["loud"].shape == song.audio.shape
    )
    assert names["mixes"].shape == (2, 2, 441000)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "Effects",
        "audio",
        "channels.csv",
        "channels.md",
        "diffmst_master.jsfx",
        "diffmst_strip.jsfx",
        "mix.wav",
        "model",
        "params.csv",
        "params.json",
        "report.json",
        "session.RPP",
        "session.dawproject",
        "sheet.pdf",
        "stems",
    ]
    assert len(names["run"].validation) == 2
    first, last = map(float, re.findall(r"^\d+ +([\d.]+)$", capsys.readouterr().out, re.MULTILINE)[:2])
    assert last == pytest.approx(0, abs=0.5 * first)
