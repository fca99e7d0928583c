"""Builds what a configuration asks for: encoders and controller, ours or registered ones. Chapter: The controller."""

from __future__ import annotations

from torch import nn

from ..console.table import SECTIONS, param_table
from .config import ModelConfig
from .controller import Controller
from .encoder import SpectrogramEncoder, StatisticsEncoder
from .own_networks import CONTROLLERS, ENCODERS, try_controller, try_encoder


def make_encoder(config: ModelConfig, *, level_db: float, signals: int = 1) -> nn.Module:
    """Build the encoder that a configuration asks for.

    Args:
        config: The configuration.
        level_db: RMS of the sounds, about, in dB.
        signals: 1 for sounds (B, T), 2 for mid and side (B, 2, T).

    Returns:
        The encoder, untrained, which gives (B, config.width).

    Raises:
        InputError: In one line, for a registered encoder that does not work.

    Example:
        >>> type(make_encoder(ModelConfig.preset("tiny"), level_db=-20.0)).__name__
        'StatisticsEncoder'
    """
    if config.encoder == "cnn":
        return SpectrogramEncoder(
            config.width,
            channels=config.channels,
            pools=config.pools,
            hop=config.hop,
            signals=signals,
            chunk=config.chunk,
        )
    if config.encoder == "statistics":
        return StatisticsEncoder(
            config.width,
            bands=config.bands,
            sample_rate=config.sample_rate,
            level_db=level_db,
            signals=signals,
        )
    build = ENCODERS.get(config.encoder)
    assert build is not None
    encoder = build(config, signals=signals)
    rate = config.sample_rate
    try_encoder(config.encoder, encoder, signals=signals, width=config.width, sample_rate=rate)
    return encoder


def make_controller(config: ModelConfig, *, style_size: int, evidence_size: int) -> nn.Module:
    """Build the controller that a configuration asks for.

    Args:
        config: The configuration.
        style_size: Number of style features of the reference, with the gap; 0 for none.
        evidence_size: Number of values in the evidence of each stem; 0 for none.

    Returns:
        The controller, untrained.

    Raises:
        InputError: In one line, for a registered controller that does not work.
    """
    if config.controller == "transformer":
        return Controller(
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            feedforward=config.feedforward,
            style_size=style_size,
            start_pans=config.start_pans,
            neutral_start=config.neutral_start,
            norm_first=config.norm_first,
            evidence_size=evidence_size,
            preset=config.console,
        )
    build = CONTROLLERS.get(config.controller)
    assert build is not None
    controller = build(config, style_size=style_size, evidence_size=evidence_size)
    try_controller(
        config.controller,
        controller,
        width=config.width,
        style_size=style_size,
        evidence_size=evidence_size,
        knobs=[len(param_table(section, config.console)) for section in SECTIONS],
    )
    return controller
