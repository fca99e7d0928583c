"""Songs rendered from MIDI: one dry stem a channel, played by FluidSynth with a SoundFont. Chapter: Data."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import soundfile
from tqdm.auto import tqdm

from ...audio.loudness import SAMPLE_RATE
from ...disk import write_whole
from ...inputs import InputError
from ..songs import Problem

RECIPE = 1  # to be raised with any change of what is rendered, so that old stems are rendered anew
RELEASE_S = 5.0  # what sounds on after the last note is kept for so long
FADE_S = 0.5  # and faded at its end
GAINS = (0.5, 0.25, 0.125)  # of the synthesizer; a song takes the first that clips none of its stems
SILENCE = 10 ** (-70 / 20)  # peak below which a stem is left out
TIMEOUT_S = 120.0
PLACEMENT = {
    8,
    10,
    91,
    93,
}  # balance, pan, reverb and chorus sends: a mixer's work, which raw tracks do not hold
SUSTAIN_PEDAL, ALL_NOTES_OFF = 64, 123
DRUM_CHANNEL = 9  # channel 10 of General MIDI, counted from 0
STAMP = ".render.json"
SOUNDFONT_FOLDERS = (
    "/usr/share/sounds/sf3",
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
MUSESCORE = "MIT, by S. Christian Collins after Frank Wen, Michael Cowgill and others"
SOUNDFONTS = {
    "MuseScore_General_Lite.sf3": MUSESCORE,
    "MuseScore_General.sf3": MUSESCORE,
    "MuseScore_General.sf2": MUSESCORE,
    "FluidR3_GM.sf2": "MIT, by Frank Wen",
}  # the best first

INSTRUMENTS = """
    acoustic_grand_piano bright_piano electric_grand_piano honky_tonk_piano electric_piano_1 electric_piano_2
    harpsichord clavinet celesta glockenspiel music_box vibraphone marimba xylophone tubular_bells dulcimer
    drawbar_organ percussive_organ rock_organ church_organ reed_organ accordion harmonica tango_accordion
    nylon_guitar steel_guitar jazz_guitar clean_guitar muted_guitar overdriven_guitar distortion_guitar
    guitar_harmonics acoustic_bass fingered_bass picked_bass fretless_bass slap_bass_1 slap_bass_2 synth_bass_1
    synth_bass_2 violin viola cello contrabass tremolo_strings pizzicato_strings harp timpani string_ensemble_1
    string_ensemble_2 synth_strings_1 synth_strings_2 choir_aahs voice_oohs synth_voice orchestra_hit trumpet
    trombone tuba muted_trumpet french_horn brass_section synth_brass_1 synth_brass_2 soprano_sax alto_sax tenor_sax
    baritone_sax oboe english_horn bassoon clarinet piccolo flute recorder pan_flute blown_bottle shakuhachi whistle
    ocarina square_lead saw_lead calliope_lead chiff_lead charang_lead voice_lead fifths_lead bass_and_lead
    new_age_pad warm_pad polysynth_pad choir_pad bowed_pad metallic_pad halo_pad sweep_pad rain soundtrack crystal
    atmosphere brightness goblins echoes sci_fi sitar banjo shamisen koto kalimba bagpipe fiddle shanai tinkle_bell
    agogo steel_drums woodblock taiko melodic_tom synth_drum reverse_cymbal guitar_fret_noise breath_noise seashore
    bird_tweet telephone helicopter applause gunshot""".split()


def instrument_name(program: int, channel: int = 0) -> str:
    """The General MIDI name of a program (0 to 127) as a stem's name; whatever plays on channel 9 is "drums".

    >>> instrument_name(32), instrument_name(0, channel=9)
    ('acoustic_bass', 'drums')
    """
    return "drums" if channel == DRUM_CHANNEL else INSTRUMENTS[program]


def find_soundfont() -> Path | None:
    """The first freely licensed General MIDI SoundFont in the usual folders, or None."""
    places = [Path(folder, name) for name in SOUNDFONTS for folder in SOUNDFONT_FOLDERS]
    return next((path for path in places if path.is_file()), None)


def missing_tools(soundfont: str | Path | None = None) -> list[Problem]:
    """What has to be installed before MIDI can be rendered, one `Problem` each; [] where all is there.

    Raises InputError when a `soundfont` is named that is none.
    """
    problems = []
    if importlib.util.find_spec("mido") is None:
        problems.append(Problem("mido", "no MIDI song is rendered without this package: pip install mido"))
    if shutil.which("fluidsynth") is None:
        problems.append(
            Problem("fluidsynth", "no MIDI song is rendered without this program: apt install fluidsynth")
        )
    if soundfont is not None:
        _check_soundfont(Path(soundfont))
    elif find_soundfont() is None:
        problems.append(
            Problem(
                "SoundFont",
                "no MIDI song is rendered without one: apt install musescore-general-soundfont-small",
            )
        )
    return problems


def _check_soundfont(path: Path) -> None:
    # FluidSynth goes on without a word in its exit code, with a SoundFont of its own choice or none.
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise InputError(f"{path}: cannot read this SoundFont ({error.strerror or error})") from None
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise InputError(f"{path}: is no SoundFont (.sf2 or .sf3)")


def split_channels(path: str | Path) -> dict:
    """A `mido.MidiFile` for every channel with notes, by the name of the instrument that plays most of them.

    Tempo, programs, volume and expression stay; pan, balance and the sends to reverb and chorus go. Channels count,
    not tracks: what shares a channel is one stem. All files last until `RELEASE_S` after the song's last note.
    Raises InputError for a file that is no MIDI file of type 0 or 1, or holds no notes.
    """
    import mido

    path = Path(path)
    try:
        midi = mido.MidiFile(path, clip=True)
        merged = mido.merge_tracks(midi.tracks)
    except (
        Exception
    ) as error:  # a parser of other people's bytes, which says by many types that they are no MIDI
        raise InputError(
            f"{path.name}: not a MIDI file that can be read ({error or type(error).__name__})"
        ) from None
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
        times = [0, *(tick for tick, _ in kept)]
        track = mido.MidiTrack(
            message.copy(time=tick - before) for before, (tick, message) in zip(times, kept)
        )
        stems[name] = mido.MidiFile(type=0, ticks_per_beat=midi.ticks_per_beat, tracks=[track])
    if not stems:
        raise InputError(f"{path.name}: no notes in it")
    return stems


def _is_kept(message, channel: int) -> bool:
    if message.type in ("set_tempo", "sysex"):
        return True
    if getattr(message, "channel", None) != channel:
        return False
    return message.type != "control_change" or message.control not in PLACEMENT


def _sounding_channels(events) -> dict[int, str]:
    """The channels with notes, each with a name of its own: instrument, instrument_2, ..."""
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


def render_song(
    path: str | Path, folder: str | Path, *, soundfont: str | Path | None = None, timeout_s: float = TIMEOUT_S
) -> dict[str, Path]:
    """Render every channel of a MIDI file as a dry stem, {name: FLAC file in `folder`}.

    16 bits at 44.1 kHz: the rounding lies 45 dB below the quietest stem of the open set, 70 dB below most, and 24 bits
    would take 2.4 times the space. Mono where both channels are equal. All stems have one length and their levels in
    the song; silent ones are left out. The folder appears whole or not at all, and nothing is done where it holds these
    stems already. `timeout_s` is the time that one stem may take.

    Raises InputError when a tool is missing, the MIDI file is broken or has one sounding channel only, FluidSynth fails
    or hangs, or `folder` holds something else; OSError when the disk is full.
    """
    path, folder = Path(path), Path(folder)
    missing = missing_tools(soundfont)
    if missing:
        raise InputError(f"{path.name}: {missing[0].path} is missing, {missing[0].reason}")
    soundfont = Path(soundfont or find_soundfont()).resolve()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot read this MIDI file ({error.strerror or error})") from None
    recipe = {
        "recipe": RECIPE,
        "midi_sha256": digest,
        "soundfont": soundfont.name,
        "soundfont_bytes": soundfont.stat().st_size,
    }
    stems = _rendered(folder, recipe)
    if stems:
        return stems
    if folder.exists() and not (folder / STAMP).is_file() and any(folder.iterdir()):
        raise InputError(f"{folder}: holds files that were not rendered from MIDI, and is left as it is")

    channels = split_channels(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        staging = Path(work, "stems")
        for gain in GAINS:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            if all(
                _render_stem(name, midi, staging, soundfont, gain, timeout_s)
                for name, midi in channels.items()
            ):
                break
        else:
            raise InputError(f"{path.name}: clips with {soundfont.name} even at a gain of {GAINS[-1]}")
        sizes = {stem.name: stem.stat().st_size for stem in sorted(staging.iterdir())}
        if len(sizes) < 2:
            raise InputError(f"{path.name}: {len(sizes)} channels sound; a multitrack needs two or more")
        (staging / STAMP).write_text(json.dumps(recipe | {"stems": sizes}, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    return _rendered(folder, recipe)


def _rendered(folder: Path, recipe: dict) -> dict[str, Path]:
    """The stems that were rendered there by this recipe, {} unless all of them are whole."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        sizes = stamp.pop("stems")
        if stamp == recipe and all((folder / name).stat().st_size == size for name, size in sizes.items()):
            return {Path(name).stem: folder / name for name in sizes}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _render_stem(name: str, midi, folder: Path, soundfont: Path, gain: float, timeout_s: float) -> bool:
    """Write one stem unless it is silent; False where it clips."""
    num_samples = round(midi.length * SAMPLE_RATE)
    wav, score = folder.parent / "stem.wav", folder.parent / "stem.mid"
    if shutil.disk_usage(folder).free < 2.5 * 2 * 4 * num_samples:  # FluidSynth would stop without saying why
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.parent.parent))
    midi.save(score)
    wav.unlink(missing_ok=True)
    # Without dynamic loading each run would decode all samples of the SoundFont, which takes longer than the song.
    command = [
        "fluidsynth",
        "-ni",
        "-q",
        "-R",
        "0",
        "-C",
        "0",
        "-o",
        "synth.dynamic-sample-loading=1",
        "-r",
        str(SAMPLE_RATE),
        "-g",
        str(gain),
        "-T",
        "wav",
        "-O",
        "float",
        "-F",
        wav,
        soundfont,
        score,
    ]
    try:
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{name}: FluidSynth did not finish within {timeout_s:g} s") from None
    said = run.stderr.strip().splitlines()
    try:
        audio, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        audio, rate = np.zeros((0, 2), np.float32), SAMPLE_RATE
    if run.returncode or rate != SAMPLE_RATE or len(audio) < num_samples:
        raise InputError(f"{name}: FluidSynth failed ({said[-1] if said else f'exit code {run.returncode}'})")

    audio = audio[:num_samples]
    fade = min(round(FADE_S * SAMPLE_RATE), num_samples)
    audio[num_samples - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    peak = np.abs(audio).max()
    if not peak < 1:
        return False
    if peak >= SILENCE:
        if np.array_equal(audio[:, 0], audio[:, -1]):
            audio = audio[:, :1]
        data = io.BytesIO()
        soundfile.write(data, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        write_whole(folder / f"{name}.flac", lambda part: part.write_bytes(data.getbuffer()))
    return True


def render_songs(
    songs: dict[str, Path],
    output: str | Path,
    *,
    soundfont: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: bool = False,
) -> tuple[dict[str, dict[str, Path]], list[Problem]]:
    """Render MIDI files {name: path} into folders of `output`, several at a time: {name: stems}, and what failed.

    A song that cannot be rendered is a `Problem` and the others go on. What is rendered stays when this is interrupted,
    and is not rendered again. Raises OSError when the disk is full.
    """
    rendered, problems = {}, []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        runs = {
            pool.submit(render_song, path, Path(output, name), soundfont=soundfont, timeout_s=timeout_s): name
            for name, path in songs.items()
        }
        try:
            for run in tqdm(
                as_completed(runs), total=len(runs), desc="render", unit="song", disable=not progress
            ):
                name = runs[run]
                try:
                    rendered[name] = run.result()
                except InputError as error:
                    problems.append(Problem(str(songs[name]), str(error)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {name: rendered[name] for name in songs if name in rendered}, problems
