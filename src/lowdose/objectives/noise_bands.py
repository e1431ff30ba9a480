"""Likelihood of noise by its power in bands of frequency and direction."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lowdose.objectives.spectrum import quadratic_basis

SECTORS = 4
"""Sectors of directions of each ring of frequencies."""


class NoiseBands(nn.Module):
    """Power of patches of noise in bands: rings of one frequency of the discrete transform, in four sectors each.

    Of each patch a second-order surface is subtracted, and a Hann window is applied. White noise of variance 1 has the
    power 1 in each band, but for what the surface takes out of the lowest.

    Parameters
    ----------
    side : int, pixels
        Height and width of the patches.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.noise_bands import NoiseBands
    >>> white = torch.randn(512, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> power = NoiseBands(32)(white).mean(dim=0)
    >>> power.shape, round(float(power[8:].mean()), 1)
    (torch.Size([64]), 1.0)
    """

    basis: Tensor
    window: Tensor
    bands: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        window = torch.hann_window(side, periodic=False, dtype=torch.float64)
        window = window[:, None] * window
        window = window / window.square().sum().sqrt()
        self.register_buffer("basis", quadratic_basis(side).float(), persistent=False)
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("bands", _band_weights(side), persistent=False)

    def forward(self, noise: Tensor) -> Tensor:
        """Return the power (..., bands) of patches (..., side, side)."""
        flat = noise.flatten(-2)
        flat = flat - (flat @ self.basis) @ self.basis.T
        spectrum = torch.fft.rfft2(flat.reshape(noise.shape) * self.window)
        return torch.view_as_real(spectrum).square().sum(dim=-1).flatten(-2) @ self.bands


def _band_weights(side: int) -> Tensor:
    """Return the weights (frequencies of ``rfft2``, bands) that average power over each band up to Nyquist."""
    y, x = side * torch.fft.fftfreq(side), side * torch.fft.rfftfreq(side)
    ring = torch.hypot(y[:, None], x).round().long()
    sector = (torch.atan2(y[:, None], x) * (SECTORS / math.pi)).round().long() % SECTORS
    band = (ring - 1) * SECTORS + sector
    weights = nn.functional.one_hot(band.clamp(min=0), int(band.max()) + 1).float()
    weights = weights * ((ring > 0) & (ring <= side // 2))[..., None]
    weights = weights.flatten(0, 1)
    weights = weights[:, weights.sum(dim=0) > 0]
    return weights / weights.sum(dim=0)


def whittle(expected: Tensor, measured: Tensor, floor: float = 1e-4) -> Tensor:
    """Return the mean of log P + X / P over patches and bands: minus Whittle's log-likelihood, but for a constant.

    Its mean is smallest where P is the mean of X, in each band, whatever the power there.

    Parameters
    ----------
    expected, measured : Tensor
        Power P that a model expects, and X of a patch, (B, bands).
    floor : float
        Power that is added to both: what lies below it is rounding.

    Returns
    -------
    Tensor
        Scalar.

    References
    ----------
    P. Whittle, Estimation and information in stationary time series, Arkiv för Matematik 1953.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.noise_bands import whittle
    >>> power = torch.tensor([[4.0]])
    >>> [round(float(whittle(torch.tensor([[p]]), power)), 2) for p in (2.0, 4.0, 8.0)]
    [2.69, 2.39, 2.58]
    """
    return ((expected + floor).log() + (measured + floor) / (expected + floor)).mean()
