"""Diff-MST: encoders, controller and console, from stems and a reference to a mix. Fig. 1 of the paper.

    stems T ---------> track encoder f_t ---+
                                            +--> controller g --> parameters P --> console h --> mix M_p
    reference M_r ---> mix encoder f_r -----+                                         ^
    stems T --------------------------------------------------------------------------+

    P = g(f_t(T), f_r(M_r))      equation 1, `DiffMST.predict`
    M_p = h(T, P)                equation 2, `DiffMST.forward`

Chapter: The controller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch

from .audio.multitrack import Multitrack
from .console.mixing_console import MixingConsole, check_console, check_finite
from .console.params import ConsoleParams
from .console.table import knob_index
from .mixing import whole_song
from .mixing.bus import plain_sum, run_console
from .mixing.keeping import KEEP
from .mixing.references import References
from .mixing.result import MixResult
from .mixing.section_plan import Sections
from .network import checkpoint
from .network.arguments import check_shapes, check_types
from .network.config import ModelConfig
from .network.controller import start_console
from .network.encoder import ReferenceStyle
from .network.listener import Listener, Logits
from .style.own_features import OwnFeatures

# Knobs stay a millionth away from the ends of their range, where every effect has a finite gradient.
LOGIT_LIMIT = math.log(1e6 - 1)


class NotFinite(ValueError):
    """A network gives NaN."""


class DiffMST(Listener):
    """The whole system: stems and a reference in, console parameters and a mix out.

    "tiny" and "small" take stereo stems, a strip each; "paper" takes mono channels. Encoders, audio features and
    controller are those of `Listener`; `console` may be any `MixingConsole` of the same preset.

    Args:
        config: "tiny" (for tests and chapters), "small" (the one to use), "paper" (190,923,982 parameters) or
            a `ModelConfig`. The weights are untrained, in float32, and stay so: for mixed precision use
            autocast. `from_pretrained` loads trained ones.

    Raises:
        ValueError: For the name of no preset; its subclass InputError for a registered encoder, controller or
            feature that does not work.

    Example:
        >>> model = DiffMST("tiny")
        >>> mix, params = model(0.1 * torch.randn(1, 4, 2, 44100), 0.1 * torch.randn(1, 2, 44100))
        >>> mix.shape, params.tracks.shape
        (torch.Size([1, 2, 44100]), torch.Size([1, 4, 29]))
    """

    def __init__(self, config: str | ModelConfig = "small"):
        super().__init__(ModelConfig.preset(config) if isinstance(config, str) else config)
        self.console = MixingConsole(self.config.sample_rate, preset=self.config.console)

    def forward(
        self,
        tracks: torch.Tensor,
        reference: torch.Tensor,
        *,
        pans: torch.Tensor | Sequence[float] | None = None,
        mask: torch.Tensor | None = None,
        passes: int | None = None,
        render: bool = True,
    ) -> tuple[torch.Tensor | None, ConsoleParams]:
        """Mix tracks in the style of a reference: M_p = h(T, P), equation 2. Differentiable.

        Arguments and errors are those of `predict`. The mix (B, 2, T) has the level that it has: normalize it
        before it is compared. Without `render` it is None. The console that comes with it is for the tracks
        as they are given here; `mix` takes stems at any level, and gives a console for those.
        """
        params = self.predict(tracks, reference, pans=pans, mask=mask, passes=passes)
        return self.run_console(tracks, params, mask) if render else None, params

    def run_console(
        self, tracks: torch.Tensor, params: ConsoleParams, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Mix a batch of tracks, effects bus off as in the released code: h of equation 2.

        The sum of stems is held at -20 LUFS before the master bus.
        """
        with torch.autocast(tracks.device.type, enabled=False):
            return run_console(check_console(self.console), tracks, params, mask=mask)

    def predict(
        self,
        tracks: torch.Tensor,
        reference: torch.Tensor,
        *,
        pans: torch.Tensor | Sequence[float] | None = None,
        mask: torch.Tensor | None = None,
        passes: int | None = None,
    ) -> ConsoleParams:
        """Predict the console for tracks and a reference: P = g(f_t(T), f_r(M_r)), equation 1.

        Args:
            tracks: Stems (B, N, 2, T) whose plain sum is at -20 LUFS, as `level_stems` brings them. For "paper",
                channels (B, N, T), each at `config.track_lufs`, as `normalize_tracks` brings them.
            reference: (B, 2, T'), at -16 LUFS, as `normalize_loudness` brings it.
            pans: Where the pans start, (B, N), 0 to 1, also as a list (`spread_pans`); None: all 0.5.
            mask: (B, N), True where a track is real, False where it fills up the batch or is silent; None:
                all real.
            passes: How often the controller sets or corrects the console, 1 or more; None: `config.passes`,
                but at least once. Gradients reach the network through the last pass only.

        Returns:
            The console. Arguments without the leading batch axis give a console without it.

        Raises:
            ValueError: For shapes and types that do not fit, and for a number of passes that the model cannot
                do; its subclasses `NotFinite` when the network gives NaN, and InputError when the console
                does (neither is checked on a GPU).
        """
        check_types(tracks, reference, mask)
        if pans is not None:
            pans = torch.as_tensor(pans, dtype=torch.float32, device=tracks.device)
        is_batch = tracks.ndim == 3 + self.config.stems
        if not is_batch:
            tracks, reference = tracks[None], reference[None]
            pans, mask = (x if x is None else x[None] for x in (pans, mask))
        check_shapes(tracks, reference, pans, mask, stems=self.config.stems)
        embeddings = self.encode_tracks(tracks, mask)  # (B, N, width)
        style = self.encode_reference(reference)  # embeddings (B, 2, width), features (B, K)
        logits = self.console_logits(embeddings, style, tracks, pans=pans, mask=mask, passes=passes)
        return self.console_params(logits if is_batch else [z[0] for z in logits])

    def console_logits(
        self,
        embeddings: torch.Tensor,
        style: ReferenceStyle,
        tracks: torch.Tensor,
        *,
        pans: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        passes: int | None = None,
    ) -> Logits:
        """Set the console, listen to its mix, correct the console, and so on: g of equation 1.

            z_1 = g(plain sum),    z_k+1 = z_k + g(mix of z_k) - z_0

        The first pass compares the reference with the plain sum of the tracks, and its answer is the console.
        Each later pass compares the reference with the mix of that console and corrects it: the answer, less
        the logits z_0 of the console where training starts, is added to the logits so far.

        Args:
            embeddings: Embeddings of the tracks, (B, N, width).
            style: The encoded reference.
            tracks: Stems (B, N, 2, T) or channels (B, N, T).
            pans: (B, N) or None.
            mask: (B, N) or None.
            passes: As in `predict`.

        Returns:
            Logits of strips, effects bus and master bus. sigmoid(logit) is a knob in the unit interval.

        Raises:
            ValueError: For a number of passes that the model cannot do; `NotFinite` as in `predict`.
        """
        passes = max(1, self.config.passes) if passes is None else passes
        if passes < 1 or (passes > 1 and not self.config.passes):
            raise ValueError(f"passes cannot be {passes} in a model that has passes={self.config.passes}")
        if pans is None or not self.config.start_pans:
            pans = tracks.new_full(embeddings.shape[:2], 0.5)  # under autocast embeddings are half precision
        start = start_console(pans, self.config.console)
        power = self.stem_power(tracks, mask)
        logits: Logits = []
        for number in range(passes):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number == passes - 1):
                compared, of_stems = style, None
                if self.config.passes:
                    params = self.console_params(logits) if logits else None
                    if params is None:
                        mix = plain_sum(tracks, pans, mask)
                    else:
                        mix = self.run_console(tracks, params, mask)
                        check_finite(self.console, mix, tracks)
                    compared, of_stems = self.compare(style, mix, power, params)
                answer = self.controller_logits(embeddings, compared, pans=pans, evidence=of_stems, mask=mask)
                if logits:
                    answer = [z + a - z0 for z, a, z0 in zip(logits, answer, start, strict=True)]
                logits = self.within_limits(answer)
        return logits

    def console_params(self, logits: Sequence[torch.Tensor]) -> ConsoleParams:
        """Turn the logits of a console into its parameters."""
        return ConsoleParams.from_logits(
            *logits, preset=self.config.console, sample_rate=self.config.sample_rate
        )

    def within_limits(self, logits: Logits) -> Logits:
        """Keep knobs off the ends of their ranges, and turn the sends off: their bus does not run."""
        if logits[0].device.type == "cpu" and any(bool(z.isnan().any()) for z in logits):
            raise NotFinite("the network gives NaN: a track, the reference or a weight is not finite")
        strips, *buses = (z.clamp(-LOGIT_LIMIT, LOGIT_LIMIT) for z in logits)
        send = torch.tensor(knob_index("send_db", preset=self.config.console), device=strips.device)
        return [strips.index_fill(-1, send, -torch.inf), *buses]

    def mix(
        self,
        song: Multitrack,
        reference: References,
        *,
        refine_steps: int = 0,
        balance: str = "delivered",
        center: Sequence[str] | None = None,
        keep: float = KEEP,
        lock: Sequence[str] = (),
        amount: float | Mapping[str, float] = 1.0,
        fit_seconds: float = 15.0,
        sections: Sections | None = None,
        features: OwnFeatures = None,
        progress: bool = False,
    ) -> MixResult:
        """Mix `song` in the style of `reference`, both of any length and at any level.

        The network hears windows of `config.window_seconds`, the dozen loudest of a song. Every window gives a
        console; their mean, weighted by the energy of each stem and without what single windows say, is the
        song's. `model.console` renders it, also one of a class of your own. Without refine steps, a console that
        leads farther from the record than the plain sum of the stems goes back by halves, and a note says so.
        With `keep=0` it is taken as it is: that is for networks that were trained with a loss of their own.

        A model on a GPU (`model.to("cuda")`) listens and refines there, window by window; the song stays where it
        is, and is rendered there.

        Args:
            song: The stems.
            reference: A stereo mix (2, num_samples) at the song's sample rate; or a list of mixes, or of pairs
                (mix, weight), whose styles are averaged.
            refine_steps: Steps of `optimize_mix` that start from the network's console, 0 or more.
            balance: "delivered" or "equal", as in `optimize_mix`, and so are the others.
            center: Stems of a mono song that stay in the middle.
            keep: Weight of what holds the song during the refine steps, 0 or more. 0 also takes the console that
                the network found as it is.
            lock: Strips and knobs that stay as they were delivered.
            amount: How far to go from the song as delivered to what was found, 0 to 1, also by aspect.
            fit_seconds: Length of the window that the refine steps fit, in seconds.
            sections: A console for each section of the song, as in `optimize_mix`: the network hears each with
                its section of the record, and may go from the song's console as far as that gains.
            features: Terms of your own in the loss of the refine steps and of the result.
            progress: Whether to show a progress bar.

        Returns:
            A MixResult at -16 LUFS.

        Raises:
            ValueError: In one line, as in `optimize_mix`, and for a song not at the model's sample rate.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 3)
            >>> record = dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg")
            >>> round(dm.loudness(DiffMST("tiny").mix(song, record).audio))
            -16
        """
        return whole_song.mix_song(
            self,
            song,
            reference,
            refine_steps=refine_steps,
            balance=balance,
            center=center,
            keep=keep,
            lock=lock,
            amount=amount,
            fit_seconds=fit_seconds,
            sections=sections,
            features=features,
            progress=progress,
        )

    def analyze(
        self,
        song: Multitrack,
        reference: References,
        *,
        balance: str = "delivered",
        center: Sequence[str] | None = None,
        progress: bool = False,
    ) -> ConsoleParams:
        """Predict the console of a whole song: `mix` without rendering, with the same errors."""
        return whole_song.analyze_song(
            self, song, reference, balance=balance, center=center, progress=progress
        )

    def attention(self, song: Multitrack, reference: References) -> tuple[torch.Tensor, list[str]]:
        """Show what each token attends to in the song's loudest window.

        Row i holds the weights with which token i reads all tokens; they sum to 1. Silent tracks have no
        token. The maps are those of the first pass. The errors are those of `mix`.

        Returns:
            Weights (layers, heads, tokens, tokens), and the names of the tokens.
        """
        return whole_song.attention_maps(self, song, reference)

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> Path:
        """Write model.safetensors and config.json into `folder`, both or neither; InputError if that fails.

        With `half` the parameters take half the space, in half precision.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     DiffMST.from_pretrained(DiffMST("tiny").save_pretrained(folder)).config.name
            'tiny'
        """
        return checkpoint.save(self, self.config, folder, half=half)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """Load a trained model, in eval mode. Nothing is unpickled, and nothing that it names is imported.

        A subclass gives that subclass, and is built from the configuration alone. Own encoders, controllers,
        consoles and features must be registered.

        Args:
            name: A folder made by `save_pretrained`, or the name of weights that come with the library: "small",
                or one of the paper's five variants in the size of `small`, from "mrstft-8" to "af-16".

        Raises:
            InputError: In one line, for a missing folder, a file that is truncated or of another kind,
                weights that do not fit the configuration or are not finite, a part that nobody registered, and a
                model of another version.
        """
        return checkpoint.load(cls, name)
