"""Structural similarity of one scale (SSIM) and of several (MS-SSIM) as losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.networks.full_precision import full_precision
from lowdose.objectives.base import Objective

SIZE, SIGMA = 11, 1.5
"""Width in pixels and standard deviation of the Gaussian window."""
C1, C2 = 0.01**2, 0.03**2
"""Constants of the formula for a data range of 1, which is 3000 HU in the unit of objectives."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales of MS-SSIM, finest first (Wang et al. 2003)."""
LEAST = 1e-6
"""Smallest base of an exponent of MS-SSIM: contrast and structure may be negative, and have no power then."""


class StructuralSimilarity(Objective):
    """1 - SSIM, with the Gaussian window of 11 pixels and SD 1.5, a data range of 1, over positions inside the image.

    References
    ----------
    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, Image Quality Assessment: From Error Visibility to Structural
    Similarity, IEEE TIP 2004, Eq. 13.

    Examples
    --------
    Of two even images only the means differ, so that 1 - SSIM is known:

    >>> import torch
    >>> from lowdose.objectives import StructuralSimilarity
    >>> objective = StructuralSimilarity()
    >>> pred, target = torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.25)
    >>> round(float(objective(pred, target)), 4)
    0.1999
    >>> float(objective(target, target))
    0.0
    """

    smallest = SIZE

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return 1 - SSIM as the term 'ssim'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'ssim', from 0 to 2.
        """
        luminance, structure = similarity_maps(pred, target)
        return {"ssim": 1 - (luminance * structure).mean()}


class MultiScaleStructuralSimilarity(Objective):
    """1 - MS-SSIM, with the window of ``StructuralSimilarity`` at every scale.

    Scales after the first are means of 2x2 pixels of the one before. The similarity of an image is the product of its
    mean contrast and structure at every scale but the coarsest and of its mean SSIM there, each with the exponent of
    Wang et al. These are for five scales, which need 176 pixels a side; of fewer, the first exponents are divided by
    their sum.

    Parameters
    ----------
    scales : int
        Number of scales, 1 to 5.

    Attributes
    ----------
    smallest : int
        Smallest height and width, in pixels: the window at the coarsest scale.

    References
    ----------
    Z. Wang, E. P. Simoncelli, A. C. Bovik, Multiscale Structural Similarity for Image Quality Assessment, Asilomar
    Conference on Signals, Systems and Computers 2003, Eq. 7.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import MultiScaleStructuralSimilarity
    >>> objective = MultiScaleStructuralSimilarity(scales=3)
    >>> objective.smallest
    44
    >>> target = torch.rand(1, 1, 48, 48)
    >>> float(objective(target, target))
    0.0
    """

    def __init__(self, scales: int = 3) -> None:
        super().__init__()
        first = SCALE_WEIGHTS[:scales]
        self.exponents = [weight / sum(first) for weight in first]
        self.smallest = SIZE * 2 ** (scales - 1)

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return 1 - MS-SSIM, the mean over the images, as the term 'ms_ssim'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'ms_ssim', from 0 to 1.

        Raises
        ------
        ValueError
            If the images are smaller than ``smallest``.
        """
        pred, target = pred.float(), target.float()
        similarity = torch.ones(len(pred), device=pred.device)
        for place, exponent in enumerate(self.exponents):
            luminance, structure = similarity_maps(pred, target)
            coarsest = place == len(self.exponents) - 1
            mean = (luminance * structure if coarsest else structure).flatten(1).mean(dim=1)
            similarity = similarity * mean.clamp(min=LEAST) ** exponent
            pred, target = functional.avg_pool2d(pred, 2), functional.avg_pool2d(target, 2)
        return {"ms_ssim": 1 - similarity.mean()}


def similarity_maps(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two factors of SSIM at every position where the window lies inside the image.

    Parameters
    ----------
    pred, target : Tensor
        Images, (B, 1, H, W), with a data range of 1.

    Returns
    -------
    tuple[Tensor, Tensor]
        Luminance, and contrast with structure, (B, 1, H - 10, W - 10); computed in float32 under autocast too.

    Raises
    ------
    ValueError
        If the images are smaller than the window.
    """
    if min(pred.shape[-2:]) < SIZE:
        raise ValueError(
            f"structural similarity needs images of at least {SIZE} pixels a side, got {tuple(pred.shape)}"
        )
    with full_precision(pred):
        a, b = pred.float(), target.float()
        mean_a, mean_b, aa, bb, ab = (_local_mean(image) for image in (a, b, a * a, b * b, a * b))
        variances = (aa - mean_a * mean_a) + (bb - mean_b * mean_b)
        luminance = (2 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1)
        return luminance, (2 * (ab - mean_a * mean_b) + C2) / (variances + C2)


def _local_mean(image: Tensor) -> Tensor:
    offsets = torch.arange(SIZE, device=image.device, dtype=image.dtype) - SIZE // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    rows = functional.conv2d(image, weights[None, None, None, :])
    return functional.conv2d(rows, weights[None, None, :, None])
