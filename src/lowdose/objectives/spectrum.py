"""Comparison of noise texture: noise power spectra of small blocks of prediction and target, in log power."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.objectives.base import Objective

FLOOR_HU = 1.0
"""SD in HU of white noise whose power is added to both spectra: bands with less power than that do not count."""
BANDS_OF_BLOCK = 4
"""Pixels of a block's side for each frequency band: a band is then two frequencies of the discrete transform wide."""


class NoisePowerSpectrumLoss(Objective):
    """Mean squared difference of log noise power between prediction and target, over blocks and frequency bands.

    Both images are cut into square blocks that overlap by half. Of each block a second-order surface is subtracted, as
    for a noise power spectrum (AAPM TG-233); the rest is multiplied by a Hann window, and the power of its discrete
    Fourier transform is averaged over rings between 0 and the Nyquist frequency. With P and T the powers of one ring in
    prediction and target, and d = log((P + floor) / (T + floor)), the term is the mean over blocks of

        variance of d over the bands + ``level`` * (mean of d over the bands)^2

    which is the mean of d^2 for ``level`` = 1. The variance is the difference in texture, the mean that in noise level.

    No region has to be uniform. Edges and organs have the same power in both images, so that d goes to 0 in the bands
    where they are stronger than the noise. Where neither image has noise, as in clipped air, the floor makes d 0.
    A denoiser that keeps its error small has less noise than its target: in that case the second term asks for more
    noise, which costs pixel error, and the first does not.

    Parameters
    ----------
    block : int, pixels
        Side of the blocks, a multiple of 4 from 16. There are ``block`` / 4 bands, each two frequencies wide.
    level : float
        Weight of the difference in noise level, from 0, which compares the texture alone.

    Attributes
    ----------
    smallest : int
        ``block``.

    Raises
    ------
    InvalidSetting
        If ``block`` or ``level`` is outside its range.

    References
    ----------
    Samei et al., "Performance evaluation of computed tomography systems: summary of AAPM Task Group 233", Med Phys 2019
    (noise power spectrum). Log power makes each band count by its relative error, whatever the kernel.

    Examples
    --------
    White noise of twice the SD has four times the power at every frequency, so d = log 4 in each band:

    >>> import math, torch
    >>> from lowdose.objectives import NoisePowerSpectrumLoss
    >>> noise = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 30 / 3000  # 30 HU
    >>> float(NoisePowerSpectrumLoss()(0.35 + 2 * noise, 0.35 + noise)), math.log(4) ** 2  # doctest: +ELLIPSIS
    (1.91..., 1.92...)
    >>> round(float(NoisePowerSpectrumLoss(level=0)(0.35 + 2 * noise, 0.35 + noise)), 3)  # the same texture
    0.0
    """

    basis: Tensor
    window: Tensor
    rings: Tensor

    def __init__(self, block: int = 32, level: float = 1.0) -> None:
        super().__init__()
        if block < 16 or block % BANDS_OF_BLOCK:
            raise InvalidSetting(f"block={block}: must be a multiple of {BANDS_OF_BLOCK} pixels, at least 16")
        if not 0 <= level < float("inf"):
            raise InvalidSetting(f"level={level:g}: must be a number from 0, which compares the texture alone")
        self.smallest = self.block = block
        self.level = level
        window = torch.hann_window(block, periodic=False, dtype=torch.float64)
        window = window[:, None] * window
        # For white noise of 1 HU the power then is 1 at every frequency.
        window = window / window.square().sum().sqrt()
        self.register_buffer("basis", quadratic_basis(block).float(), persistent=False)
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("rings", _ring_weights(block).float(), persistent=False)

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the mean squared difference of log power as the term 'noise_power_spectrum'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'noise_power_spectrum'.

        Raises
        ------
        InvalidSetting
            If the images are smaller than ``smallest``.
        """
        if min(pred.shape[-2:]) < self.block:
            height, width = pred.shape[-2:]
            raise InvalidSetting(
                f"an image of {height} x {width} pixels: the noise power spectrum needs blocks of {self.block}; train "
                "on larger patches"
            )
        with torch.no_grad():
            target_power = self.power(target)
        difference = torch.log((self.power(pred) + FLOOR_HU**2) / (target_power + FLOOR_HU**2))
        mean = difference.mean(dim=-1, keepdim=True)
        texture = (difference - mean).square().mean()
        return {"noise_power_spectrum": texture + self.level * mean.square().mean()}

    def power(self, image: Tensor) -> Tensor:
        """Return the noise power of each block and band, (B, blocks, bands), in HU^2.

        It is that of white noise whose SD is 1 HU where it is 1.
        """
        # Half precision would round the noise away: it is a thousandth of the values, and this is a difference of them.
        with torch.autocast(image.device.type, enabled=False):
            hu = image.float() * (OBJECTIVE.one - OBJECTIVE.zero)
            blocks = hu.unfold(-2, self.block, self.block // 2).unfold(-2, self.block, self.block // 2)
            flat = blocks.flatten(1, 3).flatten(-2)
            flat = flat - flat.mean(dim=-1, keepdim=True)
            flat = flat - (flat @ self.basis) @ self.basis.T
            spectrum = torch.view_as_real(
                torch.fft.rfft2(flat.reshape(*flat.shape[:-1], *self.window.shape) * self.window)
            )
            return spectrum.square().sum(dim=-1).flatten(-2) @ self.rings


def quadratic_basis(block: int) -> Tensor:
    """Return an orthonormal basis (block * block, 6) of second-order surfaces on a block."""
    axis = torch.linspace(-1.0, 1.0, block, dtype=torch.float64)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    surfaces = torch.stack([torch.ones_like(u), u, v, u * u, v * v, u * v], dim=-1)
    basis: Tensor = torch.linalg.qr(surfaces.flatten(0, 1))[0]
    return basis


def _ring_weights(block: int) -> Tensor:
    """Return the weights (frequencies of ``rfft2``, bands) that average power over rings from 0 to Nyquist."""
    y, x = torch.fft.fftfreq(block, dtype=torch.float64), torch.fft.rfftfreq(block, dtype=torch.float64)
    radius = torch.hypot(y[:, None], x)
    bands = block // BANDS_OF_BLOCK
    band = (radius * 2 * bands - 1e-9).clamp(min=0).long()  # a frequency on the limit of two belongs to the lower one
    # All but the first and last columns of rfft2 stand for two frequencies of the full transform.
    twice = torch.full((len(x),), 2.0, dtype=torch.float64)
    twice[0] = twice[-1] = 1.0
    within = functional.one_hot(band.clamp(max=bands), bands + 1)[..., :bands] * twice[:, None]
    within[0, 0] = 0.0  # the mean, which was subtracted
    weights = within.flatten(0, 1).double()
    return weights / weights.sum(dim=0)
