"""A mix by rules: what every textbook says about kick, bass, voice and the rest. The field's classic baseline.

Chapter: Results
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..audio.loudness import BUS_LUFS, loudness
from ..audio.multitrack import Multitrack, check_song
from ..audio.roles import is_lead_voice, words
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import OFF_DB, knob_index, param_table
from ..mixing.bus import hold_bus
from ..mixing.references import check_reference
from ..mixing.result import MixResult, check_mix, render_mix
from ..mixing.start import neutral_params


@dataclass(frozen=True)
class Rule:
    """What the rules say about one role.

    Attributes:
        role: The role.
        group: "drums", "bass", "vocals" or "other", as separators of sources sort instruments.
        says: What a stem's name says, with commas between. Of several words all must be there.
        level_lu: Loudness of all stems of the role together, against the whole mix, in LU.
        apart: How far from the middle a mono stem goes, 0 to 0.5 in units of the pan.
        low_db: Gain of the low shelf, in dB.
        low_hz: Frequency of the low shelf, in Hz.
        ratio: Ratio of the compressor.
        attack_ms: Its attack, in ms.
        release_ms: Its release, in ms.
    """

    role: str
    group: str
    says: str
    level_lu: float
    apart: float
    low_db: float
    low_hz: float
    ratio: float
    attack_ms: float
    release_ms: float


# The first row that fits a name counts. The lead voice is what `is_lead_voice` takes for one.
# fmt: off
RULES = (
    #    role            group     what its name says                                level  apart  shelf      compressor
    Rule("lead voice",   "vocals", "",                                                -3.0, 0.00, -6.0, 100, 3.0,  8, 120),
    Rule("backing",      "vocals", "bgvox, bgv, bgvs, bgs, bv, bvs, choir, backings, harmony, harmonies, "
                                   "vox, vocal, vocals, voc, vocs, voice, voices, adlib, adlibs, singers",
                                                                                     -12.0, 0.30, -8.0, 150, 3.0,  8, 150),
    Rule("kick",         "drums",  "kick, kicks, kickdrum, bd, bass drum, bassdrum", -10.0, 0.00,  0.0, 100, 3.0, 20, 100),
    Rule("snare",        "drums",  "snare, snares, sd",                              -11.0, 0.00, -4.0, 100, 3.0, 15, 100),
    Rule("cymbals",      "drums",  "hat, hats, hihat, hihats, cymbal, cymbals, ride, crash, overhead, "
                                   "overheads, oh, ohs",                             -17.0, 0.20, -8.0, 200, 1.0, 20, 100),
    Rule("percussion",   "drums",  "tom, toms, perc, percs, percussion, percussions, shaker, shakers, clap, "
                                   "claps, tambourine, conga, congas, bongo, bongos, cowbell",
                                                                                     -15.0, 0.25, -4.0, 100, 2.0, 15, 100),
    Rule("drums",        "drums",  "drum, drums, drumkit, drumset, kit, loop, loops, beat, beats",
                                                                                      -8.0, 0.00,  0.0, 100, 2.0, 20, 120),
    Rule("bass",         "bass",   "bass, basses, sub, contrabass",                   -9.0, 0.00,  0.0, 100, 4.0, 20, 200),
    Rule("guitars",      "other",  "guitar, guitars, gtr, gtrs, guit, banjo, mandolin, ukulele, uke",
                                                                                     -11.0, 0.30, -6.0, 120, 2.0, 15, 150),
    Rule("keys",         "other",  "keys, keyboard, keyboards, piano, pianos, organ, organs, rhodes, wurli, "
                                   "wurlitzer, clav, harpsichord, accordion, synth, synths, synthesizer, arp, "
                                   "arps, pluck, plucks, harp, marimba, mallet, mallets, vibraphone, "
                                   "xylophone, glockenspiel, bells",                 -12.0, 0.25, -6.0, 100, 2.0, 15, 150),
    Rule("pads",         "other",  "pad, pads, strings, string, violin, violins, viola, violas, cello, cellos, "
                                   "orchestra",                                      -14.0, 0.25, -6.0, 120, 1.0, 20, 200),
    Rule("winds",        "other",  "brass, horn, horns, trumpet, trumpets, trombone, trombones, tuba, sax, "
                                   "saxes, saxophone, saxophones, flute, flutes, clarinet, clarinets, oboe, "
                                   "bassoon, harmonica, woodwinds, winds",           -12.0, 0.20, -6.0, 120, 2.0, 12, 150),
    Rule("effects",      "other",  "fx, sfx, efx, effect, effects, riser, noise",    -17.0, 0.35, -6.0, 150, 1.0, 20, 200),
)
# fmt: on
LEAD = RULES[0]
THRESHOLD_DB = -20.0  # every stem that is compressed comes to its compressor at this loudness
KNEE_DB, SHELF_Q = 6.0, 0.7
VOICE_LU = 0.0  # the lead voice against everything else
CLOSER = 0.6  # of a role, each pair of stems goes this much less far than the one before
OF_STEREO = 0.2  # the share of `apart` that a stereo stem moves: it has an image of its own


def rule_of(name: str) -> Rule | None:
    """Find the rule for a stem by its name.

    Args:
        name: The stem's name.

    Returns:
        The rule; None where the name says nothing.

    Example:
        >>> [rule and rule.role for rule in map(rule_of, ("LeadVox", "bgvox_high", "Bass Drum", "take 7"))]
        ['lead voice', 'backing', 'kick', None]
    """
    if is_lead_voice(name):
        return LEAD
    said = set(words(name))
    fits = (rule for rule in RULES if any(set(one.split()) <= said for one in rule.says.split(", ") if one))
    return next(fits, None)


def rules_mix(song: Multitrack, *, reference: torch.Tensor | None = None) -> MixResult:
    """Mix by the rules of `RULES`, without listening to any record.

    Kick, snare, bass and lead voice stand in the middle, and the other mono stems go left and right by turns.
    A stereo stem keeps its image, and hardly moves. Each role gets its loudness against the mix, as much of
    it a stem as there are stems of the role, a moderate compressor, and a low shelf where the low end
    belongs to others. Then the lead voice is made as loud as everything else together. A stem whose name says
    nothing stays as it was delivered. The numbers are the middle of what is usual: no rule here knows what
    this song needs.

    Source: the idea, De Man and Reiss, A knowledge-engineered autonomous mixing system, AES 135 (2013); Pestana
    and Reiss, Intelligent audio production strategies informed by best practices, AES 53 (2014). Voice as loud
    as the rest, Gerdes and Siedenburg, JASA Express Letters 3, 043201 (2023), who measured about +1 dB in charts
    since 1975, and 0 in rock. The ranges are this library's own.

    Args:
        song: The stems.
        reference: A stereo mix (2, num_samples) for the result's `loss`; the mix does not depend on it.

    Returns:
        The mix at -16 LUFS.

    Raises:
        InputError: For a song that is all silent or has NaN or infinite samples, and for a reference that is
            no stereo mix.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(10, 2)
        >>> rules_mix(song).params.track("vox_lead")["pan"]
        0.5
    """
    levels = check_song(song)
    record = None if reference is None else check_reference(reference, sample_rate=song.sample_rate)
    params, console = rules_params(song, levels), MixingConsole(song.sample_rate)
    params = hold_bus(console, song, params)
    return check_mix(render_mix(song, params, console=console, reference=record, levels=levels))


def rules_params(song: Multitrack, levels: list[float]) -> ConsoleParams:
    """Set the console of `rules_mix`, but for the level before the master bus.

    Args:
        song: The stems.
        levels: Loudness of each in LUFS, as `check_song` gives it.

    Returns:
        The console.
    """
    params = neutral_params(song, levels=levels)
    rules = {name: rule_of(name) for name, level in zip(song.names, levels, strict=True) if level > -math.inf}
    known = {name: rule for name, rule in rules.items() if rule}
    loud, mono = (
        dict(zip(song.names, levels, strict=True)),
        dict(zip(song.names, song.is_mono(), strict=True)),
    )
    for name, rule in known.items():
        strip = params.track(name)
        strip["input_gain_db"] = within("input_gain_db", THRESHOLD_DB - loud[name])
        strip["low_shelf_gain_db"], strip["low_shelf_frequency_hz"] = rule.low_db, rule.low_hz
        strip["low_shelf_q"] = SHELF_Q
        strip["threshold_db"], strip["ratio"], strip["knee_db"] = THRESHOLD_DB, rule.ratio, KNEE_DB
        strip["attack_ms"], strip["release_ms"] = rule.attack_ms, rule.release_ms
    for name, offset in _places(known).items():
        params.track(name)["pan"] = 0.5 + (1.0 if mono[name] else OF_STEREO) * offset
    _balance(song, params, known)
    return params


def _places(rules: dict[str, Rule]) -> dict[str, float]:
    """Place the stems that go apart left and right by turns, role after role."""
    places: dict[str, float] = {}
    side = -1.0
    for rule in RULES:
        names = [name for name in rules if rules[name] is rule] if rule.apart else []
        for number, name in enumerate(names):
            places[name] = side * rule.apart * CLOSER ** (number // 2)
            side = -side
    return places


def _balance(song: Multitrack, params: ConsoleParams, rules: dict[str, Rule]) -> None:
    """Set the faders: each role at its level, then the lead voice against everything else."""
    console, gains_db = MixingConsole(song.sample_rate), dict.fromkeys(rules, 0.0)
    voice, rest = torch.zeros_like(song.audio[0]), torch.zeros_like(song.audio[0])
    for name, wet in zip(song.names, console.strips(song.audio, params), strict=True):
        rule, level = rules.get(name), loudness(wet, sample_rate=song.sample_rate)
        if rule and math.isfinite(level):
            share_db = 10.0 * math.log10(sum(other is rule for other in rules.values()))
            gains_db[name] = BUS_LUFS + rule.level_lu - share_db - level
        (voice if rule is LEAD else rest).add_(wet, alpha=10.0 ** (gains_db.get(name, 0.0) / 20.0))
    voice_lufs, rest_lufs = (loudness(x, sample_rate=song.sample_rate) for x in (voice, rest))
    if math.isfinite(voice_lufs) and math.isfinite(rest_lufs):
        moved_db = rest_lufs + VOICE_LU - voice_lufs
        gains_db |= {name: gains_db[name] + moved_db for name, rule in rules.items() if rule is LEAD}
    for name, gain_db in gains_db.items():
        params.track(name)["fader_db"] = within("fader_db", max(gain_db, OFF_DB + 1.0))


def within(knob: str, value: float) -> float:
    """Return the value nearest to `value` that a knob of a strip can have."""
    spec = param_table("track")[knob_index(knob)]
    return min(max(value, spec.low), spec.high)
