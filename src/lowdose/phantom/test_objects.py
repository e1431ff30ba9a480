"""Image quality phantoms with exact edges: water, contrast, low contrast, line pairs and ACR modules."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowdose.errors import InvalidSetting
from lowdose.image import Acquisition, Geometry
from lowdose.phantom.pixel_coverage import Plane64, bar, disc
from lowdose.volume import Volume


@dataclass(frozen=True)
class Insert:
    """A disc (a rod along z) of one material.

    Attributes
    ----------
    name : str
        Name of the material or the region.
    centre : (y, x), mm
        Centre from the middle of the phantom.
    diameter : mm
        Diameter.
    hu : HU
        Value of the material.
    """

    name: str
    centre: tuple[float, float]
    diameter: float
    hu: float


@dataclass(frozen=True)
class TestPhantom:
    """A phantom and the regions to measure in it.

    Attributes
    ----------
    volume : Volume
        HU, the same in each slice.
    inserts : tuple of Insert
        The regions to measure.
    """

    __test__ = False  # not a test case of pytest

    volume: Volume
    inserts: tuple[Insert, ...]


def _build_phantom(
    body: Sequence[Insert], inserts: Sequence[Insert], size: int, pixel_mm: float, slices: int, spacing_mm: float,
) -> TestPhantom:  # fmt: skip
    plane = _draw_discs([*body, *inserts], size, pixel_mm, slices, spacing_mm)
    return _to_phantom(plane, inserts, pixel_mm, slices, spacing_mm)


def _draw_discs(discs: Sequence[Insert], size: int, pixel_mm: float, slices: int, spacing_mm: float) -> Plane64:
    if slices < 1 or size < 1 or not 0 < pixel_mm < np.inf or not 0 < spacing_mm < np.inf:
        raise InvalidSetting(
            f"{slices} slices of {size} pixels of {pixel_mm} mm, {spacing_mm} mm apart: all must be positive"
        )
    field = size * pixel_mm
    plane = np.full((size, size), -1000.0)
    for insert in discs:
        reach = max(abs(c) for c in insert.centre) + 0.5 * insert.diameter
        if not insert.diameter > 0 or 2 * reach > field:
            raise InvalidSetting(
                f"{insert.name} of {insert.diameter:g} mm does not fit a field of {field:.0f} mm: more or larger pixels"
            )
        half = 0.5 * insert.diameter
        plane += disc(size, pixel_mm, insert.centre, (half, half)) * (
            insert.hu - _surrounding_hu(plane, insert, pixel_mm)
        )
    return plane


def _surrounding_hu(plane: Plane64, insert: Insert, pixel_mm: float) -> float:
    """Return the HU of the material around an insert, which is replaced as a whole so that edges stay exact."""
    i, j = (min(max(int(c / pixel_mm + 0.5 * len(plane)), 0), len(plane) - 1) for c in insert.centre)
    return float(plane[i, j])


def _to_phantom(
    plane: Plane64, inserts: Sequence[Insert], pixel_mm: float, slices: int, spacing_mm: float
) -> TestPhantom:
    hu = np.repeat(plane[None].astype(np.float32), slices, axis=0)
    corner = -0.5 * (len(plane) - 1) * pixel_mm
    geometry = Geometry((spacing_mm, pixel_mm, pixel_mm), (corner, corner, 0.0))
    return TestPhantom(Volume(hu, geometry, Acquisition("PHANTOM", spacing_mm, 120.0, "lowdose")), tuple(inserts))


def _rods_on_circle(
    names: Sequence[tuple[str, float]], radius: float, diameter: float, start: float = 90.0
) -> list[Insert]:
    """Place rods evenly on a circle, the first at ``start`` degrees from the patient's left, counter-clockwise."""
    angles = np.radians(start + np.arange(len(names)) * 360.0 / len(names))
    return [
        Insert(name, (float(-radius * np.sin(a)), float(radius * np.cos(a))), diameter, hu)
        for a, (name, hu) in zip(angles, names, strict=True)
    ]


def water(
    diameter_mm: float = 200.0, *, size: int = 512, pixel_mm: float = 0.74, slices: int = 1, spacing_mm: float = 3.0
) -> TestPhantom:
    """Build a cylinder of water: 200 mm for a head, 320 mm for a body.

    The inserts are the ROIs of IEC 61223-3-5, all of 0 HU.
    """
    directions = [
        ("centre", 0.0, 0.0),
        ("3 o'clock", 0.0, 1.0),
        ("6 o'clock", 1.0, 0.0),
        ("9 o'clock", 0.0, -1.0),
        ("12 o'clock", -1.0, 0.0),
    ]
    distance = 0.4 * diameter_mm
    rois = [Insert(name, (distance * y, distance * x), 0.1 * diameter_mm, 0.0) for name, y, x in directions]
    body = [Insert("water", (0.0, 0.0), diameter_mm, 0.0)]
    plane = _draw_discs(body, size, pixel_mm, slices, spacing_mm)
    return _to_phantom(plane, rois, pixel_mm, slices, spacing_mm)


# Materials and their HU.
CTP404 = (("air", -1000.0), ("PMP", -200.0), ("LDPE", -100.0), ("polystyrene", -35.0), ("acrylic", 120.0),
    ("Delrin", 340.0),
          ("Teflon", 990.0))  # fmt: skip


