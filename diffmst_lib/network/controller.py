"""The controller: embeddings in, the knobs of every strip and bus out. Section 2.5 of the paper.

Chapter: The controller.
"""

from __future__ import annotations

import torch
from torch import nn

from ..console.table import SECTIONS, UNIT_EDGE, ParamSpec, knob_index, normalize, param_table

PAN_EDGE = 0.02  # pans start at least this far from the sides, where a sigmoid has no slope
PAN_SCALE = 1.5  # start pans enter a token as logit / 1.5


def start_logits(section: str, preset: str = "default") -> torch.Tensor:
    """Compute the logits of one section of the console where training starts, which does nothing.

    They are logit(u) for each knob's neutral value u in the unit interval, at least 0.02 from its ends. Only
    a neutral threshold of 0 dB is moved, to the middle of its range: with a ratio of 1 it does nothing
    anywhere, but at 0 dB the ratio would have nothing to act on, and so no gradient.

    Args:
        section: "track", "fx_bus" or "master_bus".
        preset: The console's preset.

    Returns:
        Logits (knobs,).

    Example:
        >>> torch.sigmoid(start_logits("track"))[:1]               # the input gain, 0 dB between -48 and 48
        tensor([0.5000])
    """
    specs = param_table(section, preset)
    values = torch.tensor([[_start_value(spec) for spec in specs]], device="cpu")
    return torch.logit(normalize(values, specs)[0].clamp(UNIT_EDGE, 1.0 - UNIT_EDGE))


def _start_value(spec: ParamSpec) -> float:
    at_the_top = spec.name == "threshold_db" and spec.neutral == spec.high
    return (spec.low + spec.high) / 2 if at_the_top else spec.neutral


def start_console(pans: torch.Tensor, preset: str = "default") -> list[torch.Tensor]:
    """Compute the logits of the console where training starts, with pans of their own.

    Args:
        pans: Where each pan starts, (...), 0 (left) to 1 (right).
        preset: The console's preset.

    Returns:
        Logits of the strips (..., knobs), of the effects bus (knobs,) and of the master bus (knobs,).

    Example:
        >>> strips, *_ = start_console(torch.tensor([0.4, 0.5, 0.6]))
        >>> torch.sigmoid(strips[:, -3]).round(decimals=2)         # the pans
        tensor([0.4000, 0.5000, 0.6000])
    """
    strips, *buses = (start_logits(section, preset).to(pans) for section in SECTIONS)
    strips = strips.repeat(*pans.shape, 1)
    strips[..., knob_index("pan", "track", preset)] = pan_logits(pans)
    return [strips, *buses]


def pan_logits(pans: torch.Tensor) -> torch.Tensor:
    """Compute the logits of pans in 0 to 1, at least 0.02 from the sides."""
    return torch.logit(pans.clamp(PAN_EDGE, 1.0 - PAN_EDGE))


