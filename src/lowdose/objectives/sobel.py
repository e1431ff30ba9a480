"""Magnitude of the gradient of an image, by Sobel's operator."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

EPSILON = 1e-4
"""Added to the squared magnitude, whose root has no derivative at 0."""


def sobel_magnitude(image: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Return the magnitude of the gradient of images.

    The root of ``epsilon`` plus the squares of both of Sobel's filters, divided by 4 so that a step of 1 between two
    columns gives 1, and a slope of 1 for each pixel 2. Borders are continued by their last pixel, so that a constant
    image has no edge there.

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
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    # Written out, since a convolution would be in half precision under autocast.
    across = padded[..., 2:] - padded[..., :-2]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    along_x = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    along_y = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return ((along_x / 4).square() + (along_y / 4).square() + epsilon).sqrt()
