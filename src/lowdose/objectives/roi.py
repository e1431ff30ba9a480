"""Perceptual loss on lesions: features of a detector, in the boxes of the lesions alone (LIDnet)."""

from __future__ import annotations

from torch import Tensor

from lowdose.networks.detection.detector import LesionDetector, box_features

SMALLEST = 1e-8
"""Added to the mean square of the features of full dose, by which the error is divided."""


def roi_perceptual(detector: LesionDetector, denoised: Tensor, full: Tensor, boxes: Tensor, counts: Tensor) -> Tensor:
    """Return the relative squared error of the detector's features of lesions, a scalar.

    |phi(denoised) - phi(full)|^2 / |phi(full)|^2, with phi the pooled features of a box that the detector scores. 0
    without boxes. The published form is not known; the division makes its weight independent of the detector.

    Parameters
    ----------
    detector : LesionDetector
        A detector whose weights are not to learn from this.
    denoised, full : Tensor
        (B, 1, H, W), HU.
    boxes, counts : Tensor
        Lesions (M, 4) in pixels, those of all images one after the other, and their number in each image, (B,).

    References
    ----------
    K. Chen et al., Lesion-Inspired Denoising Network: Connecting Medical Image Denoising and Lesion Detection, ACM
    Multimedia 2021 (reconstruction from the abstract and slides).

    Examples
    --------
    >>> import torch
    >>> from lowdose.networks.detection.detector import LesionDetector
    >>> from lowdose.objectives.roi import roi_perceptual
    >>> image, box = torch.zeros(1, 1, 64, 64), torch.tensor([[20.0, 20.0, 40.0, 40.0]])
    >>> roi_perceptual(LesionDetector().eval(), image, image, box, torch.tensor([1])).item()
    0.0
    """
    if not len(boxes):
        return 0.0 * denoised.sum()
    found = box_features(detector.maps(denoised), boxes, counts).float()
    wanted = box_features(detector.maps(full), boxes, counts).float().detach()
    return (found - wanted).square().mean() / (wanted.square().mean() + SMALLEST)