def contrast(*, size: int = 512, pixel_mm: float = 0.42, slices: int = 1, spacing_mm: float = 3.0) -> TestPhantom:
    """Build a contrast phantom modelled on CatPhan CTP404.

    Seven rods of 12 mm lie on a circle 117 mm wide in a 150 mm body of 90 HU.
    """
    return _build_phantom(
        [Insert("body", (0.0, 0.0), 150.0, 90.0)],
        _rods_on_circle(CTP404, 58.5, 12.2),
        size,
        pixel_mm,
        slices,
        spacing_mm,
    )


def low_contrast(
    contrasts: Sequence[float] = (10.0, 5.0, 3.0), *, size: int = 512, pixel_mm: float = 0.42, slices: int = 1,
        spacing_mm: float = 3.0
) -> TestPhantom:  # fmt: skip
    """Build a low-contrast phantom modelled on CatPhan CTP515.

    For each contrast in HU there are nine discs of 15 to 2 mm on a circle 100 mm wide, in a 150 mm body of 50 HU.
    """
    diameters = (15.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)
    discs = []
    for k, level in enumerate(contrasts):
        share = 360.0 / len(contrasts)
        gaps = np.cumsum([0.0] + [0.5 * (a + b) + 2.5 for a, b in itertools.pairwise(diameters)])
        for gap, diameter in zip(gaps, diameters, strict=True):
            angle = np.radians(k * share + gap / gaps[-1] * (share - 20.0))
            centre = (float(-50.0 * np.sin(angle)), float(50.0 * np.cos(angle)))
            discs.append(Insert(f"{level:g} HU {diameter:g} mm", centre, diameter, 50.0 + level))
    return _build_phantom([Insert("body", (0.0, 0.0), 150.0, 50.0)], discs, size, pixel_mm, slices, spacing_mm)


def line_pairs(
    per_cm: Sequence[float] = (2, 4, 6, 8, 10, 12), *, body_mm: float = 150.0, size: int = 512, pixel_mm: float = 0.42,
    slices: int = 1, spacing_mm: float = 3.0,
) -> TestPhantom:  # fmt: skip
    """Build a line pair phantom modelled on CatPhan CTP528.

    For each number of line pairs per cm there is a group of five aluminium bars (1500 HU here), placed on a circle in a
    body of 50 HU.
    """
    plane = _draw_discs([Insert("body", (0.0, 0.0), body_mm, 50.0)], size, pixel_mm, slices, spacing_mm)
    groups = []
    for k, pairs in enumerate(per_cm):
        if not 0 < pairs < np.inf:
            raise InvalidSetting(f"{pairs} line pairs per cm: must be a positive number")
        angle = 2 * np.pi * k / len(per_cm)
        y, x, width = float(-0.3 * body_mm * np.sin(angle)), float(0.3 * body_mm * np.cos(angle)), 5.0 / pairs
        for n in range(5):
            plane += 1450.0 * bar(size, pixel_mm, (y, x + (n - 2) * 2 * width), (12.0, width))
        groups.append(Insert(f"{pairs:g} lp/cm", (y, x), 9 * width, 1500.0))
    return _to_phantom(plane, groups, pixel_mm, slices, spacing_mm)


# Materials of ACR module 1 and their HU.
ACR_1 = (("bone", 955.0), ("acrylic", 120.0), ("air", -1000.0), ("polyethylene", -95.0))


def acr(
    module: int, *, size: int = 512, pixel_mm: float = 0.42, slices: int = 1, spacing_mm: float = 3.0
) -> TestPhantom:
    """Build a module of a phantom modelled on the ACR CT phantom (Gammex 464, 200 mm).

    Module 1 has inserts of known HU, 2 low-contrast rods of 6 HU, 3 is uniform with two beads, 4 has line pairs. Raises
    InvalidSetting for another number.
    """
    if module not in (1, 2, 3, 4):
        raise InvalidSetting(f"module {module}: the phantom has modules 1 to 4")
    if module == 4:
        pairs = (4, 5, 6, 7, 8, 9, 10, 12)
        return line_pairs(pairs, body_mm=200.0, size=size, pixel_mm=pixel_mm, slices=slices, spacing_mm=spacing_mm)
    body_hu, rods = _acr_inserts(module)
    return _build_phantom([Insert("body", (0.0, 0.0), 200.0, body_hu)], rods, size, pixel_mm, slices, spacing_mm)


def _acr_inserts(module: int) -> tuple[float, list[Insert]]:
    """Return the HU of the body of modules 1 to 3, and their inserts."""
    if module == 1:
        return 0.0, _rods_on_circle(ACR_1, 63.0, 25.0, start=45.0)
    if module == 2:
        rows = enumerate((6.0, 5.0, 4.0, 3.0, 2.0))
        rods = [
            Insert(f"6 HU {d:g} mm {n + 1}", (15.0 * k - 25.0, 2.2 * d * (n - 1.5)), d, 96.0)
            for k, d in rows
            for n in range(4)
        ]
        return 90.0, [Insert("6 HU 25 mm", (-60.0, 0.0), 25.0, 96.0), *rods]
    return 0.0, [Insert("bead", (0.0, 40.0), 0.28, 2000.0), Insert("bead", (0.0, -60.0), 0.28, 2000.0)]
