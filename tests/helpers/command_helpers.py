"""What a folder holds before and after a command, what it notes, and a signal while it runs."""

import os
import signal
import sys
import time
from pathlib import Path

DIFFMST = Path(sys.executable).with_name("diffmst")
DOCUMENTS = ["mix.wav", "params.csv", "params.json", "report.json"]
SESSIONS = [
    *("Effects", "channels.csv", "channels.md", "diffmst_master.jsfx", "diffmst_strip.jsfx"),
    *("session.RPP", "session.dawproject"),
]
MIX_FILES = sorted([*DOCUMENTS, *SESSIONS])
IN_SESSIONS = "diffmst: note: in the sessions: "


def tree(folder):
    """Every file below a folder with its bytes, every folder with None."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def notes(lines):
    """What was noted, but for what the sessions cannot hold: of our songs there is always something."""
    lines = [line for line in lines if not line.startswith(IN_SESSIONS)]
    return [line.removeprefix("diffmst: note: ") for line in lines if line.startswith("diffmst: note: ")]


def stop_when(there, stopped):
    """Send SIGTERM to this process as soon as `there()`, unless `stopped` is set before."""
    while not stopped.is_set():
        if there():
            return os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
