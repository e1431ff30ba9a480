"""Gradient of an image by Sobel's operator: its components, its magnitude, and the error of the components."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.objectives.base import Objective

EPSILON = 1e-4
"""Added to the squared magnitude, whose root has no derivative at 0."""


def sobel_components(image: Tensor) -> Tensor:
    """Return the gradient of images along x and y.

    Sobel's filters divided by 4, so that a step of 1 between two columns gives 1, and a slope of 1 for each pixel 2.
    Borders are continued by their last pixel, so that a constant image has no edge there.

    Parameters
    ----------
    image : Tensor
        (B, 1, H, W), any unit.

    Returns
    -------
    Tensor
        (B, 2, H, W), along x and along y, in the unit of the image.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.sobel import sobel_components
    >>> step = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(1, 1, 3, 4)
    >>> sobel_components(step)[0, :, 1].tolist()
    [[0.0, -1.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    # Written out, since a convolution would be in half precision under autocast.
    across = padded[..., 2:] - padded[..., :-2]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    along_x = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    along_y = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([along_x / 4, along_y / 4], dim=1)


def sobel_magnitude(image: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Return the magnitude of the gradient of images.

    The root of ``epsilon`` plus the squares of both components (``sobel_components``).

    Parameters
    ----------
    image : Tensor
        (B, 1, H, W), any unit.
    epsilon : float
        In the square of this unit.

    Returns
    -------
    Tensor
        (B, 1, H, W), in the unit of the image.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.sobel import sobel_magnitude
    >>> step = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
    >>> sobel_magnitude(step, 0.0)[0, 0, 1].tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    along_x, along_y = sobel_components(image).chunk(2, dim=1)
    return (along_x.square() + along_y.square() + epsilon).sqrt()


class SobelMagnitudeError(Objective):
    """Mean absolute difference of the magnitudes of the gradient.

    References
    ----------
    Z. Huang et al., DU-GAN: Generative Adversarial Networks With Dual-Domain U-Net-Based Discriminators for Low-Dose CT
    Denoising, IEEE TIM 2022, the edge loss.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.sobel import SobelMagnitudeError
    >>> step = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
    >>> round(float(SobelMagnitudeError()(step, torch.zeros(1, 1, 3, 4))), 3)  # half of the pixels, each almost 1
    0.495
    """

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the error as the term 'sobel'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), any unit.
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'sobel', in this unit.
        """
        return {"sobel": functional.l1_loss(sobel_magnitude(pred), sobel_magnitude(target))}


class SobelError(Objective):
    """Mean squared error of both components of the gradient, by Sobel's filters as they are, not divided by 4.

    References
    ----------
    H. Shan et al., Competitive performance of a modularized deep neural network compared to commercial algorithms for
    low-dose CT image reconstruction, Nature Machine Intelligence 2019.

    Examples
    --------
    The filters give a slope of 1 for each pixel along x as 8, and as 0 along y:

    >>> import torch
    >>> from lowdose.objectives.sobel import SobelError
    >>> image = torch.zeros(1, 1, 5, 400)
    >>> round(float(SobelError()(image + torch.arange(400.0), image)), 1)
    31.9
    """

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the error as the term 'sobel'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), any unit.
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'sobel', in the square of this unit.
        """
        return {"sobel": 16 * functional.mse_loss(sobel_components(pred), sobel_components(target))}
