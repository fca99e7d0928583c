"""Sounds as powers: what a console does to mid and side in each band, without sound. Chapter: The controller.

A stem is described by three powers in each of 40 bands: of mid M = L + R, of side S = L - R, and of their product
M S = L^2 - R^2, which tells left from right. A fader or an equalizer is a factor there, width and pan are a matrix,
and the powers of stems that have nothing in common add up.
"""

from __future__ import annotations

import torch

from ..console.equalizer import response_db
from ..console.gain_and_pan import fader_gain, pan_law
from ..console.params import ConsoleParams
from ..console.signal_path import equalizer_settings
from ..console.table import OFF_DB
from ..style.averages import hann_window
from .encoder import mel_bank, mel_centers_hz, mid_and_side

BANDS = 40
N_FFT = 4096


@torch.no_grad()
def band_power(x: torch.Tensor, *, sample_rate: int = 44100) -> torch.Tensor:
    """Measure the mean powers of sounds in mel bands.

        p = bank mean over frames Re(X conj(Y)) (2 / 4096)^2,    (X, Y) = (M, M), (S, S), (M, S)

    The windows are Hann windows that do not overlap; the last is filled up with silence.

    Args:
        x: Stereo sounds (..., 2, T), in [-1, 1].
        sample_rate: Sample rate in Hz.

    Returns:
        Powers (..., 3, 40), linear: of the mid, of the side, and of their product, which may be negative.

    Example:
        >>> mono = torch.randn(3, 1, 44100).expand(-1, 2, -1)
        >>> power = band_power(mono)
        >>> power.shape, bool((power[:, 1:] == 0).all())            # nothing in the side
        (torch.Size([3, 3, 40]), True)
    """
    with torch.autocast(x.device.type, enabled=False):
        signals = mid_and_side(x.float()).reshape(-1, x.shape[-1])
        signals = torch.nn.functional.pad(signals, (0, -x.shape[-1] % N_FFT))
        frames = signals.view(len(signals), -1, N_FFT) * hann_window(N_FFT, x.device, torch.float32)
        spectrum = torch.view_as_real(torch.fft.rfft(frames))  # (signals, frames, N_FFT // 2 + 1, 2)
        mid, side = spectrum.unflatten(0, (-1, 2)).unbind(dim=1)
        products = torch.stack([mid.square(), side.square(), mid * side], dim=1)
        power = products.sum(dim=-1).mean(dim=2) * (2.0 / N_FFT) ** 2  # (sounds, 3, N_FFT // 2 + 1)
        bank = mel_bank(sample_rate, N_FFT, BANDS, x.device, torch.float32)
        return (power @ bank.T).view(*x.shape[:-2], 3, BANDS)


def gained(power: torch.Tensor, gain: torch.Tensor, width: torch.Tensor, pan: torch.Tensor) -> torch.Tensor:
    """Compute powers behind a gain, a width and a pan. Differentiable.

        M' = a M + b w S,    S' = b M + a w S

    with w the width, a and b the half sum and the half difference of the pan's gains; the powers of M', S' and
    their product follow, times the gain.

    Args:
        power: Powers (..., N, 3, bands).
        gain: Gains as factors of the power, (..., N, bands).
        width: (..., N), 0 to 2.
        pan: (..., N), 0 to 1.

    Returns:
        Powers (..., N, 3, bands).
    """
    mid, side, product = power.unbind(dim=-2)  # (..., N, bands)
    left, right = pan_law(pan)[..., None].unbind(dim=-2)
    a, b, w = (left + right) / 2, (left - right) / 2, width[..., None]
    both = 2 * a * b * w * product
    return torch.stack(
        [
            gain * (a.square() * mid + (b * w).square() * side + both).clamp(min=0.0),  # rounding may cancel
            gain * (b.square() * mid + (a * w).square() * side + both).clamp(min=0.0),
            gain * (a * b * (mid + w.square() * side) + (a.square() + b.square()) * w * product),
        ],
        dim=-2,
    )


def through_strips(power: torch.Tensor, params: ConsoleParams) -> torch.Tensor:
    """Compute the powers of stems behind their strips: equalizer, width, pan, fader. Differentiable.

    The trim, effects of your own, and those whose gain depends on the sound, such as compressors, are left out.

    Args:
        power: Powers (B, N, 3, 40) of the stems.
        params: A batch of consoles for stems.

    Returns:
        Powers (B, N, 3, 40).

    Example:
        >>> power = torch.rand(1, 2, 3, 40)
        >>> params = ConsoleParams.from_unit(torch.full((1, 2, 29), 0.5), torch.full((1, 25), 0.5),
        ...                                  torch.full((1, 26), 0.5))
        >>> params.tracks[..., -4:] = torch.tensor([0.0, 0.5, 0.0, -60.0])       # width, pan, fader, send
        >>> through_strips(power, params)[..., 1:, :].abs().max()                # no width: no side
        tensor(0.)
    """
    knobs = params.values("track")
    fader = fader_gain(knobs["fader_db"], OFF_DB).square()[..., None]
    gain = 10.0 ** (strip_response_db(params) / 10.0) * fader
    return gained(power, gain, knobs["width"], knobs["pan"])


def strip_response_db(params: ConsoleParams) -> torch.Tensor:
    """Compute the responses of the strips' equalizers at the centers of the bands, in dB. Differentiable.

    Args:
        params: A console of N strips, or a batch of them.

    Returns:
        Responses (N, 40) or (B, N, 40), in dB.

    Example:
        >>> strip_response_db(ConsoleParams.neutral(["kick"])).abs().max()
        tensor(0.)
    """
    settings = equalizer_settings(params.values("track"))  # (..., 6) each
    hz = mel_centers_hz(BANDS, params.sample_rate).to(params.tracks)
    rows = {name: value.reshape(-1, value.shape[-1]) for name, value in settings.items()}
    response = response_db(hz, sample_rate=params.sample_rate, **rows)
    return response.view(*params.tracks.shape[:-1], BANDS)
