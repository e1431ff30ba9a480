"""A slice of any size and pixel through the anatomy network: HU in, the class of every pixel out."""

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
"""Pixel the network sees: slices are resampled to it, so that an organ has one size whatever the field of view."""

RANGE_MM = (0.1, 10.0)


@torch.inference_mode()
def segment_slice(network: Anatomy, hu: HU, pixel_mm: tuple[float, float] | None) -> NDArray[np.uint8]:
    """(y, x) HU -> (y, x) numbers of ``organ_classes.CLASSES``, on the same grid.

    pixel_mm: (down the rows, along the columns); None, or sizes no body was ever scanned with, are taken as
    ``WORKING_MM``. Values that are not numbers count as air.
    """
    device = next(network.parameters()).device
    image = torch.from_numpy(np.nan_to_num(hu, nan=-1000.0))[None, None].to(device)
    seen = _resampled(OBJECTIVE.encode(image.clamp(OBJECTIVE.low, OBJECTIVE.high)), pixel_mm)
    height, width = seen.shape[-2:]
    far = [-(-side // network.multiple) * network.multiple - side for side in (width, height)]
    padded = functional.pad(seen, (0, far[0], 0, far[1]), value=float(OBJECTIVE.encode(torch.tensor(-1000.0))))
    logits = network(padded.contiguous(memory_format=torch.channels_last)).float()
    # Half resolution: pixel centres of the padded image, then those of the slice.
    logits = functional.interpolate(logits, size=padded.shape[-2:], mode="bilinear", align_corners=False)
    logits = functional.interpolate(logits[..., :height, :width], size=hu.shape, mode="bilinear", align_corners=False)
    return logits[0].argmax(0).to(torch.uint8).cpu().numpy()


def _resampled(image: Tensor, pixel_mm: tuple[float, float] | None) -> Tensor:
    if pixel_mm is None or not all(RANGE_MM[0] <= side <= RANGE_MM[1] for side in pixel_mm):
        return image
    sizes = [max(1, round(n * side / WORKING_MM)) for n, side in zip(image.shape[-2:], pixel_mm, strict=True)]
    if sizes == list(image.shape[-2:]):
        return image
    return functional.interpolate(image, size=sizes, mode="bilinear", align_corners=False, antialias=True)
