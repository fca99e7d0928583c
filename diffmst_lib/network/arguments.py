"""What a model accepts: types and shapes of its arguments. Chapter: The controller."""

from __future__ import annotations

import torch


def check_types(tracks: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor | None) -> None:
    """Raise ValueError unless sounds are float32 and the mask is boolean."""
    given = {"tracks": (tracks, torch.float32), "the reference": (reference, torch.float32)}
    for name, (x, dtype) in (given if mask is None else given | {"mask": (mask, torch.bool)}).items():
        if not isinstance(x, torch.Tensor) or x.dtype != dtype:
            kind = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"{name} must be a tensor of {dtype}, got {kind}")


def check_shapes(
    tracks: torch.Tensor, reference: torch.Tensor, sides: torch.Tensor | None, mask: torch.Tensor | None
) -> None:
    """Raise ValueError unless tracks, reference, sides and mask of a batch fit each other."""
    if tracks.ndim != 3 or 0 in tracks.shape:
        raise ValueError(
            f"tracks must be (batch, num_tracks, samples) or (num_tracks, samples), got {tuple(tracks.shape)}"
        )
    if reference.ndim != 3 or reference.shape[:2] != (len(tracks), 2) or reference.shape[-1] == 0:
        raise ValueError(f"the reference must be ({len(tracks)}, 2, samples), got {tuple(reference.shape)}")
    for name, values in (("sides", sides), ("mask", mask)):
        if values is not None and values.shape != tracks.shape[:2]:
            raise ValueError(
                f"{name} must be {tuple(tracks.shape[:2])}, one per track, got {tuple(values.shape)}"
            )
