"""Order of the images of a series: stack by stack along the normal; what has no place among them is set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lowdose.io.dicom.grid import DUPLICATE_MM, slice_normal
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.stacks import split_stacks

SAME_AXES = 0.02
"""Largest difference of the components of unit vectors of one orientation; about 1 degree."""
ODD_IMAGES, ODD_SHARE = 3, 0.1
"""An orientation of fewer images than this, and than this fraction of the images of another, is no stack."""


@dataclass
class Arrangement:
    """Images in order.

    Attributes
    ----------
    images : list of SliceHeader
        The images of all stacks. Each plane states its stack and, where it has one, its position in mm.
    set_aside : list of str
        One line for each image that is part of no stack, with the reason.
    warnings : list of str
        What is odd about the order.
    """

    images: list[SliceHeader]
    set_aside: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def arrange(images: Sequence[SliceHeader]) -> Arrangement:
    """Sort the images of a series into stacks, and the images of a stack by position along their normal.

    Where no more than a few images state a position, the order is that of the instance numbers.
    """
    placed = [image for image in images if image.plane.axes and image.plane.corner]
    if 2 * len(placed) < len(images) or not placed:
        ordered = sorted(images, key=lambda image: (image.numbers[::-1], str(image.path), image.frame))
        message = "The headers do not say where each slice lies; the order is that of the instance numbers."
        return Arrangement(ordered, warnings=[message] if len(images) > 1 else [])
    result = Arrangement([])
    _set_aside(
        result, [image for image in images if not (image.plane.axes and image.plane.corner)], "without a position"
    )
    orientations = _by_orientation(placed)
    largest = max(map(len, orientations))
    stacks: list[list[SliceHeader]] = []
    names: list[str] = []
    for alike in orientations:
        if len(alike) < largest and len(alike) < max(ODD_IMAGES, ODD_SHARE * largest):
            _set_aside(result, alike, "of another orientation than the series")
            continue
        found, told = _stacks_along_normal(alike)
        stacks += found
        names += told
    if len(orientations) > 1 and len(stacks) > 1:
        names.append("ImageOrientationPatient")
    if len(stacks) > 1:
        result.warnings.append(_describe(stacks, names))
    for number, stack in enumerate(stacks):
        result.images += [replace(image, plane=replace(image.plane, stack=number)) for image in stack]
    if any(_is_misnumbered(stack) for stack in stacks):
        result.warnings.append(
            "Instance numbers do not follow the position of the slices; the order is that of the positions."
        )
    return result


def _set_aside(result: Arrangement, images: Sequence[SliceHeader], why: str) -> None:
    for image in images:
        frame = f", frame {image.frame + 1}" if image.pixels.frames > 1 else ""
        result.set_aside.append(f"{image.path}{frame}: {why}; set aside unchanged")
    if images:
        what = f"{len(images)} images are" if len(images) > 1 else "1 image is"
        result.warnings.append(f"{what} {why}, and set aside unchanged.")


def _by_orientation(images: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Return the images of each orientation."""
    found: list[tuple[np.ndarray, list[SliceHeader]]] = []
    for image in images:
        axes = np.ravel(image.plane.axes or ())
        alike = next((alike for known, alike in found if np.abs(known - axes).max() <= SAME_AXES), None)
        if alike is None:
            found.append((axes, [image]))
        else:
            alike.append(image)
    return [alike for _, alike in found]


def _stacks_along_normal(images: Sequence[SliceHeader]) -> tuple[list[list[SliceHeader]], list[str]]:
    """Return the stacks of images of one orientation, each sorted, and the attributes that tell them apart."""
    axes = images[0].plane.axes
    assert axes is not None
    along = slice_normal(axes)
    positions = [float(np.dot(along, image.plane.corner or (0, 0, 0))) for image in images]
    placed = [
        replace(image, plane=replace(image.plane, position=position))
        for image, position in zip(images, positions, strict=True)
    ]
    places = _places(positions)
    stacks, names = split_stacks(placed, places)
    # Places make duplicates equal, so that their numbers decide the order, not noise in their positions.
    for members in stacks:
        members.sort(key=lambda i: (places[i], placed[i].numbers, str(placed[i].path), placed[i].frame))
    return [[placed[i] for i in members] for members in stacks], names


def _places(positions: Sequence[float]) -> list[int]:
    """Return positions, in mm, as numbers of DUPLICATE_MM; those no farther than that from one another are equal."""
    places: dict[int, int] = {}
    before = -np.inf
    for index in sorted(range(len(positions)), key=positions.__getitem__):
        if positions[index] - before > DUPLICATE_MM:
            before = positions[index]
        places[index] = round(before / DUPLICATE_MM)
    return [places[index] for index in range(len(positions))]


def _describe(stacks: Sequence[Sequence[SliceHeader]], names: Sequence[str]) -> str:
    sizes = [len(stack) for stack in stacks]
    count = f"{sizes[0]}" if len(set(sizes)) == 1 else f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]}"
    slices = "slice" if set(sizes) == {1} else "slices"
    return (
        f"The series holds {len(stacks)} stacks of {count} {slices}, told apart by "
        f"{' and '.join(dict.fromkeys(names))}; each is taken by itself, in this order."
    )


def _is_misnumbered(ordered: Sequence[SliceHeader]) -> bool:
    steps = np.diff([image.numbers[1] for image in ordered])
    return not (len(steps) < 2 or not steps.any() or (steps > 0).all() or (steps < 0).all())
