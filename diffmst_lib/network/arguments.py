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
    tracks: torch.Tensor,
    reference: torch.Tensor,
    pans: torch.Tensor | None,
    mask: torch.Tensor | None,
    *,
    stems: bool,
) -> None:
    """Raise ValueError unless tracks, reference, pans and mask of a batch fit each other and the model."""
    if tracks.ndim != 3 + stems or 0 in tracks.shape or (stems and tracks.shape[2] != 2):
        wanted = (
            "stereo stems (batch, num_stems, 2, samples) or (num_stems, 2, samples)"
            if stems
            else "mono channels (batch, num_tracks, samples) or (num_tracks, samples)"
        )
        raise ValueError(f"tracks must be {wanted} for this model, got {tuple(tracks.shape)}")
    if reference.ndim != 3 or reference.shape[:2] != (len(tracks), 2) or reference.shape[-1] == 0:
        raise ValueError(f"the reference must be ({len(tracks)}, 2, samples), got {tuple(reference.shape)}")
    for name, values in (("pans", pans), ("mask", mask)):
        if values is not None and values.shape != tracks.shape[:2]:
            raise ValueError(
                f"{name} must be {tuple(tracks.shape[:2])}, one per track, got {tuple(values.shape)}"
            )


def check_examples(tracks: torch.Tensor, references: torch.Tensor, *, stems: bool) -> None:
    """Raise ValueError unless tracks and references can tell what is usual: at least two of each."""
    fits = tracks.ndim == 2 + stems and references.ndim == 3
    if not fits or min(len(tracks), len(references)) < 2:
        one = "(K, 2, samples)" if stems else "(K, samples)"
        raise ValueError(
            f"tracks must be {one} and references (K, 2, samples), at least two of each, "
            f"got {tuple(tracks.shape)} and {tuple(references.shape)}"
        )
