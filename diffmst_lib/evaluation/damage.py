"""Known damage to a good mix, in rising amounts: what a metric must be able to hear.

Each ladder begins at 0, the plain sum of the stems, and gets worse from rung to rung. Damage that a console
can do is done by a console, so that the numbers of its report are there as well; the rest is done to the
sum. All mixes come out at one loudness, or everything would be a ladder of levels.

Chapter: How good is a mix?
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..audio.loudness import loudness_each, normalize_loudness
from ..audio.meters import stereo_powers
from ..audio.multitrack import Multitrack, check_song
from ..console.effects import compressor, reverb
from ..console.params import ConsoleParams
from ..console.table import REVERB_BANDS, param_table
from ..inputs import InputError, note
from ..mixing.result import MixResult, check_mix, render_mix
from ..mixing.start import neutral_params
from ..network.roles import lead_voices as lead_voices_of

SOUNDING_LUFS = -60.0  # a stem below it cannot be heard to be wrong
IMAGE_DB = -40.0  # side against mid, below which there is no image to collapse
TILT_OCTAVES = 4  # from 1 kHz to where the whole tilt is reached: 62.5 Hz and 16 kHz
FADER_END_DB = 12.0
RATIO, ATTACK_MS, RELEASE_MS = 4.0, 10.0, 100.0  # of the bus compressor


@dataclass(frozen=True)
class Ladder:
    """One kind of damage, from none to severe. Call it for the sound.

    Attributes:
        label: A few words for tables and figures.
        unit: What its amounts are counted in.
        amounts: Its rungs, 0 first.
        about: One line: what is done.
        damage: Function (song, amount, seed) -> `MixResult`, where a console does it, or audio (2,
            num_samples).
        turned: Function (song) -> the stems that are damaged; None where it is the whole mix.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(4, 2)
        >>> mono = LADDERS["narrow"](song, 1.0)
        >>> bool((mono[0] - mono[1]).abs().max() < 1e-6)
        True
    """

    label: str
    unit: str
    amounts: tuple[float, ...]
    about: str
    damage: Callable[[Multitrack, float, int], MixResult | torch.Tensor]
    turned: Callable[[Multitrack], list[str]] | None = None

    def mix(self, song: Multitrack | MixResult, amount: float, *, seed: int = 0) -> MixResult | torch.Tensor:
        """Damage a song, and bring the mix to -16 LUFS.

        Args:
            song: A good mix: stems whose plain sum is good, or a mix, whose stems are taken as they reach its
                master bus.
            amount: How much, from 0 to the ladder's last rung.
            seed: Seed of what is drawn.

        Returns:
            A `MixResult` where a console does the damage; audio (2, num_samples) otherwise.

        Raises:
            InputError: For an amount outside the ladder, for a song that is silent, and for one that has
                nothing to be damaged: no image, a single stem.
        """
        last = self.amounts[-1]
        if not 0.0 <= amount <= last:
            raise InputError(f"{self.label}: the amount must be 0 to {last:g} {self.unit}, not {amount:g}")
        return self.damage(delivered(song), float(amount), seed)

    def __call__(self, song: Multitrack | MixResult, amount: float, *, seed: int = 0) -> torch.Tensor:
        """Damage a song: `mix`, but always as audio (2, num_samples)."""
        mixed = self.mix(song, amount, seed=seed)
        return mixed.audio if isinstance(mixed, MixResult) else mixed


def delivered(song: Multitrack | MixResult) -> Multitrack:
    """Return stems whose plain sum is a mix: a song as it is, or a mix's stems as they reach its master bus.

    Args:
        song: A song, or a mix. What the mix's master bus does is left out, what its reverb returns is a stem.

    Returns:
        The stems.
    """
    if isinstance(song, Multitrack):
        return song
    stems, returns = song.stems(), song.fx_return()
    if returns is not None:
        stems["fx_return"] = returns
    return Multitrack(list(stems), torch.stack(list(stems.values())), song.sample_rate, song.song.title)


def lead_voices(song: Multitrack) -> list[str]:
    """Find the stems that are the lead voice.

    Args:
        song: The stems.

    Returns:
        The stems that sound and whose names say so; where there are none, the loudest stem, told in an
        `InputNote`.

    Raises:
        InputError: When no other stem sounds: nothing would change.

    Example:
        >>> import diffmst_lib as dm
        >>> lead_voices(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
        ['vox_lead']
    """
    levels = _levels(song)
    sounding = [name for name, level in levels.items() if level > SOUNDING_LUFS]
    voices = [name for name in lead_voices_of(song) if name in sounding]
    if not voices:
        voices = loudest(song)
        note(f"no stem that sounds here is called a lead voice: the loudest, {voices[0]}, stands for it")
    if not set(sounding) - set(voices):
        raise InputError(f"{_called(song)}: nothing sounds beside {', '.join(voices)}", about="song")
    return voices


def loudest(song: Multitrack) -> list[str]:
    """Find the loudest stem: its name, in a list.

    Args:
        song: The stems.

    Returns:
        One name.
    """
    levels = _levels(song)
    return [max(levels, key=lambda name: levels[name])]


def _levels(song: Multitrack) -> dict[str, float]:
    return dict(zip(song.names, check_song(song), strict=True))


def _called(song: Multitrack) -> str:
    return song.title or "the song"


# By a console


def _voice(song: Multitrack, gain_db: float) -> MixResult:
    return _turned(song, dict.fromkeys(lead_voices(song), gain_db))


def _voice_down(song: Multitrack, amount: float, seed: int) -> MixResult:
    return _voice(song, -amount)


def _voice_up(song: Multitrack, amount: float, seed: int) -> MixResult:
    return _voice(song, amount)


def _disturb(song: Multitrack, amount: float, seed: int) -> MixResult:
    """Turn every stem up or down by a normal, without what they share, scaled to exactly `amount` dB rms."""
    sounding = [name for name, level in _levels(song).items() if level > SOUNDING_LUFS]
    if len(sounding) < 2:
        raise InputError(f"{_called(song)}: one stem alone has no balance", about="song")
    gains_db = np.random.default_rng(seed).normal(0.0, 1.0, len(sounding))
    gains_db -= gains_db.mean()
    gains_db *= amount / np.sqrt(np.mean(gains_db**2))
    return _turned(song, dict(zip(sounding, gains_db.tolist(), strict=True)))


def _turned(song: Multitrack, gains_db: dict[str, float]) -> MixResult:
    """Turn some faders, all of them less where one would go beyond its end at +12 dB."""
    too_far_db = max(0.0, *gains_db.values()) - FADER_END_DB

    def turn(params: ConsoleParams) -> None:
        for name, gain_db in gains_db.items():
            params.track(name)["fader_db"] = gain_db - max(0.0, too_far_db)

    return _edited(song, turn)


def _one_side(song: Multitrack, amount: float, seed: int) -> MixResult:
    def turn(params: ConsoleParams) -> None:
        for name in loudest(song):
            params.track(name)["pan"] = 0.5 + amount / 2

    return _edited(song, turn)


def _narrow(song: Multitrack, amount: float, seed: int) -> MixResult:
    def turn(params: ConsoleParams) -> None:
        if not stereo_powers(song.audio.sum(dim=0)).width_db > IMAGE_DB:
            raise InputError(f"{_called(song)}: its sum is mono, there is no image to collapse", about="song")
        params.master_bus["width"] = 1.0 - amount

    return _edited(song, turn)


def _edited(song: Multitrack, turn: Callable[[ConsoleParams], None]) -> MixResult:
    """Check a song, and mix it with the console of the plain sum, on which some knobs are turned."""
    levels = check_song(song)
    params = neutral_params(song, levels=levels)
    turn(params)
    return check_mix(render_mix(song, params, levels=levels))


# To the sum


def _of_sum(
    spoil: Callable[[torch.Tensor, float, int], torch.Tensor],
) -> Callable[[Multitrack, float, int], torch.Tensor]:
    def damage(song: Multitrack, amount: float, seed: int) -> torch.Tensor:
        check_song(song)
        rate = song.sample_rate
        plain_sum = normalize_loudness(song.audio.sum(dim=0), sample_rate=rate)
        return normalize_loudness(spoil(plain_sum, amount, rate), sample_rate=rate)

    return damage


def tilt(audio: torch.Tensor, amount_db: float, sample_rate: int) -> torch.Tensor:
    """Tilt the spectrum around 1 kHz: a straight line over the octaves, without any delay.

    gain(f) = amount log2(f / 1000) / 4 dB, held below 62.5 Hz and above 16 kHz, where it is -amount and
    +amount.

    Args:
        audio: Audio (channels, num_samples).
        amount_db: The gain at 16 kHz in dB; negative for darker.
        sample_rate: Sample rate in Hz.

    Returns:
        Audio like `audio`.

    Example:
        >>> treble = torch.sin(2 * torch.pi * 16000 / 44100 * torch.arange(44100))[None]
        >>> louder = tilt(treble, 6.0, 44100)[0, 1000:-1000].std() / treble[0, 1000:-1000].std()
        >>> round(20 * louder.log10().item(), 1)
        6.0
    """
    num_samples, ring = audio.shape[-1], sample_rate // 4  # a quarter of a second for the filter to ring out
    length = num_samples + 2 * ring
    frequency_hz = torch.fft.rfftfreq(length, 1 / sample_rate, dtype=torch.float64).clamp(min=1.0)
    octaves = (frequency_hz / 1000.0).log2().clamp(-TILT_OCTAVES, TILT_OCTAVES)
    gain = 10.0 ** (amount_db * octaves / TILT_OCTAVES / 20.0)
    padded = torch.nn.functional.pad(audio.double(), (ring, ring))
    return torch.fft.irfft(torch.fft.rfft(padded) * gain, n=length)[..., ring:-ring].to(audio.dtype)


def add_reverb(audio: torch.Tensor, amount: float, sample_rate: int) -> torch.Tensor:
    """Add the reverb of the console's effects bus, neutral, as if all stems were sent to it alike.

    Args:
        audio: Audio (2, num_samples).
        amount: The level of the reverb's return against the dry sound, as a factor: 0.5 is 6 LU below it.
        sample_rate: Sample rate in Hz.

    Returns:
        Audio like `audio`; silence stays silent.
    """
    neutral = {knob.name: knob.neutral for knob in param_table("fx_bus")}
    gains, decays = (
        torch.tensor([[neutral[f"band{i}_{what}"] for i in range(REVERB_BANDS)]], dtype=audio.dtype)
        for what in ("gain", "decay")
    )
    wet = reverb(audio[None], sample_rate=sample_rate, band_gains=gains, band_decays=decays, mix=1.0)[0]
    dry_lufs, wet_lufs = loudness_each(torch.stack([audio, wet]), sample_rate)
    if amount == 0.0 or not math.isfinite(dry_lufs - wet_lufs):
        return audio
    return audio + amount * 10.0 ** ((dry_lufs - wet_lufs) / 20.0) * wet


def compress(audio: torch.Tensor, amount_db: float, sample_rate: int) -> torch.Tensor:
    """Compress a mix 4:1, with a hard knee, 10 ms attack and 100 ms release.

    Args:
        audio: Audio (2, num_samples).
        amount_db: How far the threshold is below the highest sample, in dB: at 0 nothing happens.
        sample_rate: Sample rate in Hz.

    Returns:
        Audio like `audio`, with its highest sample at full scale before it is compressed.
    """
    settings: dict[str, Any] = {"ratio": RATIO, "attack_ms": ATTACK_MS, "release_ms": RELEASE_MS}
    settings |= {"threshold_db": -amount_db, "knee_db": 0.0, "makeup_gain_db": 0.0}
    return compressor(_to_full_scale(audio)[None], sample_rate=sample_rate, **settings)[0]


def clip(audio: torch.Tensor, amount_db: float, sample_rate: int) -> torch.Tensor:
    """Clip a mix, as a converter does.

    Args:
        audio: Audio (channels, num_samples).
        amount_db: How far its highest sample is above full scale, in dB: at 0 nothing is clipped.
        sample_rate: Sample rate in Hz; it plays no role.

    Returns:
        Audio like `audio`, within -1 and 1.

    Example:
        >>> clip(torch.tensor([[0.1, -0.2, 0.05]]), 20 * math.log10(4), 44100)
        tensor([[ 1., -1.,  1.]])
    """
    return (_to_full_scale(audio) * 10.0 ** (amount_db / 20.0)).clamp(-1.0, 1.0)


def _to_full_scale(audio: torch.Tensor) -> torch.Tensor:
    return audio / audio.abs().max().clamp(min=1e-9)


def _bright(audio: torch.Tensor, amount: float, sample_rate: int) -> torch.Tensor:
    return tilt(audio, amount, sample_rate)


def _dark(audio: torch.Tensor, amount: float, sample_rate: int) -> torch.Tensor:
    return tilt(audio, -amount, sample_rate)


TILTS, DECIBELS = (0.0, 1.5, 3.0, 6.0), (0.0, 3.0, 6.0, 12.0)
LADDERS: dict[str, Ladder] = {
    "voice_down": Ladder(
        "voice down", "dB", DECIBELS, "the lead voice is turned down", _voice_down, lead_voices
    ),
    "voice_up": Ladder("voice up", "dB", DECIBELS, "the lead voice is turned up", _voice_up, lead_voices),
    "balance": Ladder(
        "balance", "dB rms", (0.0, 2.0, 4.0, 8.0), "every stem is turned up or down at random", _disturb
    ),
    "one_side": Ladder(
        "one side",
        "of the way",
        (0.0, 0.25, 0.5, 0.75, 1.0),
        "the loudest stem goes to the right, from its place to hard right",
        _one_side,
        loudest,
    ),
    "narrow": Ladder(
        "narrow",
        "of the side",
        (0.0, 0.25, 0.5, 0.75, 1.0),
        "the image collapses: the width goes from 1 to 0",
        _narrow,
    ),
    "bright": Ladder(
        "brighter",
        "dB",
        TILTS,
        "the spectrum is tilted up around 1 kHz, by so much at 16 kHz",
        _of_sum(_bright),
    ),
    "dark": Ladder(
        "darker",
        "dB",
        TILTS,
        "the spectrum is tilted down around 1 kHz, by so much at 16 kHz",
        _of_sum(_dark),
    ),
    "reverb": Ladder(
        "reverb",
        "of the dry level",
        (0.0, 0.125, 0.25, 0.5, 1.0),
        "the reverb of the console's effects bus, on everything",
        _of_sum(add_reverb),
    ),
    "compression": Ladder(
        "4:1 on the bus",
        "dB under the peak",
        (0.0, 6.0, 12.0, 18.0, 24.0),
        "a bus compressor whose threshold falls",
        _of_sum(compress),
    ),
    "clipping": Ladder(
        "clipping", "dB over full scale", DECIBELS, "the mix is too loud for its converter", _of_sum(clip)
    ),
}
