"""What a folder holds, before and after a command."""

import sys
from pathlib import Path

DIFFMST = Path(sys.executable).with_name("diffmst")
MIX_FILES = ["mix.wav", "params.csv", "params.json", "report.json"]


def tree(folder):
    """Every file below a folder with its bytes, every folder with None."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def notes(lines):
    return [line.removeprefix("diffmst: note: ") for line in lines if line.startswith("diffmst: note: ")]
