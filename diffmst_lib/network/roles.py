"""What the stems of a song are: voice, drums, bass, keys, guitar or other, and which of them sings the lead.

Chapter: Mix your own song.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch.utils.weak import WeakIdKeyDictionary

from ..audio.multitrack import Multitrack
from ..audio.roles import ROLES, is_lead_voice, role_of_name
from ..inputs import InputError
from .stem_sound import LOW, StemSound

LEAD_LOW, LEAD_WIDTH, LEAD_VOICE = (
    0.2,
    0.1,
    0.5,
)  # a lead voice has less bass and width, and at least such tags
MONO_VOICE = 0.6  # where no stem is wide, the tags have to say it more clearly
WAYS = ("names", "sound")

# By the tensor of a song: how often it was changed, and what was heard of its stems.
_heard: WeakIdKeyDictionary = WeakIdKeyDictionary()


def roles(
    song: Multitrack, *, by: str | None = None, roles: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Tell what each stem is: by hand, by its name where that says it, otherwise by its sound.

    The sound is judged by a rule on musicnn's tags and a few measurements of the stem's five loudest windows of
    3 s. Of the 59 stems of the four songs of the open set whose names say a role, it finds 46 (78%): 16 of 18
    voices and 28 of 28 drums, but only 2 of 13 others (`data/evaluation/roles.csv`). The rule was written looking
    at these four songs, which are of one artist. Guitars, strings and effects it hardly knows; plucked synthesizers
    pass as drums, synthesizers with much below 150 Hz as bass, and chopped voices as keys. Hearing a stem takes
    0.7 s of one core, once a song.

    Args:
        song: The stems. `song.roles` is what was said by hand.
        by: "names" or "sound" alone; None: names first. With "names", a name that says nothing gives "other".
        roles: Roles by hand by stem, before those of the song.

    Returns:
        {name: role} in the song's order; the roles are those of `ROLES`. A silent stem whose name says nothing
        is "other".

    Raises:
        InputError: About the "song", for stems and roles that there are not.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").select("vox_lead", "drums_main")
        >>> song.names[:] = ["x1", "x2"]
        >>> roles(song), roles(song, roles={"x1": "other"})["x1"]
        ({'x1': 'drums', 'x2': 'voice'}, 'other')
    """
    if by is not None and by not in WAYS:
        raise InputError(f"roles go by {' or '.join(WAYS)}, not {by!r}", about="song")
    by_hand = _by_hand(song, roles)
    found = {}
    for row, name in enumerate(song.names):
        role = by_hand.get(name) or (None if by == "sound" else role_of_name(name))
        found[name] = role or ("other" if by == "names" else sound_of(song, row).role())
    return found


def check_roles(song: Multitrack, roles: Mapping[str, str]) -> dict[str, str]:
    """Check roles that were said by hand.

    Args:
        song: The stems.
        roles: {name: role}.

    Returns:
        The same.

    Raises:
        InputError: About the "song", for names that the song does not have, and for other roles than `ROLES`.

    Example:
        >>> import torch
        >>> check_roles(Multitrack(["x"], torch.zeros(1, 2, 9)), {"x": "voice"})
        {'x': 'voice'}
    """
    if not isinstance(roles, Mapping):
        raise InputError(f"roles are a dict {{stem: role}}, not a {type(roles).__name__}", about="song")
    if unknown := [str(name) for name in roles if name not in song.names]:
        raise InputError(
            f"roles name no stem {', '.join(unknown)}: there are {', '.join(song.names)}", about="song"
        )
    for name, role in roles.items():
        if role not in ROLES:
            raise InputError(
                f"the role of {name} must be one of {', '.join(ROLES)}, not {role!r}", about="song"
            )
    return dict(roles)


