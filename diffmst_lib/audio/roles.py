"""What a stem's name says about its role in a mix. Chapter: Gain and pan."""

from __future__ import annotations

import re

_VOICE = {"vox", "vocal", "vocals", "voice", "voc"}
_VOICE |= {"singer", "sing", "singing", "leadvox", "leadvocal", "rap"}
_BEHIND = {"bg", "bgv", "bgvox", "bv", "bvs", "bgs", "back", "backing", "background", "choir", "gang"}
_BEHIND |= {"harm", "harmony", "harmonies", "double", "dbl", "echo", "delay", "reverb", "fx"}
_BEHIND |= {"adlib", "adlibs"}
_CENTER = {"kick", "kickdrum", "bd", "bassdrum", "bass", "sub", "snare", "sd"}


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
