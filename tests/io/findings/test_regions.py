"""Boxes, masks and outlines of a picture in the pixels of a slice, whatever way both are turned."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.boxes import mask_box
from lowdose.errors import GeometryMismatch
from lowdose.image import Mask, Vector
from lowdose.io.findings.regions import RADIOLOGICAL, Outlines, PictureBox, PixelMask, cropped_mask, outlined, to_mm
from lowdose.io.source import Plane

DOWN, LEFT = RADIOLOGICAL
ORIENTATIONS = list(product((False, True), (1, -1), (1, -1)))
SLICE = Plane((7, 9), (0.5, 0.8), (-3.0, 4.0, 10.0), RADIOLOGICAL)


def scaled(vector: Vector, sign: int) -> Vector:
    return vector[0] * sign, vector[1] * sign, vector[2] * sign


def stored_as(mask: Mask, swapped: bool, down: int, along: int) -> tuple[Mask, Plane]:
    """Return a mask of SLICE as an image with other rows and columns, and where that image lies."""
    (rows, columns), (high, wide) = SLICE.shape, SLICE.pixel_mm or (1, 1)
    corner = to_mm(SLICE, np.array([(0 if down > 0 else rows - 1, 0 if along > 0 else columns - 1)]))[0]
    axes, pixel, image = (scaled(DOWN, down), scaled(LEFT, along)), (high, wide), mask[::down, ::along]
    if swapped:
        axes, pixel, image = axes[::-1], pixel[::-1], image.T
    place = float(corner[0]), float(corner[1]), float(corner[2])
    return image, Plane((image.shape[0], image.shape[1]), pixel, place, axes)


masks = st.lists(st.booleans(), min_size=63, max_size=63).map(lambda values: np.array(values).reshape(7, 9))


@settings(max_examples=40, deadline=None)
@given(mask=masks.filter(lambda mask: bool(mask.any())), orientation=st.sampled_from(ORIENTATIONS))
def test_a_mask_of_any_orientation_fills_the_same_pixels(mask: Mask, orientation: tuple[bool, int, int]) -> None:
    image, plane = stored_as(mask, *orientation)
    found = np.zeros(mask.shape, bool)
    for part in cropped_mask(image, plane).on(SLICE):
        assert not (found & part.mask(mask.shape)).any()  # parts do not overlap
        assert part.box == mask_box(part.mask(mask.shape))
        found |= part.mask(mask.shape)
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_box_of_a_picture_lies_on_the_same_tissue(orientation: tuple[bool, int, int]) -> None:
    """The box of a mask in the picture, in the pixels of the image, is the box of the mask stored as that image."""
    mask = np.zeros((7, 9), bool)
    mask[1:3, 4:8] = True
    image, plane = stored_as(mask, *orientation)
    (part,) = PictureBox(mask_box(mask), None, RADIOLOGICAL).on(plane)
    assert part.box == mask_box(image)


def test_a_mask_of_larger_pixels_fills_all_pixels_whose_centres_it_covers() -> None:
    """One pixel of 2 x 2 mm covers 4 x 4 pixels of 0.5 mm; its centre lies half of one beside theirs."""
    fine = Plane((12, 12), (0.5, 0.5), (0.0, 0.0, 0.0), RADIOLOGICAL)
    coarse = Plane((3, 3), (2.0, 2.0), (0.75, 0.75, 0.0), RADIOLOGICAL)
    (part,) = PixelMask(np.ones((1, 1), bool), (1, 1), coarse).on(fine)
    assert (part.box, part.mask((12, 12)).sum()) == ((4.0, 4.0, 8.0, 8.0), 16)


def test_what_lies_beside_the_slice_is_left_out() -> None:
    beside = Plane((3, 3), (1.0, 1.0), (100.0, 0.0, 10.0), RADIOLOGICAL)
    assert PixelMask(np.ones((3, 3), bool), (0, 0), beside).on(SLICE) == []
    assert PictureBox((-5.0, 1.0, -2.0, 3.0)).on(SLICE) == []
    assert outlined([np.array([(20.0, 20.0), (20.0, 22.0), (22.0, 20.0)])], SLICE.shape) == []
    (part,) = PixelMask(np.ones((3, 3), bool), (6, 7), None).on(Plane((7, 9)))
    assert part.box == (6.0, 7.0, 7.0, 9.0)


def test_parts_that_touch_by_a_corner_are_one() -> None:
    mask = np.zeros((7, 9), bool)
    mask[1, 1] = mask[2, 2] = mask[5, 5] = True
    assert [part.box for part in cropped_mask(mask, None).on(SLICE)] == [(1.0, 1.0, 3.0, 3.0), (5.0, 5.0, 6.0, 6.0)]


def test_what_cannot_be_placed_is_said() -> None:
    with pytest.raises(GeometryMismatch, match="outlines are stated in mm, but the slice does not state where it lies"):
        Outlines((np.zeros((3, 3)),)).on(Plane((7, 9)))
    with pytest.raises(GeometryMismatch, match="a mask of 3 x 3 pixels was drawn on a slice of 7 x 9"):
        PixelMask(np.ones((1, 1), bool), (0, 0), Plane((3, 3))).on(SLICE)
    sagittal = Plane((7, 9), (1.0, 1.0), (0.0, 0.0, 0.0), ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
    with pytest.raises(GeometryMismatch, match="a box is stated in an axial picture, but the slice runs along"):
        PictureBox((0.0, 0.0, 1.0, 1.0), None, RADIOLOGICAL).on(sagittal)
