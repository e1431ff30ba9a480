"""Placement of lesions, measurement of their contrast, and search for what looks like one where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.signal import fftconvolve

from lowdose.image import HU, Mask

Real = NDArray[np.floating]

CORE_RADIUS = 0.6
"""Radius of the core of a lesion, inside its soft rim, as a share of the lesion's radius."""

NOISE_RING_MM = (2.0, 8.0)
"""Distances from the edge of a lesion between which the noise around it is measured."""

APART_MM = 8.0
"""Distance between the edges of two lesions: no filter here has noticeable weight beyond it."""


class LesionKind(NamedTuple):
    """Kind of lesion to put in.

    Attributes
    ----------
    organ, shape : str
        Organ that gets it, and shape of ``lowdose.phantom.lesions``.
    diameter_mm : float
        Diameter, mm.
    contrast : float or None
        HU against its organ; None for a solid nodule of 25 HU, whatever surrounds it.
    label : str
        Name of the contrast in tables.
    """

    organ: str
    shape: str
    diameter_mm: float
    contrast: float | None
    label: str


KINDS = (
    *(LesionKind("liver", "metastasis", d, float(c), f"{c} HU") for d in (5, 8, 10, 15) for c in (-20, -30, -40)),
    *(LesionKind("lung", "solid_nodule", d, None, "solid, 25 HU") for d in (4, 6, 8, 10)),
    *(LesionKind("lung", "solid_nodule", d, 250.0, "ground glass, +250 HU") for d in (4, 6, 8, 10)),
)


class Spot(NamedTuple):
    """A kind of lesion centred at a pixel (y, x); ``seed`` determines its irregular shape."""

    kind: LesionKind
    y: int
    x: int
    seed: int


def without_vessels(hu: HU, organ: Mask, name: str, pixel_mm: float) -> Mask:
    """Return the part of the organ (y, x) that does not stand out of it.

    A lesion on a vessel would be measured together with the vessel.
    """
    smooth = gaussian_filter(hu, 2.5 / pixel_mm)
    if name == "lung":
        return organ & (smooth < -650)
    return organ & (np.abs(smooth - np.median(smooth[organ])) < 25) if organ.any() else organ


def place_lesions(room: dict[str, Mask], pixel_mm: float, rng: np.random.Generator) -> list[Spot]:
    """Place one lesion of each kind in each organ, apart from each other and from the edges, in random order.

    A kind that finds no room is left out.
    """
    spots: list[Spot] = []
    for organ, mask in room.items():
        inside = distance_transform_edt(mask) * pixel_mm
        kinds = [kind for kind in KINDS if kind.organ == organ]
        found: list[Spot] = []
        for number in rng.permutation(len(kinds)):
            kind = kinds[int(number)]
            allowed = inside > kind.diameter_mm / 2 + 2.0
            for other in found:
                gap = (kind.diameter_mm + other.kind.diameter_mm) / 2 + APART_MM
                allowed &= distance(mask.shape, other.y, other.x) * pixel_mm > gap
            where = np.argwhere(allowed)
            if len(where):
                y, x = where[rng.integers(len(where))]
                found.append(Spot(kind, int(y), int(x), int(rng.integers(1 << 30))))
        spots += found
    return spots


def distance(shape: Sequence[int], y: float, x: float) -> NDArray[np.float64]:
    """Return the distance of every pixel (y, x) from a point, in pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - y, columns - x))


def core(spot: Spot, shape: Sequence[int], pixel_mm: float) -> Mask:
    """Return the mask of pixels within 0.6 radii of the centre, and at least the centre and its four neighbours."""
    return distance(shape, spot.y, spot.x) <= max(1.0, CORE_RADIUS * spot.kind.diameter_mm / 2 / pixel_mm)


def contrast_kept(change: Real, true: Real, where: Mask) -> float:
    """Return the share of the contrast ``true`` that is in ``change``.

    Both are differences of images with and without the lesion, (y, x) HU.
    """
    return float(change[where].mean(dtype=np.float64) / true[where].mean(dtype=np.float64))


def noise_around(image: HU, spot: Spot, organ: Mask, pixel_mm: float) -> float:
    """Return the robust SD of the organ around a lesion, HU.

    It is derived from the median absolute deviation, so that a few vessels do not count.
    """
    away = distance(image.shape, spot.y, spot.x) * pixel_mm - spot.kind.diameter_mm / 2
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
    return np.asarray(distance_transform_edt(organ) * pixel_mm > diameter_mm)
