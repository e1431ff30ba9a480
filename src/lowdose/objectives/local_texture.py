"""Comparison of local texture: the standard deviation of three frequency bands around each pixel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.hounsfield import OBJECTIVE
from lowdose.objectives.base import Objective

WINDOW_HU = (-200.0, 280.0)
"""Range in which texture is compared; edges to air and bone beyond it are cut off."""
SIGMAS_PX = (0.8, 1.8, 3.5)
"""Gaussians whose differences are the bands."""
NEIGHBOURHOOD_PX, STRIDE_PX = 11, 4
"""Side of the square in which a standard deviation is measured, and distance of the squares."""
FLOOR_HU = 2.0
"""Standard deviation that is added (in squares) to both images, so that silence is no infinite error."""


class LocalTexture(Objective):
    """Mean absolute difference of the logarithms of local standard deviations, in three frequency bands.

    Images are clipped to [-200, 280] HU and split by differences of Gaussians of 0, 0.8, 1.8 and 3.5 pixels. In each
    band the standard deviation in squares of 11 x 11 pixels, with a floor of 2 HU, is compared. The loss does not
    depend on where each grain of noise lies, so two realisations of the same noise are alike.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import LocalTexture
    >>> _ = torch.manual_seed(0)
    >>> tissue = torch.full((1, 1, 64, 64), 1050 / 3000)  # 50 HU
    >>> noise, other = 20 / 3000 * torch.randn(2, 1, 1, 64, 64)
    >>> round(float(LocalTexture()(tissue + noise, tissue + other)), 1)  # the same texture
    0.1
    >>> round(float(LocalTexture()(tissue, tissue + other)), 1)  # no texture at all
    1.2
    """

    smallest = 32

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the mean absolute difference of the log standard deviations as the term 'local_texture'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'local_texture'.
        """
        differences = [(a - b).abs().mean() for a, b in zip(log_local_sd(pred), log_local_sd(target), strict=True)]
        return {"local_texture": torch.stack(differences).mean()}


def log_local_sd(image: Tensor) -> list[Tensor]:
    """Return the logarithm of the local standard deviation in HU for each band, fine to coarse.

    Parameters
    ----------
    image : Tensor
        Images, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].

    Returns
    -------
    list of Tensor
        One (B, 1, ceil(H / 4), ceil(W / 4)) a band.
    """
    smooth = OBJECTIVE.decode(image).clamp(*WINDOW_HU)
    result = []
    for sigma in SIGMAS_PX:
        finer, smooth = smooth, _gaussian(smooth, sigma)
        square = (finer - smooth).square()
        # Means of the squares alone: a band has no mean of its own.
        local = functional.avg_pool2d(
            square, NEIGHBOURHOOD_PX, STRIDE_PX, NEIGHBOURHOOD_PX // 2, count_include_pad=False
        )
        result.append(0.5 * torch.log(local + FLOOR_HU**2))
    return result


def _gaussian(image: Tensor, sigma: float) -> Tensor:
    """Convolve (B, 1, H, W) with a Gaussian of ``sigma`` pixels; the image is mirrored at its edges."""
    reach = round(3 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=image.device) / sigma) ** 2)
    taps = (taps / taps.sum()).to(image.dtype)
    padded = functional.pad(image, (reach,) * 4, mode="reflect")
    return functional.conv2d(functional.conv2d(padded, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
