"""MIDI files for the tests of reading and of rendering."""

import mido


def message(kind, time=0, **facts):
    return (mido.MetaMessage if kind == "set_tempo" else mido.Message)(kind, time=time, **facts)


def save(path, *tracks, kind=1):
    mido.MidiFile(type=kind, ticks_per_beat=480, tracks=[mido.MidiTrack(track) for track in tracks]).save(
        path
    )
    return path


def note(channel, velocity=100, ticks=480, wait=0, pitch=60):
    return [
        message("note_on", wait, channel=channel, note=pitch, velocity=velocity),
        message("note_off", ticks, channel=channel, note=pitch),
    ]
