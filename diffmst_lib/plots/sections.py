"""A figure of a song's sections: the novelty of its sound, where it changes, and which parts are alike.

Chapter: Mix your own song.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from ..audio.multitrack import Multitrack
from ..audio.section_finding import HOP_S, NOVEL_DB, Section, describe, find_sections, novelty
from .figure import COLORS, new_figure
from .labels import plain, with_letters
from .tracks import draw_waveform


def plot_sections(
    sound: Multitrack | torch.Tensor, sections: Sequence[Section] | None = None, *, sample_rate: int = 44100
) -> Figure:
    """Draw a song or a record with its sections, and the novelty that they were found by.

    Args:
        sound: A song, whose stems are summed, or audio (2, num_samples).
        sections: Its sections; None: those that `find_sections` finds.
        sample_rate: Sample rate in Hz, of audio.

    Returns:
        Figure with the waveform over the novelty in dB; alike sections have one color.
    """
    if isinstance(sound, Multitrack):
        audio, sample_rate = sound.audio.sum(dim=0), sound.sample_rate
    else:
        audio = sound.detach()
    if sections is None:
        sections = find_sections(audio, sample_rate=sample_rate)
    values = novelty(describe(audio, sample_rate=sample_rate))
    figure, (above, below) = new_figure(2, 3.6, sharex=True)
    peak = max(audio.abs().max().item(), 1e-6)
    draw_waveform(above, audio, sample_rate, "#555555")
    groups = list(dict.fromkeys(section.group for section in sections))
    for section in sections:
        color = COLORS[groups.index(section.group) % len(COLORS)]
        above.axvspan(section.start_s, section.end_s, color=color, alpha=0.25, linewidth=0)
        above.text(
            (section.start_s + section.end_s) / 2, 0.98 * peak, plain(section.label), ha="center", va="top"
        )
    above.set(ylim=(-peak, peak), yticks=[], xlim=(0, audio.shape[-1] / sample_rate), ylabel="song")
    below.plot(HOP_S * np.arange(len(values)), values, color=COLORS[0])
    below.axhline(NOVEL_DB, color="#bbbbbb", linewidth=1)
    for section in sections[1:]:
        below.axvline(section.start_s, color=COLORS[1], linewidth=1)
    below.set(ylim=(0, None), xlabel="time (s)", ylabel="novelty (dB)")
    return with_letters(figure)
