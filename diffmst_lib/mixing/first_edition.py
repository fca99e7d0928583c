"""The consoles that the weights of the first edition predict, on today's strips. Chapter: The controller."""

from __future__ import annotations

from ..audio.loudness import BUS_LUFS
from ..audio.multitrack import Multitrack
from ..console.params import ConsoleParams
from ..console.table import knob_index, param_table
from .bus import bus_loudness, move_faders


def stems_console(song: Multitrack, params: ConsoleParams) -> ConsoleParams:
    """Convert a console of mono channels for a song, as a file of the first edition is converted.

    The faders then bring the song to -20 LUFS before the master bus, and the master's threshold moves with
    them as far as its range allows, so that the compressor meets the level for which it was set.

    Args:
        song: The stems.
        params: The console of the song's channels.

    Returns:
        A console of its stems.
    """
    stems = params.as_stems()
    change_db = BUS_LUFS - bus_loudness(song, stems)
    column = knob_index("fader_db")
    before = stems.tracks[:, column].max()
    stems = move_faders(stems, change_db)
    change_db = (stems.tracks[:, column].max() - before).item()  # the faders may have met their ends
    column = knob_index("threshold_db", "master_bus")
    threshold = param_table("master_bus")[column]
    old = params.master_bus["threshold_db"] + change_db
    stems.master_bus["threshold_db"] = min(max(old, threshold.low), threshold.high)
    return stems
