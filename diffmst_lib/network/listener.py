"""What is learned of Diff-MST, in one module: encoders, audio features, controller. It hears; the console mixes.

Chapters: The encoder, The controller.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..audio.loudness import MIX_LUFS, normalize_loudness
from ..console.params import ConsoleParams
from . import evidence
from .arguments import check_examples
from .building import make_controller, make_encoder
from .config import ModelConfig
from .encoder import ReferenceStyle, fit_constants, mid_and_side
from .powers import band_power, through_strips
from .style_features import StyleFeatures

if TYPE_CHECKING:
    import pandas as pd

STEM_DB = -36.0  # a usual RMS of a stem in a song at -20 LUFS
CHANNEL_DB = -3.0  # from the LUFS of a channel to its RMS in dB, about

Logits = list[torch.Tensor]  # of a console: strips (B, N, knobs), effects and master bus (B, knobs)


class Listener(nn.Module):
    """Two encoders, the audio features of a reference, and the controller, as `DiffMST` uses them.

    Args:
        config: What it is made of.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        level_db = STEM_DB if config.track_lufs is None else config.track_lufs + CHANNEL_DB
        self.track_encoder = make_encoder(config, level_db=level_db, signals=1 + config.stems)
        self.mix_encoder = make_encoder(config, level_db=MIX_LUFS)
        self.style = StyleFeatures(config.features, sample_rate=config.sample_rate) if config.style else None
        features = self.style.size if self.style else 0
        self.controller = make_controller(
            config,
            style_size=features * (1 + (config.passes > 0)),  # with the gap
            evidence_size=evidence.SIZE if config.evidence else 0,
        )

    def encode_tracks(self, tracks: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Encode tracks as embeddings (B, N, width): f_t. A stem is encoded as its mid and side together.

        Args:
            tracks: Stems (B, N, 2, T) or channels (B, N, T), at their levels.
            mask: (B, N), True where a track is real; the embeddings of the others are zeros. None: all real.

        Returns:
            Embeddings (B, N, width).

        Raises:
            ValueError: For a mask that leaves out every track.
        """
        tracks = self.split_stems(tracks)
        if mask is None:
            return self.track_encoder(tracks.flatten(0, 1)).unflatten(0, tracks.shape[:2])
        if not bool(mask.any()):
            raise ValueError("mask leaves out every track")
        of_real_tracks = self.track_encoder(tracks[mask])  # (K, width)
        embeddings = of_real_tracks.new_zeros(*mask.shape, of_real_tracks.shape[-1])
        embeddings[mask] = of_real_tracks
        return embeddings

    def split_stems(self, tracks: torch.Tensor) -> torch.Tensor:
        """Split stems (..., 2, T) into half their mid and side, which the track encoder gets; channels stay."""
        return mid_and_side(tracks) / 2 if self.config.stems else tracks

    def encode_reference(self, reference: torch.Tensor) -> ReferenceStyle:
        """Encode references (B, 2, T) at -16 LUFS: f_r.

        The mix encoder gives an embedding of each view, left and right or mid and side. With `config.style`
        the result also holds the audio features of the reference, with `config.evidence` its power in bands.
        """
        embeddings = self.mix_encoder(self.split_views(reference))  # (2 B, width)
        rate = self.config.sample_rate
        return ReferenceStyle(
            embeddings.unflatten(0, (len(reference), 2)),  # (B, 2, width)
            self.style(reference) if self.style else None,
            band_power(reference, sample_rate=rate) if self.config.evidence else None,
        )

    def split_views(self, reference: torch.Tensor) -> torch.Tensor:
        """Split references (B, 2, T) into the mono signals that the mix encoder gets, (2 B, T)."""
        views = mid_and_side(reference) if self.config.views == "mid/side" else reference
        return views.flatten(0, 1)

    def stem_power(self, tracks: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor | None:
        """Measure stems (B, N, 2, T) for `compare`: their power in bands, 0 where `mask` leaves one out.

        Returns:
            (B, N, 3, bands), or None in a model without evidence.
        """
        if not self.config.evidence:
            return None
        power = band_power(tracks, sample_rate=self.config.sample_rate)
        return power if mask is None else power.masked_fill(~mask[..., None, None], 0.0)

    @torch.no_grad()
    def compare(
        self,
        style: ReferenceStyle,
        mix: torch.Tensor,
        power: torch.Tensor | None = None,
        params: ConsoleParams | None = None,
    ) -> tuple[ReferenceStyle, torch.Tensor | None]:
        """Listen to a mix, and compare it with a reference: as a whole, and stem by stem.

        Args:
            style: The encoded reference.
            mix: The mix (B, 2, T), at any level.
            power: `stem_power` of the stems that it is made of; None: no evidence is wanted.
            params: The console that it is made with; None: a neutral one.

        Returns:
            The style with the gap (`add_gap`), and the evidence of the stems (B, N, evidence.SIZE), or None.

        Raises:
            ValueError: In a model without audio features.
        """
        compared = self.add_gap(style, mix)
        if power is None or style.power is None:
            return compared, None
        rate = self.config.sample_rate
        with torch.autocast(mix.device.type, enabled=False):
            in_mix = power if params is None else through_strips(power, params)
            of_mix = band_power(normalize_loudness(mix, sample_rate=rate), sample_rate=rate)
            return compared, evidence.stem_evidence(in_mix, of_mix, style.power)

    @torch.no_grad()
    def add_gap(self, style: ReferenceStyle, mix: torch.Tensor) -> ReferenceStyle:
        """Append to the features (B, K) of a reference the gap to those of a mix (B, 2, T): (B, 2 K)."""
        if self.style is None or style.features is None:
            raise ValueError("the gap needs audio features, which a model with style=False does not have")
        with torch.autocast(mix.device.type, enabled=False):
            features = self.style(normalize_loudness(mix, sample_rate=self.config.sample_rate))
        gap = features - style.features
        return replace(style, features=torch.cat([style.features, gap], dim=-1))

    def controller_logits(
        self,
        embeddings: torch.Tensor,
        style: ReferenceStyle,
        *,
        pans: torch.Tensor,
        evidence: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> Logits:
        """Run the controller once: logits of strips (B, N, knobs), effects bus and master bus (B, knobs)."""
        logits = self.controller(
            embeddings, style.embeddings, style=style.features, pans=pans, evidence=evidence, mask=mask
        )
        return [z.float() for z in logits]

    @torch.no_grad()
    def standardize(self, tracks: torch.Tensor, references: torch.Tensor) -> None:
        """Compute the constants that standardize the encoders' inputs, from examples, before training.

        The constants are kept with the weights. A CNN without style features has none, and nothing happens.

        Args:
            tracks: Stems (K, 2, T) or channels (K, T), at their levels, at least two.
            references: (K', 2, T) at -16 LUFS, at least two.

        Raises:
            ValueError: For other shapes and for sounds that are not finite.
        """
        check_examples(tracks, references, stems=self.config.stems)
        fit_constants(self.track_encoder, self.split_stems(tracks))
        fit_constants(self.mix_encoder, self.split_views(references))
        if self.style is not None:
            self.style.standardize.fit(self.style.features(references))

    def parameter_counts(self) -> pd.Series:
        """Count the learned parameters of each part, and of all.

        Example:
            >>> from diffmst_lib import DiffMST
            >>> with torch.device("meta"):                  # counted, not built
            ...     int(DiffMST("paper").parameter_counts()["all"])
            190923982
        """
        import pandas as pd

        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        return pd.Series(counts | {"all": sum(counts.values())}, name="parameters")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
