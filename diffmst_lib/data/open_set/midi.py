"""MIDI files, split into one file per channel with notes. Chapter: Data."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from ...inputs import InputError

if TYPE_CHECKING:
    import mido

RELEASE_S = 5.0  # length of the stems after the last note
SUSTAIN_PEDAL, ALL_NOTES_OFF = 64, 123
DRUM_CHANNEL = 9  # channel 10 of General MIDI, counted from 0
# Balance, pan, and the sends to reverb and chorus: they belong to the mix, not to raw tracks.
PLACEMENT = {8, 10, 91, 93}

# In the order of their programs, as General MIDI numbers them.
INSTRUMENTS = tuple(
    """
    acoustic_grand_piano bright_piano electric_grand_piano honky_tonk_piano electric_piano_1
    electric_piano_2 harpsichord clavinet celesta glockenspiel music_box vibraphone marimba xylophone
    tubular_bells dulcimer drawbar_organ percussive_organ rock_organ church_organ reed_organ accordion
    harmonica tango_accordion nylon_guitar steel_guitar jazz_guitar clean_guitar muted_guitar
    overdriven_guitar distortion_guitar guitar_harmonics acoustic_bass fingered_bass picked_bass
    fretless_bass slap_bass_1 slap_bass_2 synth_bass_1 synth_bass_2 violin viola cello contrabass
    tremolo_strings pizzicato_strings harp timpani string_ensemble_1 string_ensemble_2 synth_strings_1
    synth_strings_2 choir_aahs voice_oohs synth_voice orchestra_hit trumpet trombone tuba muted_trumpet
    french_horn brass_section synth_brass_1 synth_brass_2 soprano_sax alto_sax tenor_sax baritone_sax
    oboe english_horn bassoon clarinet piccolo flute recorder pan_flute blown_bottle shakuhachi whistle
    ocarina square_lead saw_lead calliope_lead chiff_lead charang_lead voice_lead fifths_lead
    bass_and_lead new_age_pad warm_pad polysynth_pad choir_pad bowed_pad metallic_pad halo_pad sweep_pad
    rain soundtrack crystal atmosphere brightness goblins echoes sci_fi sitar banjo shamisen koto
    kalimba bagpipe fiddle shanai tinkle_bell agogo steel_drums woodblock taiko melodic_tom synth_drum
    reverse_cymbal guitar_fret_noise breath_noise seashore bird_tweet telephone helicopter applause
    gunshot
    """.split()  # noqa: SIM905 - 128 quoted strings would take 128 lines
)


def instrument_name(program: int, channel: int = 0) -> str:
    """Name a stem after its instrument in General MIDI.

    Args:
        program: Number of the program, 0 to 127.
        channel: Number of the channel, 0 to 15. Everything on channel 9 is "drums".

    Returns:
        Name of the instrument.

    Example:
        >>> instrument_name(32), instrument_name(0, channel=9)
        ('acoustic_bass', 'drums')
    """
    return "drums" if channel == DRUM_CHANNEL else INSTRUMENTS[program]


def split_channels(path: str | Path) -> dict[str, mido.MidiFile]:
    """Split a MIDI file into one file per channel with notes.

    Tempo, programs, volume and expression stay. Pan, balance and the sends to reverb and chorus are removed.
    A stem is a channel, not a MIDI track. All files end `RELEASE_S` after the last note of the song.

    Args:
        path: Path of a MIDI file of type 0 or 1.

    Returns:
        MIDI files by the name of the instrument that plays most of their notes.

    Raises:
        InputError: For any other file, and for a file without notes.
    """
    import mido

    path = Path(path)
    try:
        midi = mido.MidiFile(path, clip=True)
        merged = mido.merge_tracks(midi.tracks)
    except Exception as error:  # the parser raises many types of errors for files that are not MIDI
        reason = error or type(error).__name__
        raise InputError(f"{path.name}: not a MIDI file that can be read ({reason})") from None
    if midi.type == 2 or midi.ticks_per_beat <= 0:
        raise InputError(f"{path.name}: only MIDI files of type 0 and 1 that count in beats can be rendered")

    events, tick = [], 0
    for message in merged:
        tick += message.time
        events.append((tick, message))
    end = max((tick for tick, message in events if message.type in ("note_on", "note_off")), default=0)
    events = [(tick, message) for tick, message in events if tick <= end]
    tempo = next(
        (message.tempo for _, message in reversed(events) if message.type == "set_tempo"), mido.bpm2tempo(120)
    )
    close = end + mido.second2tick(RELEASE_S, midi.ticks_per_beat, tempo)

    stems = {}
    for channel, name in _sounding_channels(events).items():
        kept = [event for event in events if _is_kept(event[1], channel)]
        off = {"type": "control_change", "channel": channel, "control": ALL_NOTES_OFF}
        kept += [(end, mido.Message(**off | {"control": SUSTAIN_PEDAL})), (end, mido.Message(**off))]
        kept.append((close, mido.Message(**off)))  # FluidSynth before 2.3 stops at the last event
        before = [0, *(tick for tick, _ in kept[:-1])]
        track = mido.MidiTrack(
            message.copy(time=tick - last) for last, (tick, message) in zip(before, kept, strict=True)
        )
        stems[name] = mido.MidiFile(type=0, ticks_per_beat=midi.ticks_per_beat, tracks=[track])
    if not stems:
        raise InputError(f"{path.name}: no notes in it")
    return stems


def _is_kept(message: mido.Message | mido.MetaMessage, channel: int) -> bool:
    if message.type in ("set_tempo", "sysex"):
        return True
    if getattr(message, "channel", None) != channel:
        return False
    return message.type != "control_change" or message.control not in PLACEMENT


def _sounding_channels(events: list[tuple[int, mido.Message]]) -> dict[int, str]:
    """Find the channels with notes, each with a unique name: instrument, instrument_2, ..."""
    program, notes = defaultdict(int), defaultdict(Counter)
    for _, message in events:
        if message.type == "program_change":
            program[message.channel] = message.program
        elif message.type == "note_on" and message.velocity > 0:
            notes[message.channel][program[message.channel]] += 1
    names = {}
    for channel in sorted(notes):
        first = name = instrument_name(notes[channel].most_common(1)[0][0], channel)
        count = 1
        while name in names.values():
            count += 1
            name = f"{first}_{count}"
        names[channel] = name
    return names
