"""The lesions that are measured, their contrast, and the search for what looks like one where there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from lowdose.image import HU, Mask
from lowdose.metrics.lesion_contrast import lesion_core
from lowdose.phantom.lesion_kinds import LesionKind
from lowdose.phantom.slice_lesions import PlannedSliceLesion, depth_mm, distance

Real = NDArray[np.floating]

NOISE_RING_MM = (2.0, 8.0)
"""Distances from the edge of a lesion between which the noise around it is measured."""

DARKER_HU = (-20.0, -30.0, -40.0)
GROUND_GLASS_HU = 250.0

KINDS = (
    *(LesionKind("liver", "metastasis", d, contrast) for d in (5, 8, 10, 15) for contrast in DARKER_HU),
    *(LesionKind("lung", "solid_nodule", d, None) for d in (4, 6, 8, 10)),
    *(LesionKind("lung", "solid_nodule", d, GROUND_GLASS_HU) for d in (4, 6, 8, 10)),
)
"""Kinds of lesions that are measured: None is a solid nodule of 25 HU, whatever surrounds it."""


def contrast_text(kind: LesionKind) -> str:
    """Return the contrast of a kind as it stands in tables."""
    if kind.contrast is None:
        return "solid, 25 HU"
    return f"ground glass, {kind.contrast:+g} HU" if kind.organ == "lung" else f"{kind.contrast:g} HU"


def core(lesion: PlannedSliceLesion, shape: tuple[int, int], pixel_mm: float) -> Mask:
    """Return the mask of the core of a lesion."""
    return lesion_core(shape, (lesion.y, lesion.x), lesion.kind.diameter_mm / pixel_mm)


def noise_around(image: HU, lesion: PlannedSliceLesion, organ: Mask, pixel_mm: float) -> float:
    """Return the robust SD of the organ around a lesion, HU.

    It is derived from the median absolute deviation, so that a few vessels do not count.
    """
    away = distance(image.shape, lesion.y, lesion.x) * pixel_mm - lesion.kind.diameter_mm / 2
    values = image[(away > NOISE_RING_MM[0]) & (away < NOISE_RING_MM[1]) & organ]
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def disc_response(image: Real, diameter_mm: float, pixel_mm: float) -> NDArray[np.float64]:
    """Return at each pixel the mean of a disc less that of the ring around it, up to twice as wide, (y, x) HU.

    This linear filter is the matched filter of a disc on an unknown level in white noise; a disc of c HU gives c.
    """
    reach = int(np.ceil(diameter_mm / pixel_mm))
    away = distance((2 * reach + 1, 2 * reach + 1), reach, reach) * pixel_mm
    disc, ring = away <= diameter_mm / 2, (away > diameter_mm / 2) & (away <= diameter_mm)
    kernel = disc / disc.sum() - ring / ring.sum()
    return np.asarray(fftconvolve(np.asarray(image, np.float64), kernel, mode="same"))


def search_area(organ: Mask, diameter_mm: float, pixel_mm: float) -> Mask:
    """Return the mask of places at which disc and ring lie within the organ."""
    return np.asarray(depth_mm(organ, pixel_mm) > diameter_mm)
