"""Mixing style transfer without a network: fit the console to one record by gradient descent.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from ..audio.loudness import loudness, normalize_loudness
from ..audio.multitrack import Multitrack, check_song
from ..console.mixing_console import ConsoleOutput, MixingConsole, check_console, check_finite, uses_fx_bus
from ..console.params import ConsoleParams
from ..console.specs import takes_stems
from ..console.table import OFF_DB, knob_index
from ..disk import composed
from ..inputs import InputError, note
from ..network.roles import lead_voices
from ..style.own_features import OwnFeatures
from .bus import console_tracks, move_faders
from .going_back import tell_if_farther
from .keeping import KEEP, Pull, limit_lean
from .odd_reference import note_stem_as_reference
from .parts import Lock, blend, check_amount, check_fit, check_locks, hold, locks_fader
from .references import Reference, References, check_reference
from .result import MixResult, check_mix, render_mix
from .section_plan import Sections, plan_sections
from .sections import APART, mix_sections
from .start import start_params
from .windows import loudest_part

if TYPE_CHECKING:
    import pandas as pd

LEARNING_RATE = 0.1
MASTER_FASTER = 3.0  # the master's learning rate, times the strips': what it can do, it does first


def optimize_mix(
    song: Multitrack,
    reference: References,
    *,
    steps: int = 200,
    init: ConsoleParams | None = None,
    balance: str = "delivered",
    center: Sequence[str] | None = None,
    keep: float = KEEP,
    lock: Sequence[str] = (),
    amount: float | Mapping[str, float] = 1.0,
    learning_rate: float = LEARNING_RATE,
    fit_seconds: float = 15.0,
    sections: Sections | None = None,
    features: OwnFeatures = None,
    console: MixingConsole | str | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> MixResult:
    """Mix `song` in the style of `reference`: gradient descent on the console's parameters, no training.

    Every parameter is sigmoid(z) in the unit interval, and Adam moves the logits z to lower

        L(mix, reference) + keep * pull(z)

    where L is the audio-feature loss (equation 8), both at -16 LUFS, and the pull is the squared distance from
    the start, in moves of an engineer. It is strong on strips and hardly there on the master: what the whole
    song needs, the master does. The loss hears only the sum, so without the pull (`keep=0`, the paper's way)
    stems move by 10 dB and lean to the sides for the last hundredth of it. With it no stem leans by more than
    3 dB from where it was delivered.

    The best console found is kept. Nothing is random: the same input gives the same mix. The effects bus takes
    part when `init` sends something to it.

    Args:
        song: The stems.
        reference: A stereo mix (2, num_samples) at the song's sample rate; or a list of mixes, or of pairs
            (mix, weight), whose features are averaged.
        steps: Gradient steps, 0 or more.
        init: Console to start from, for instance a model's prediction; None: the song as it was delivered,
            at -20 LUFS before the master bus.
        balance: Balance of that start: "delivered", the artist's, or "equal", every stem equally loud, for raw
            recordings.
        center: Stems of a song of mono stems that stay in the middle when the others start apart, since in
            the middle of everything the width has no gradient; None: the low end and the stems whose names say
            lead voice, kick, bass or snare.
        keep: Weight of the pull, 0 or more. Half of it brings the mix nearer, twice of it the song.
        lock: Strips ("vox_lead", "master_bus") and knobs ("kick.pan") that stay as they start.
        amount: How far to go from the start to what was found, 0 to 1, for all or by aspect: {"balance": 0,
            "tone": 1, "dynamics": 0.5, "image": 1}. The level of the mix stays.
        learning_rate: Adam's learning rate, on the logits of the strips; the master's is three times as high.
        fit_seconds: Length of the song's loudest window, on which the console is fitted, in seconds. The song
            is rendered whole, and the reference is always taken whole.
        sections: A console for each section of the song: "auto" finds them, times in seconds, (time, name) pairs
            or a file of markers say where they begin. Each is fitted, from the song's console, to that section of
            the record which is as loud among its sections. None: one console.
        features: Terms of your own beside the five of L, as in `audio_feature_loss`: {name: (function, weight)}
            or names given to `register_feature`.
        console: What mixes: a console, also of a class of your own, or the name of one (`register_console`);
            None: the library's, of the preset of `init`.
        device: Where the fit runs, as in "cuda"; None: where the song is. The song stays where it is, and is
            rendered there.
        progress: Whether to show a progress bar.

    Returns:
        A MixResult at -16 LUFS; its `history` has the loss terms and the pull by step.

    Raises:
        InputError: For a reference that is not stereo, for a song or a reference that is silent or not finite,
            for unknown names in `lock` and `center`, for an `amount` outside 0 to 1, and for a feature or a
            console of your own that does not fit or gives NaN.
        ValueError: For other arguments that do not fit.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
        >>> ref = dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg")
        >>> history = optimize_mix(song, ref, steps=3, fit_seconds=2).history
        >>> bool(history["total"].iloc[-1] < history["total"].iloc[0])
        True
    """
    levels = check_song(song)
    record = check_reference(reference, sample_rate=song.sample_rate, features=features)
    note_stem_as_reference(song, *record.weighted())
    check_fit(keep, fit_seconds, steps=steps)
    check_amount(amount)
    planned = None if sections is None else plan_sections(sections, song)
    if console is None or isinstance(console, str):
        console = MixingConsole(song.sample_rate, console or (init.preset if init else "default"))
    check_console(console)
    if init is None:
        init = start_params(song, balance, center, preset=console.preset, levels=levels)
    else:
        init = init.clone()
        names = console_tracks(song, init.preset)[0]
        if init.tracks.ndim != 2 or [*map(composed, init.names)] != [*map(composed, names)]:
            raise ValueError(
                f"init is a console for {', '.join(init.names)}, the song has {', '.join(names)}"
            )
        init.names = list(names)  # as the song spells them
    locked = check_locks(lock, init.names, init.preset)
    params, history = fit_console(
        song,
        record,
        init,
        console,
        steps=steps,
        keep=keep,
        lock=locked,
        learning_rate=learning_rate,
        fit_seconds=fit_seconds,
        device=device,
        progress=progress,
    )
    result = render_mix(
        song, blend(init, params, amount), console=console, reference=record, history=history, levels=levels
    )
    if planned is not None:

        def fit(
            part: Multitrack, of: Reference, common: ConsoleParams, held: Sequence[Lock]
        ) -> ConsoleParams:
            return fit_console(
                part,
                of,
                common,
                console,
                steps=steps,
                keep=APART * keep,
                lock=held,
                learning_rate=learning_rate,
                fit_seconds=fit_seconds,
                device=device,
            )[0]

        result = mix_sections(
            result,
            record,
            planned,
            fit,
            lock=locked,
            amount=amount,
            fit_seconds=fit_seconds,
            progress=progress,
        )
    tell_if_farther(result, record)
    return check_mix(result)


def fit_console(
    song: Multitrack,
    reference: Reference,
    init: ConsoleParams,
    console: MixingConsole,
    *,
    steps: int,
    keep: float = KEEP,
    lock: Sequence[Lock] = (),
    learning_rate: float = LEARNING_RATE,
    fit_seconds: float = 15.0,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> tuple[ConsoleParams, pd.DataFrame]:
    """Fit a console to a record: `optimize_mix` without its checks; the console, and the losses by step."""
    device = song.audio.device if device is None else device
    with torch.inference_mode(False):  # the caller may have switched gradients off
        features = {name: value.to(device, copy=True) for name, value in reference.features.items()}
        fit = _Fit(song, replace(reference, features=features), init, console, fit_seconds, device)
        best, history = fit.descend(steps, keep, lock, learning_rate, progress)
        with torch.no_grad():
            best = fit.finish(best, keep, lock)
    return best.to(init.tracks.device), history


class _Fit:
    """A song's loudest window and a record, and how far a console brings them together."""

    def __init__(
        self,
        song: Multitrack,
        reference: Reference,
        init: ConsoleParams,
        console: MixingConsole,
        fit_seconds: float,
        device: torch.device | str,
    ):
        self.init, self.sample_rate, self.reference = init.to(device), song.sample_rate, reference
        self.console, self.fx_bus, self.stems = console, uses_fx_bus(init), takes_stems(init.preset)
        audio = console_tracks(song, init.preset)[1].detach()
        loudest = loudest_part(audio, fit_seconds, sample_rate=song.sample_rate)
        self.tracks = loudest.to(device, copy=True)
        self.lead_voices = lead_voices(song)
        self.closed: list[Lock] = []  # faders that are off stay off: logits are kept from the ends of ranges
        if self.stems:
            off = init.values("track")["fader_db"] <= OFF_DB
            self.closed = [(row, "fader_db") for row in off.nonzero().flatten().tolist()]
        self.bus_lufs: float | None = None
        if self.stems and math.isfinite(level := self._bus_loudness(self.init)):
            self.bus_lufs = level  # the level that the whole song has there, in its loudest window

    def strips(self, params: ConsoleParams) -> ConsoleOutput:
        """Run the strips: what reaches the master bus, and its sum."""
        return self.console(self.tracks, params, fx_bus=self.fx_bus, master_bus=False)

    @torch.no_grad()
    def _bus_loudness(self, params: ConsoleParams) -> float:
        """Measure the loudness before the master bus, in LUFS."""
        return loudness(self.strips(params).mix, sample_rate=self.sample_rate)

    def mix(self, params: ConsoleParams) -> tuple[torch.Tensor, ConsoleOutput]:
        """Mix with a console at the level of the start, and return the mix and what enters its master."""
        out = self.strips(params)
        bus = out.mix
        if self.bus_lufs is not None:
            bus = normalize_loudness(bus, self.bus_lufs, sample_rate=self.sample_rate)
        return self.console.master_bus(bus[None], params)[0], ConsoleOutput(bus, out.tracks)

    def distance(self, params: ConsoleParams) -> tuple[dict[str, torch.Tensor], ConsoleOutput]:
        """Compute the audio-feature loss of a console's mix, by term, and return what enters its master."""
        mix, out = self.mix(params)
        mix = normalize_loudness(mix, sample_rate=self.sample_rate)
        return self.reference.terms(mix, sample_rate=self.sample_rate), out

    def descend(
        self, steps: int, keep: float, lock: Sequence[Lock], learning_rate: float, progress: bool
    ) -> tuple[ConsoleParams, pd.DataFrame]:
        """Descend from the start, and return the best console met and the losses by step."""
        import pandas as pd

        init = self.init
        if locks_fader(lock):
            self.bus_lufs = None  # a locked fader holds its own level; the others are balanced against it
        strips, *buses = (z.requires_grad_() for z in init.to_logits())
        logits = [strips, *buses]
        with torch.no_grad():
            pull = Pull(logits, init, self.tracks, self.strips(init).tracks, self.lead_voices)
        faster = MASTER_FASTER if keep else 1.0
        groups: list[dict[str, Any]] = [{"params": [strips]}, {"params": buses, "lr": faster * learning_rate}]
        optimizer = torch.optim.Adam(groups, lr=learning_rate)
        history, best, best_loss = [], init, math.inf
        with tqdm(total=steps, desc="fit", unit="step", disable=not progress) as bar:
            for step in range(-1, steps + 1):
                # First the start itself, since logits stay off the ends of the knobs' ranges.
                params = init if step < 0 else self._params(logits, lock)
                terms, out = self.distance(params)
                pulled = keep * pull(logits, params, out) if keep else 0.0 * terms["total"]
                total = terms["total"] + pulled
                if not math.isfinite(total.item()):
                    self._blame_console(params, step)
                if step != 0:
                    row = {name: term.item() for name, term in terms.items()} | {"pull": pulled.item()}
                    history.append(row)
                    if total.item() < best_loss:
                        best, best_loss = params.clone(), total.item()
                if step < 0:
                    continue
                bar.set_postfix(loss=f"{total.item():.4f}", refresh=False)
                if step == steps or not math.isfinite(total.item()):
                    break
                optimizer.zero_grad()
                total.backward()
                self._check_gradients(logits)
                optimizer.step()
                bar.update()
        return best, pd.DataFrame(history).rename_axis("step")

    def _check_gradients(self, logits: Sequence[torch.Tensor]) -> None:
        """Refuse features and consoles whose gradient is NaN: ours are finite for any sound."""
        if not all(torch.isfinite(z.grad).all() for z in logits if z.grad is not None):
            own = ", ".join(self.reference.own)
            cause = f"with {own} in the loss" if own else f"through the console {self.console!r}"
            raise InputError(f"the gradient is not finite {cause}")

    @torch.no_grad()
    def _blame_console(self, params: ConsoleParams, step: int) -> None:
        """Say so where the loss is NaN since the console is: no fit can start there, but one can end there."""
        try:
            check_finite(self.console, self.mix(params)[0], self.tracks)
        except InputError as error:
            if step <= 0:
                raise
            note(f"the fit ends in step {step}: {error}")

    def _params(self, logits: Sequence[torch.Tensor], lock: Sequence[Lock]) -> ConsoleParams:
        init = self.init
        params = ConsoleParams.from_logits(
            *logits, preset=init.preset, sample_rate=self.sample_rate, names=init.names
        )
        if not self.fx_bus:  # its knobs have no gradient
            send = knob_index("send_db", "track", init.preset)
            found, start = params.tracks, init.tracks[:, send : send + 1]
            params.tracks = torch.cat([found[:, :send], start, found[:, send + 1 :]], dim=-1)
            params.fx_bus_values = init.fx_bus_values
        return hold(init, params, [*lock, *self.closed]) if lock or self.closed else params

    def finish(self, best: ConsoleParams, keep: float, lock: Sequence[Lock]) -> ConsoleParams:
        """Write the level before the master bus into the faders, and see that no stem leans too far."""
        if not self.stems:
            return best
        if self.bus_lufs is not None:
            best = move_faders(best, self.bus_lufs - self._bus_loudness(best))
        return limit_lean(self.console, best, self.tracks, lock, self.init) if keep else best