class Controller(nn.Module):
    """Self-attention over tokens of tracks, reference and buses, then a head for each section.

        tokens = [tracks + type + A evidence + pans side, reference + types, fx bus, master bus] + B style
        logits = head(transformer(tokens) + A' evidence + B' style) at the tokens of tracks, fx bus, master bus

    The paper's has tokens and types alone; style, evidence and start pans are ours. There is no positional
    encoding: permuted tracks give permuted logits.

    Args:
        width: Width of every token.
        layers: Layers of `torch.nn.TransformerEncoder`, without dropout.
        heads: Attention heads of the transformer.
        feedforward: Width of the transformer's hidden layers.
        mix_tokens: Number of embeddings of the reference.
        style_size: Number of style features of the reference, which are projected and added to every token
            and again before the heads; 0 for none.
        start_pans: Whether the start of each track's pan is added to its token, and its pan starts there.
        neutral_start: Whether the heads have a hidden layer and start at the logits of `start_logits`, the
            same for every input. Otherwise each is one linear layer that starts at random, as in the released
            code.
        norm_first: Whether layer norm comes before attention and feed-forward instead of after.
        evidence_size: Number of values in the evidence of each stem (`network/evidence.py`), which are projected
            and added to its token and again before the heads; 0 for none.
        preset: The console's preset.

    Example:
        >>> controller = Controller(width=8, layers=1, heads=2, feedforward=16)
        >>> [tuple(logits.shape) for logits in controller(torch.randn(1, 5, 8), torch.randn(1, 2, 8))]
        [(1, 5, 29), (1, 25), (1, 26)]
    """

    def __init__(
        self,
        *,
        width: int = 512,
        layers: int = 12,
        heads: int = 8,
        feedforward: int = 2048,
        mix_tokens: int = 2,
        style_size: int = 0,
        start_pans: bool = False,
        neutral_start: bool = False,
        norm_first: bool = False,
        evidence_size: int = 0,
        preset: str = "default",
    ):
        super().__init__()
        self.track_type = nn.Parameter(torch.randn(width))
        self.mix_types = nn.Parameter(torch.randn(mix_tokens, width))
        self.fx_bus_token = nn.Parameter(torch.randn(width))
        self.master_bus_token = nn.Parameter(torch.randn(width))
        layer = nn.TransformerEncoderLayer(
            width, heads, feedforward, dropout=0.0, batch_first=True, norm_first=norm_first
        )
        norm = nn.LayerNorm(width) if norm_first else None
        self.transformer = nn.TransformerEncoder(layer, layers, norm=norm, enable_nested_tensor=False)
        self.side = nn.Parameter(torch.randn(width)) if start_pans else None
        self.style_before = nn.Linear(style_size, width) if style_size else None
        self.style_after = nn.Linear(style_size, width) if style_size else None
        self.evidence_before = nn.Linear(evidence_size, width) if evidence_size else None
        self.evidence_after = nn.Linear(evidence_size, width) if evidence_size else None
        self.heads = nn.ModuleDict(
            {
                section: _neutral_head(width, section, preset)
                if neutral_start
                else nn.Linear(width, len(param_table(section, preset)))
                for section in SECTIONS
            }
        )
        self.pan_index = knob_index("pan", "track", preset)

    def tokens(
        self,
        tracks: torch.Tensor,
        mix: torch.Tensor,
        *,
        style: torch.Tensor | None = None,
        pans: torch.Tensor | None = None,
        evidence: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Assemble the input of the transformer from the arguments of `forward`.

        Returns:
            Tokens (B, N + M + 2, width), and (B, N + M + 2), True for tokens that are padding.
        """
        batch, num_tracks = tracks.shape[:2]
        buses = torch.stack([self.fx_bus_token, self.master_bus_token]).expand(batch, -1, -1)
        tracks = tracks + self.track_type
        if self.side is not None and pans is not None:
            tracks = tracks + (pan_logits(pans) / PAN_SCALE)[..., None] * self.side
        if self.evidence_before is not None:
            tracks = tracks + self.evidence_before(evidence)
        tokens = torch.cat([tracks, mix + self.mix_types, buses], dim=1)  # (B, N + M + 2, width)
        if self.style_before is not None:
            tokens = tokens + self.style_before(style)[:, None]
        padding = tokens.new_zeros(tokens.shape[:2], dtype=torch.bool)
        if mask is not None:
            padding[:, :num_tracks] = ~mask
        return tokens, padding

    def forward(
        self,
        tracks: torch.Tensor,
        mix: torch.Tensor,
        *,
        style: torch.Tensor | None = None,
        pans: torch.Tensor | None = None,
        evidence: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Predict the knobs.

        Args:
            tracks: Embeddings (B, N, width).
            mix: Embeddings of the reference, (B, M, width).
            style: Style features of the reference, (B, style_size).
            pans: Where each pan starts, (B, N), 0 (left) to 1 (right).
            evidence: What each stem can read about its setting, (B, N, evidence_size).
            mask: (B, N), True where a track is real.

        Returns:
            Logits of the knobs of tracks (B, N, knobs), effects bus (B, knobs) and master bus (B, knobs).
        """
        num_tracks = tracks.shape[1]
        tokens, padding = self.tokens(tracks, mix, style=style, pans=pans, evidence=evidence, mask=mask)
        out = self.transformer(tokens, src_key_padding_mask=padding)  # (B, N + M + 2, width)
        if self.style_after is not None:
            out = out + self.style_after(style)[:, None]
        of_tracks = out[:, :num_tracks]
        if self.evidence_after is not None:
            of_tracks = of_tracks + self.evidence_after(evidence)
        strips = self.heads["track"](of_tracks)  # (B, N, knobs)
        if self.side is not None and pans is not None:
            start = torch.zeros_like(strips)
            start[..., self.pan_index] = pan_logits(pans)
            strips = strips + start
        return strips, self.heads["fx_bus"](out[:, -2]), self.heads["master_bus"](out[:, -1])

    @torch.no_grad()
    def attention(self, tokens: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Show what each token attends to, given what the method `tokens` returns.

        Args:
            tokens: (B, tokens, width).
            padding: (B, tokens), True for tokens that are padding.

        Returns:
            Weights (layers, B, heads, tokens, tokens), whose rows sum to 1.
        """
        maps = []
        for layer in self.transformer.layers:
            x = layer.norm1(tokens) if layer.norm_first else tokens
            maps.append(layer.self_attn(x, x, x, key_padding_mask=padding, average_attn_weights=False)[1])
            tokens = layer(tokens, src_key_padding_mask=padding)
        return torch.stack(maps)


def _neutral_head(width: int, section: str, preset: str) -> nn.Sequential:
    """Build a head of two layers, the last with zero weights: every input gives `start_logits`."""
    start = start_logits(section, preset)
    first, last = nn.Linear(width, width), nn.Linear(width, len(start))
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(start)
    return nn.Sequential(first, nn.GELU(), last)
