"""Going back: a network's mix that is farther from its record than the plain sum of the stems is led back.

A network that was trained on other songs can be wrong about this one, and then doing nothing is the better mix.
A fit hears its mix at every step and keeps the best; a network's console is judged only once it is rendered, and
then goes back towards its start by halves. The judge is the audio-feature loss. A network that was trained for
something else is not wrong when it is farther by that loss: `keep=0` takes its console as it is.

Chapter: The controller.
"""

from __future__ import annotations

from dataclasses import replace

from ..console.params import ConsoleParams
from ..inputs import note
from ..network.roles import lead_voices
from .limits import FARTHER
from .parts import blend
from .references import Reference, distance_of_plain_sum
from .result import MixResult, render_mix
from .windows import loudest_part

SHARES = (0.5, 0.25, 0.125, 0.0)  # of the way from the start to the network's console
ROUNDING = 1.0005  # of two ways to compute the loss of the same mix


def go_back(
    result: MixResult, start: ConsoleParams, found: ConsoleParams, record: Reference, seconds: float
) -> tuple[MixResult, float]:
    """Go from a network's console towards its start until the mix is no farther from its record than the plain sum.

    The mix that goes back is named in an `InputNote`, with both losses.

    Args:
        result: The mix of the network's console.
        start: Where the network started.
        found: The network's console.
        record: The record.
        seconds: Length of the song's loudest part, on which shares of the way are tried first.

    Returns:
        The mix, and how much of the way is left, 0 to 1.
    """
    song, console = result.song, result.console
    plain = result.plain_loss = distance_of_plain_sum(song, record)
    first, farthest = result.total, ROUNDING * plain
    if first <= farthest:
        return result, 1.0
    known = dict.fromkeys(song.names, "other") | dict.fromkeys(lead_voices(song), "voice")
    part = replace(song, audio=loudest_part(song.audio, seconds, sample_rate=song.sample_rate), roles=known)
    plain_part = distance_of_plain_sum(part, record)
    for share in SHARES:
        params = blend(start, found, share)
        # The loudest part tells, in a tenth of the time, which shares are worth a whole song.
        mixed = render_mix(part, params, console=console, reference=record) if share else None
        if mixed is None or mixed.total <= plain_part:
            result = render_mix(song, params, console=console, reference=record)
            result.plain_loss = plain
            if result.total <= farthest:
                break
    far = f"it goes {share:g} of its way" if share else "the song stays as it starts"
    note(
        "the network's console led farther from the record than the plain sum of the stems is: audio-feature "
        f"loss {first:.4f} against {plain:.4f}, so {far} (keep=0 takes it as it is)"
    )
    return result, share


def tell_if_farther(result: MixResult, reference: Reference) -> None:
    """Name in an `InputNote` a mix that is farther from its record than the plain sum of the stems."""
    if result.plain_loss is None:
        result.plain_loss = distance_of_plain_sum(result.song, reference)
    plain = result.plain_loss
    if result.total > FARTHER * plain:
        note(
            f"the mix is farther from its record than the plain sum of the stems: audio-feature loss "
            f"{result.total:.4f} against {plain:.4f}"
        )
