"""Mixing style transfer without a network: fit the console to one reference by gradient descent.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from tqdm.auto import tqdm

from ..audio.loudness import loudest_window, normalize_loudness
from ..audio.multitrack import Multitrack, check_song
from ..console.mixing_console import MixingConsole, uses_fx_bus
from ..console.params import ConsoleParams
from ..console.table import knob_index
from ..style.features import audio_features
from ..style.losses import feature_distance
from .baselines import neutral_params
from .result import MixResult, check_reference, render_mix

if TYPE_CHECKING:
    import pandas as pd


def optimize_mix(
    song: Multitrack,
    reference: torch.Tensor,
    *,
    steps: int = 200,
    init: ConsoleParams | None = None,
    start: str = "spread",
    learning_rate: float = 0.05,
    fit_seconds: float = 15.0,
    progress: bool = False,
) -> MixResult:
    """Mix `song` in the style of `reference`: gradient descent on the console's parameters, no training.

    Every parameter is sigmoid(z) in the unit interval, and Adam moves the logits z to lower the audio-feature
    loss (equation 8) between the mix and the reference, both at -16 LUFS. The best console found is kept, so
    the result is never worse than `init` on the fitted window. Nothing is random: the same input gives the
    same mix. The effects bus takes part when `init` sends something to it.

    Args:
        song: The stems.
        reference: A stereo mix (2, num_samples) at the song's sample rate.
        steps: Gradient steps, 0 or more.
        init: Console to start from, for instance a model's prediction, for the song's tracks; None: as
            `start` says.
        start: "spread" (neutral, left and right channels at their sides, mono stems alternating) or "center"
            (neutral, every pan at 0.5, where the width has no gradient; the chapter shows it).
        learning_rate: Adam's learning rate, on the logits.
        fit_seconds: Length of the song's loudest window, on which the console is fitted, in seconds. The song
            is rendered whole, and the reference is always taken whole.
        progress: Whether to show a progress bar.

    Returns:
        A MixResult at -16 LUFS; its `history` has the loss terms by step.

    Raises:
        InputError: For a reference that is not stereo, and for a song or a reference that is silent or not
            finite.
        ValueError: For other arguments that do not fit.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
        >>> ref = dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg")
        >>> history = optimize_mix(song, ref, steps=3, fit_seconds=2).history
        >>> bool(history["total"].iloc[-1] < history["total"].iloc[0])
        True
    """
    check_song(song)
    target = check_reference(reference, sample_rate=song.sample_rate)
    if start not in ("spread", "center"):
        raise ValueError(f"start must be 'spread' or 'center', not {start!r}")
    if steps < 0 or not fit_seconds > 0:
        raise ValueError(f"steps must be 0 or more and fit_seconds above 0, got {steps} and {fit_seconds}")
    init = init.clone() if init is not None else neutral_params(song, panned=start == "spread")
    if init.tracks.ndim != 2 or init.names != song.names:
        raise ValueError(
            f"init is a console for {', '.join(init.names)}, the song has {', '.join(song.names)}"
        )
    return fit_console(
        song,
        target,
        init,
        steps=steps,
        learning_rate=learning_rate,
        fit_seconds=fit_seconds,
        progress=progress,
    )


def fit_console(
    song: Multitrack,
    target: dict[str, torch.Tensor],
    init: ConsoleParams,
    *,
    steps: int,
    learning_rate: float = 0.05,
    fit_seconds: float = 15.0,
    progress: bool = False,
) -> MixResult:
    """Fit a console to the features of a reference: `optimize_mix` without its checks."""
    with torch.inference_mode(False):  # the caller may have switched gradients off
        target = {name: value.clone() for name, value in target.items()}
        best, history = _descend(song, target, init, steps, learning_rate, fit_seconds, progress)
    return render_mix(song, best, target=target, history=history)


def _descend(
    song: Multitrack,
    target: dict[str, torch.Tensor],
    init: ConsoleParams,
    steps: int,
    learning_rate: float,
    fit_seconds: float,
    progress: bool,
) -> tuple[ConsoleParams, pd.DataFrame]:
    """Descend from `init`, and return the best console found and the loss terms by step."""
    import pandas as pd

    rate = song.sample_rate
    console, fx_bus = MixingConsole(rate, preset=init.preset), uses_fx_bus(init)
    first = loudest_window(song.audio, fit_seconds, sample_rate=rate)
    tracks = song.audio.detach()[:, first : first + max(1, int(fit_seconds * rate))].clone()

    def distance(params: ConsoleParams) -> dict[str, torch.Tensor]:
        mix = normalize_loudness(console(tracks, params, fx_bus=fx_bus).mix, sample_rate=rate)
        return feature_distance(audio_features(mix, sample_rate=rate), target)

    logits = [z.requires_grad_() for z in init.to_logits()]
    optimizer = torch.optim.Adam(logits, lr=learning_rate)
    history = []
    with tqdm(total=steps, desc="fit", unit="step", disable=not progress) as bar:
        with torch.no_grad():
            best, best_loss = init, distance(init)["total"].item()
        for step in range(steps + 1):
            params = ConsoleParams.from_logits(
                *logits, preset=init.preset, sample_rate=rate, names=song.names
            )
            terms = distance(params)
            loss = terms["total"].item()
            history.append({name: term.item() for name, term in terms.items()})
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            if loss < best_loss:
                best, best_loss = params.clone(), loss
            if step == steps or not math.isfinite(loss):
                break
            optimizer.zero_grad()
            terms["total"].backward()
            optimizer.step()
            bar.update()
    if not fx_bus:  # its knobs had no gradient, but `to_logits` moves knobs off the ends of their ranges
        send = knob_index("send_db", "track", init.preset)
        best.tracks[:, send], best.fx_bus_values = init.tracks[:, send], init.fx_bus_values
    return best, pd.DataFrame(history).rename_axis("step")