def _by_hand(song: Multitrack, roles: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what was said by hand; of the song's, stems that are not there any more are passed over."""
    kept = {name: role for name, role in song.roles.items() if name in song.names}
    return check_roles(song, kept) | check_roles(song, roles or {})


def lead_voice(song: Multitrack, *, roles: Mapping[str, str] | None = None) -> str | None:
    """Find the stem that sings the lead.

    Where names say it, the loudest of those. Otherwise one that sounds like a voice, without bass and narrow,
    since backing voices are wide: the one most like a voice, or, in a song of mono stems, the loudest.

    Args:
        song: The stems.
        roles: Roles by hand, before those of the song. What is no "voice" is no lead either, and a "voice" by hand
            is one unless a name says lead.

    Returns:
        Its name; None where no stem is one.

    Raises:
        InputError: As in `roles`.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").select("vox_lead", "drums_main")
        >>> lead_voice(song), lead_voice(song, roles={"vox_lead": "other", "drums_main": "other"})
        ('vox_lead', None)
    """
    voices = lead_voices(song, roles=roles)
    return max(voices, key=lambda name: song.stems[name].square().mean().item(), default=None)


def lead_voices(song: Multitrack, *, roles: Mapping[str, str] | None = None) -> list[str]:
    """Find the stems that are the lead voice: all whose names say so, or the one that sounds like it.

    Args:
        song: The stems.
        roles: As in `lead_voice`.

    Returns:
        Their names, in the song's order.

    Raises:
        InputError: As in `roles`.

    Example:
        >>> import torch
        >>> lead_voices(Multitrack(["vox_lead", "vox_lead_2", "bgvox"], torch.zeros(3, 2, 9)))
        ['vox_lead', 'vox_lead_2']
    """
    by_hand = _by_hand(song, roles)
    chosen = [name for name in song.names if by_hand.get(name) == "voice"]
    said = [name for name in song.names if is_lead_voice(name) and by_hand.get(name, "voice") == "voice"]
    if said or len(chosen) == 1:
        return said or chosen
    if chosen:
        return [_most_like_a_lead(song, chosen) or _loudest(song, chosen)]
    unsaid = [name for name in song.names if name not in by_hand and role_of_name(name) is None]
    found = _most_like_a_lead(song, unsaid)
    return [found] if found else []


def _most_like_a_lead(song: Multitrack, names: Sequence[str]) -> str | None:
    all_mono = all(song.is_mono())
    least = MONO_VOICE if all_mono else LEAD_VOICE
    fit: dict[str, StemSound] = {}
    for name in names:
        sound = sound_of(song, song.names.index(name))
        # What is cheap to measure comes first.
        narrow = not sound.is_silent and sound.width < LEAD_WIDTH and sound.low < LEAD_LOW
        if narrow and sound.voice >= least:
            fit[name] = sound
    return max(fit, key=lambda name: fit[name].power if all_mono else fit[name].voice, default=None)


def _loudest(song: Multitrack, names: Sequence[str]) -> str:
    return max(names, key=lambda name: sound_of(song, song.names.index(name)).power)


def middle_by_sound(song: Multitrack) -> list[str]:
    """Find stems that belong in the middle by what they sound like: the lead voice, and what is mostly bass.

    A snare is not among them: the sound tells drums, but not which.

    Args:
        song: The stems.

    Returns:
        The lead voice, and stems with half their energy below 150 Hz, whatever their names say, but for those to
        which the hand gave another role than bass or drums.

    Example:
        >>> import torch
        >>> t = torch.arange(3 * 44100) / 44100
        >>> hums = torch.stack([torch.sin(2 * torch.pi * f * t) for f in (60.0, 1000.0)])
        >>> middle_by_sound(Multitrack(["x1", "x2"], 0.3 * hums[:, None].repeat(1, 2, 1)))
        ['x1']
    """
    leads, by_hand, found = lead_voices(song), _by_hand(song), []
    for row, name in enumerate(song.names):
        deep = by_hand.get(name, "bass") in ("bass", "drums") and _is_deep(sound_of(song, row))
        if deep or name in leads or by_hand.get(name) == "bass":
            found.append(name)
    return found


def _is_deep(sound: StemSound) -> bool:
    return not sound.is_silent and sound.low >= LOW


def strip_order(roles: Mapping[str, str]) -> list[str]:
    """Sort stems as on a desk: by role, in the order of `ROLES`, and by name within a role.

    Args:
        roles: What `roles` returns.

    Returns:
        The names.

    Example:
        >>> strip_order({"kick": "drums", "x": "other", "vox": "voice", "hats": "drums"})
        ['vox', 'hats', 'kick', 'x']
    """
    return sorted(roles, key=lambda name: (ROLES.index(roles[name]), name))


def sound_of(song: Multitrack, row: int) -> StemSound:
    """Listen to a stem, once for a song as long as its audio stays as it is.

    Args:
        song: The stems.
        row: Which of them.

    Returns:
        Its sound.
    """
    version = 0 if song.audio.is_inference() else song.audio._version
    known, sounds = _heard.get(song.audio, (None, {}))
    if known != (version, song.sample_rate):
        sounds = {}
        _heard[song.audio] = ((version, song.sample_rate), sounds)
    if row not in sounds:
        sounds[row] = StemSound(song.audio[row], song.sample_rate)
    return sounds[row]
