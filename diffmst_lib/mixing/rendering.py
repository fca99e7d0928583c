"""A song through settings that are there already: those of an earlier mix, edited by hand, or of another song.

Chapter: Mix your own song.
"""

from __future__ import annotations

from dataclasses import replace

from ..audio.loudness import loudness
from ..audio.multitrack import Multitrack, check_song
from ..console.automation import Automation
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.settings_file import for_stems
from ..inputs import InputError
from .measures import render_measured
from .references import References, check_reference
from .result import MixResult, check_mix


def render(
    song: Multitrack, settings: ConsoleParams | Automation, *, reference: References | None = None
) -> MixResult:
    """Render a song with a console's settings as they are; nothing is fitted, normalized or moved.

    Args:
        song: The stems.
        settings: The console, or a console a section, as `load_params` reads them: a strip for each stem of the
            song, in any order.
        reference: A stereo mix (2, num_samples), or several as in `optimize_mix`, for the result's `loss` and
            report; the mix does not depend on it.

    Returns:
        The mix.

    Raises:
        InputError: For strips that are not the song's, with the nearest name; for settings of another sample
            rate; about the "song" for one that cannot be mixed or comes out silent.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium")
        >>> mix = dm.unity(song)
        >>> again = render(song, mix.params)
        >>> bool((again.audio - mix.audio).abs().max() < 1e-5)
        True
    """
    params = settings.params if isinstance(settings, Automation) else settings
    if params.sample_rate != song.sample_rate:
        raise InputError(
            f"the settings are for {params.sample_rate} Hz, the song has {song.sample_rate} Hz: load it at theirs"
        )
    moving = None
    if isinstance(settings, Automation):
        moving = replace(settings, consoles=[_fitting(one, song) for one in settings.consoles])
    params = moving.params if moving else _fitting(params, song)
    levels = check_song(song)
    record = None if reference is None else check_reference(reference, sample_rate=song.sample_rate)
    console = MixingConsole(song.sample_rate, params.preset)
    audio, measures = render_measured(console, song, moving or params, levels)
    level = loudness(audio, sample_rate=song.sample_rate)
    result = MixResult(
        audio, params, song, None, level, measures=measures, console=console, automation=moving
    )
    if record:
        result.loss = record.distance(audio, level, sample_rate=song.sample_rate)
        result.reference, result.features, result.record = record.audio, record.own, record
        result.references = record.weighted()
    return check_mix(result, level)


def _fitting(params: ConsoleParams, song: Multitrack) -> ConsoleParams:
    return for_stems(params, song.names).clone()
