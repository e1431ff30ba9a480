"""Organ segmentation of a slice of any size and pixel spacing with the anatomy network."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lowdose.hounsfield import OBJECTIVE
from lowdose.image import HU
from lowdose.networks.anatomy import Anatomy

WORKING_MM = 1.0
"""Pixel spacing, in mm, that slices are resampled to, so that organs have the same size in any field of view."""

RANGE_MM = (0.1, 10.0)
"""Pixel spacings, in mm, that are plausible; others are ignored."""


@torch.inference_mode()
def segment_slice(network: Anatomy, hu: HU, pixel_mm: tuple[float, float] | None) -> NDArray[np.uint8]:
    """Segment a slice: (y, x) HU -> (y, x) indices into ``organ_classes.CLASSES``, on the same grid.

    pixel_mm: spacing in mm between rows and between columns. None, or a spacing outside ``RANGE_MM``, counts as
    ``WORKING_MM``. NaN counts as air.
    """
    device = next(network.parameters()).device
    image = torch.from_numpy(np.nan_to_num(hu, nan=-1000.0))[None, None].to(device)
    resampled = _resample(OBJECTIVE.encode(image.clamp(OBJECTIVE.low, OBJECTIVE.high)), pixel_mm)
    height, width = resampled.shape[-2:]
    right, below = (-(-side // network.multiple) * network.multiple - side for side in (width, height))
    padded = functional.pad(resampled, (0, right, 0, below), value=float(OBJECTIVE.encode(torch.tensor(-1000.0))))
    logits = network(padded.contiguous(memory_format=torch.channels_last)).float()
    # Logits have half the resolution: first to the pixels of the padded image, then to those of the slice.
    logits = functional.interpolate(logits, size=padded.shape[-2:], mode="bilinear", align_corners=False)
    logits = functional.interpolate(logits[..., :height, :width], size=hu.shape, mode="bilinear", align_corners=False)
    return logits[0].argmax(0).to(torch.uint8).cpu().numpy()


def _resample(image: Tensor, pixel_mm: tuple[float, float] | None) -> Tensor:
    if pixel_mm is None or not all(RANGE_MM[0] <= side <= RANGE_MM[1] for side in pixel_mm):
        return image
    sizes = [max(1, round(n * side / WORKING_MM)) for n, side in zip(image.shape[-2:], pixel_mm, strict=True)]
    if sizes == list(image.shape[-2:]):
        return image
    return functional.interpolate(image, size=sizes, mode="bilinear", align_corners=False, antialias=True)
