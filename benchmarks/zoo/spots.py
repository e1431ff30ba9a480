"""Where lesions go, how much of their contrast is kept, and what looks like one where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.signal import fftconvolve

from lowdose.image import HU, Mask

Real = NDArray[np.floating]

CORE = 0.6
"""Of the radius: what counts as a lesion's core, inside its soft rim."""

RING_MM = (2.0, 8.0)
"""From the lesion's edge: where the noise around it is measured."""

APART_MM = 8.0
"""Between the edges of two lesions: more than any filter here reaches with weight."""


class Kind(NamedTuple):
    """A lesion to be put in. contrast: HU against its organ; None = the solid nodule's own 25 HU, whatever is around.

    label: what the tables call its contrast.
    """

    organ: str
    shape: str
    diameter_mm: float
    contrast: float | None
    label: str


KINDS = (
    *(Kind("liver", "metastasis", d, float(c), f"{c} HU") for d in (5, 8, 10, 15) for c in (-20, -30, -40)),
    *(Kind("lung", "solid_nodule", d, None, "solid, 25 HU") for d in (4, 6, 8, 10)),
    *(Kind("lung", "solid_nodule", d, 250.0, "ground glass, +250 HU") for d in (4, 6, 8, 10)),
)


class Spot(NamedTuple):
    """A kind of lesion at a pixel (y, x); seed: of its uneven shape."""

    kind: Kind
    y: int
    x: int
    seed: int


def free(hu: HU, organ: Mask, name: str, pixel_mm: float) -> Mask:
    """The organ (y, x) without what stands out of it: a lesion put on a vessel would be measured with the vessel."""
    smooth = gaussian_filter(hu, 2.5 / pixel_mm)
    if name == "lung":
        return organ & (smooth < -650)
    return organ & (np.abs(smooth - np.median(smooth[organ])) < 25) if organ.any() else organ


def places(room: dict[str, Mask], pixel_mm: float, rng: np.random.Generator) -> list[Spot]:
    """One of each kind in each organ, apart from each other and the edges, in random order; not what finds no room."""
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
    """(y, x): of every pixel from one, in pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - y, columns - x))


def core(spot: Spot, shape: Sequence[int], pixel_mm: float) -> Mask:
    """(y, x): within 0.6 radii of its middle, and at least that pixel and its four neighbours."""
    return distance(shape, spot.y, spot.x) <= max(1.0, CORE * spot.kind.diameter_mm / 2 / pixel_mm)


def kept(change: Real, true: Real, where: Mask) -> float:
    """Of the contrast ``true``, how much is in ``change``: images with less those without the lesion, (y, x) HU."""
    return float(change[where].mean(dtype=np.float64) / true[where].mean(dtype=np.float64))


def noise_around(image: HU, spot: Spot, organ: Mask, pixel_mm: float) -> float:
    """Robust SD (median absolute deviation) of the organ around a spot, HU: few vessels do not count."""
    away = distance(image.shape, spot.y, spot.x) * pixel_mm - spot.kind.diameter_mm / 2
    values = image[(away > RING_MM[0]) & (away < RING_MM[1]) & organ]
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def response(image: Real, diameter_mm: float, pixel_mm: float) -> NDArray[np.float64]:
    """(y, x) HU: at each pixel the mean of a disc less that of the ring around it, up to twice as wide.

    The matched filter of a disc on an unknown level, in white noise; a disc of c HU gives c. Linear.
    """
    reach = int(np.ceil(diameter_mm / pixel_mm))
    away = distance((2 * reach + 1, 2 * reach + 1), reach, reach) * pixel_mm
    disc, ring = away <= diameter_mm / 2, (away > diameter_mm / 2) & (away <= diameter_mm)
    kernel = disc / disc.sum() - ring / ring.sum()
    return np.asarray(fftconvolve(np.asarray(image, np.float64), kernel, mode="same"))


def searched(organ: Mask, diameter_mm: float, pixel_mm: float) -> Mask:
    """(y, x): where disc and ring lie within the organ."""
    return np.asarray(distance_transform_edt(organ) * pixel_mm > diameter_mm)
