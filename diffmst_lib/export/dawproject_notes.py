"""What a DAWproject session cannot hold, in words for its user. Chapter: Mix your own song."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..console.compressor import LOOKAHEAD_MS
from .session import Session
from .workstation import EVEN, Knobs, is_doubled, moments

MASTER = "master"
SHOWN = 6  # names in a line
BENT_DB = 0.1  # what a knee takes off beyond a corner
PANNED, TRIMMED_DB, WIDENED = 0.02, 0.05, 0.02


def dawproject_notes(session: Session) -> list[str]:
    """List what a DAWproject session cannot hold, one line each, with the strips that it matters to.

    The same lines are a comment in the session.

    Args:
        session: The session.

    Returns:
        The lines.

    Example:
        >>> import diffmst_lib as dm
        >>> from diffmst_lib.export.session import build_session
        >>> result = dm.unity(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
        >>> dawproject_notes(build_session(result.song, result.params, "mix"))
        []
        >>> result.params.master_bus["width"] = 1.5
        >>> dawproject_notes(build_session(result.song, result.params, "mix"))
        ['no stereo width in DAWproject: 1.50 on master']
    """
    course = moments(session)
    strips: dict[str, list[Knobs]] = {
        track.name: [knobs[row] for _, knobs, _ in course] for row, track in enumerate(session.tracks)
    }
    buses = strips | {MASTER: [master for _, _, master in course]}
    stereo = {track.name for track in session.tracks if track.clip.channels == 2} | {MASTER}

    def where(wanted: Callable[[Knobs], bool], among: dict[str, list[Knobs]]) -> list[str]:
        return [name for name, every in among.items() if any(map(wanted, every))]

    def listed(names: Sequence[str]) -> str:
        return _listed(names, len(session.tracks))

    notes = []
    if wide := where(
        lambda k: abs(k["width"] - 1.0) >= WIDENED, {n: v for n, v in buses.items() if n in stereo}
    ):
        widths = [f"{_farthest(buses[name], 'width', 1.0):.2f} on {name}" for name in wide]
        notes.append(f"no stereo width in DAWproject: {_short(widths)}")
    if session.fx_bus is not None:
        sent = where(lambda k: k["send_db"] > -60.0, strips)
        notes.append(
            f"no reverb in DAWproject: the channel Reverb, which gets the sends of {listed(sent)}, is muted "
            "until you put one there"
        )
    if doubled := [name for name, every in buses.items() if is_doubled(every)]:
        notes.append(
            f"no look-ahead in DAWproject, ours is {LOOKAHEAD_MS:g} ms: two compressors on {listed(doubled)} "
            "stand for one; peak to loudness stays within 1 dB, an octave within 1.5 dB up to a ratio of 4, "
            "and the sound gets up to 1 LU quieter"
        )
    if where(lambda k: k["ratio"] > EVEN, buses):
        notes.append(
            "attack and release in DAWproject are meant as time constants, to 63 % of a step: ours, from 10 "
            "to 90 %, are 2.2 times as long"
        )
    if bent := where(lambda k: _bend_db(k) >= BENT_DB, buses):
        most_db = max(_bend_db(k) for name in bent for k in buses[name])
        notes.append(
            f"no knee in DAWproject: up to {most_db:.1f} dB less reduction at the threshold ({listed(bent)})"
        )
    if trimmed := where(lambda k: abs(k["input_gain_db"]) >= TRIMMED_DB and k["ratio"] > EVEN, strips):
        notes.append(
            f"no trim in DAWproject: threshold and output gain of the compressor hold it ({listed(trimmed)})"
        )
    if panned := where(lambda k: abs(k["pan"] - 0.5) >= PANNED, strips):
        notes.append(
            "no pan law in DAWproject: ours leaves the middle as it is and lifts a side by up to 3 dB; set "
            f"yours to 0 dB in the middle ({listed(panned)})"
        )
    return notes


def _bend_db(knobs: Knobs) -> float:
    """Compute what a knee takes off at its threshold, knee / 8 (1 - 1 / ratio), in dB: a corner takes 0."""
    return knobs["knee_db"] / 8.0 * (1.0 - 1.0 / knobs["ratio"])


def _farthest(course: list[Knobs], knob: str, neutral: float) -> float:
    return max((knobs[knob] for knobs in course), key=lambda value: abs(value - neutral))


def _listed(names: Sequence[str], num_tracks: int) -> str:
    tracks = [name for name in names if name != MASTER]
    if num_tracks > SHOWN and len(tracks) == num_tracks:
        return "all tracks" + (" and master" if MASTER in names else "")
    return _short(names)


def _short(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(" ".join(name.split()) for name in names[:SHOWN]) + more
