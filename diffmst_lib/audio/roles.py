"""What the name of a stem, or of a folder of stems, says. Chapters: Gain and pan, Data."""

from __future__ import annotations

import re

_VOICE = {"vox", "vocal", "vocals", "voice", "voc"}
_VOICE |= {"singer", "sing", "singing", "leadvox", "leadvocal", "rap"}
_BEHIND = {"bg", "bgv", "bgvox", "bv", "bvs", "bgs", "back", "backing", "background", "choir", "gang"}
_BEHIND |= {"harm", "harmony", "harmonies", "double", "dbl", "echo", "delay", "reverb", "fx"}
_BEHIND |= {"adlib", "adlibs"}
_CENTER = {"kick", "kickdrum", "bd", "bassdrum", "bass", "sub", "snare", "sd"}

_INSTRUMENTS_TEXT = """
drums drum drumkit drumset kick kicks kickdrum snare snares tom toms hat hats hihat hihats cymbal cymbals
overhead overheads oh ohs perc percussion percussions percs loop loops beat beats clap claps shaker
shakers tambourine conga congas bongo bongos bass basses sub contrabass guitar guitars gtr gtrs guit banjo
mandolin ukulele uke keys keyboard keyboards piano pianos organ organs rhodes wurli wurlitzer clav
clavinet harpsichord accordion synth synths synthesizer synthesizers pad pads arp arps pluck plucks
strings string violin violins viola violas cello cellos harp orchestra brass horn horns trumpet trumpets
trombone trombones tuba sax saxes saxophone saxophones wind winds woodwind woodwinds flute flutes clarinet
clarinets oboe bassoon harmonica marimba vibraphone xylophone glockenspiel bells mallets vox vocal vocals
voice voices voc vocs singer singers choir bgv bgvs bv bvs rap adlib adlibs harmony harmonies backings fx
sfx efx effects other others misc schlagzeug gitarre gitarren klavier gesang stimme stimmen streicher chor
batterie guitare guitares voix basse claviers guitarra guitarras bajo teclado teclados voz voces coro
"""
_INSTRUMENTS = set(_INSTRUMENTS_TEXT.split())
_KINDS_OF_THEM_TEXT = """
lead leads rhythm main back backing bg background acoustic acoustics electric electrics ac el elec e a s
clean dist distorted crunch plucked bowed left right center mono stereo l r room rooms top bottom in out
close far mic mics di amp amps solo live midi programmed program high low hi lo mid double doubles dbl
upright female male bus group grp stem stems track tracks and the kit section
"""
_KINDS_OF_THEM = set(_KINDS_OF_THEM_TEXT.split())
# What a word says that a stem is. The first row with a word of the name counts: a bass drum is a drum, a bass guitar
# a bass, and synthesized voices are voices.
_ROLE_WORDS = {
    "voice": """vox vocal vocals voice voices voc vocs singer singers sing singing leadvox leadvocal rap bgvox bgv
        bgvs bv bvs choir adlib adlibs harmony harmonies backings gesang stimme stimmen chor voix voz voces coro""",
    "drums": """drums drum drumkit drumset kick kicks kickdrum bassdrum bd snare snares sd tom toms hat hats hihat
        hihats cymbal cymbals crash overhead overheads oh ohs perc percs percussion percussions beat beats
        breakbeat clap claps shaker shakers tambourine conga congas bongo bongos schlagzeug batterie bateria""",
    "bass": "bass basses sub contrabass basse bajo",
    "guitar": """guitar guitars gtr gtrs guit banjo mandolin ukulele uke gitarre gitarren guitare guitares guitarra
        guitarras""",
    "keys": """keys keyboard keyboards piano pianos organ organs rhodes wurli wurlitzer clav clavinet harpsichord
        accordion synth synths synthesizer synthesizers pad pads arp arps pluck plucks mallet mallets marimba
        vibraphone xylophone glockenspiel celesta klavier claviers teclado teclados""",
    "other": """strings string violin violins viola violas cello cellos harp orchestra brass horn horns trumpet
        trumpets trombone trombones tuba sax saxes saxophone saxophones winds woodwind woodwinds flute flutes
        clarinet clarinets oboe bassoon harmonica streicher fx sfx efx effect effects other others misc noise
        sweep riser texture atmo ambience""",
}
ROLES = ("voice", "drums", "bass", "keys", "guitar", "other")  # in the order of a desk's strips
_SIDE = re.compile(r"(?P<name>.*[^\s._(-])(?P<mark>[\s._(-]+)(?P<side>l|r|left|right)\)?", re.I | re.S)


def words(name: str) -> list[str]:
    """Split a name into lower-case words, digits apart.

    Example:
        >>> words("01_LeadVox-Main2")
        ['lead', 'vox', 'main']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", spaced.lower())


def is_lead_voice(name: str) -> bool:
    """Tell whether a stem's name says that it is the lead voice.

    Example:
        >>> [is_lead_voice(name) for name in ("vox_lead", "Lead Vocals", "bgvox_high", "lead_guitar")]
        [True, True, False, False]
    """
    said = set(words(name))
    return bool(said & _VOICE) and not said & _BEHIND


def belongs_in_the_middle(name: str) -> bool:
    """Tell whether a stem's name says lead voice, kick, bass or snare.

    Example:
        >>> [belongs_in_the_middle(name) for name in ("kick", "Bass_DI", "snare top", "piano")]
        [True, True, True, False]
    """
    return is_lead_voice(name) or not _CENTER.isdisjoint(words(name))


def role_of_name(name: str) -> str | None:
    """Read what a stem is from its name.

    Args:
        name: The stem's name.

    Returns:
        "voice", "drums", "bass", "keys", "guitar", "other", or None where no word of the name says it.

    Example:
        >>> [role_of_name(name) for name in ("Lead Vox", "bass drum", "Bass Gtr", "E-Piano", "Track 3")]
        ['voice', 'drums', 'bass', 'keys', None]
    """
    said = set(words(name))
    return next((role for role, known in _ROLE_WORDS.items() if not said.isdisjoint(known.split())), None)


def is_instrument(name: str) -> bool:
    """Tell whether a folder's name says no more than an instrument, so that it is a part of a song.

    Example:
        >>> [is_instrument(name) for name in ("01 Drums", "Lead Vocals", "E-Gtrs", "Piano Man", "takes")]
        [True, True, True, False, False]
    """
    said = set(words(name))
    return bool(said & _INSTRUMENTS) and said <= _INSTRUMENTS | _KINDS_OF_THEM


def side_of(name: str) -> tuple[str, str, str] | None:
    """Split the name of one side of a stereo recording, such as "Keys.L", "Keys_R" or "Keys (left)".

    Args:
        name: Name of a file, without its suffix.

    Returns:
        Name of the stem, "l" or "r", and what is equal for both sides of a pair; None for any other name.

    Example:
        >>> side_of("Keys.L"), side_of("Keys-right"), side_of("Small")
        (('Keys', 'l', '.l'), ('Keys', 'r', '-left'), None)
    """
    match = _SIDE.fullmatch(name)
    if not match:
        return None
    side = match["side"].lower()
    spelling = match["mark"] + ("l" if len(side) == 1 else "left")
    return match["name"], side[0], spelling
