"""Masks in NIfTI as findings, on the images that they were drawn on, in whatever order both are stored."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from lowdose.errors import CannotDecode, NothingToRead
from lowdose.io.findings.finding import PlacedFinding
from lowdose.io.findings.placement import place_findings, series_slices
from lowdose.io.findings.reading import read_findings
from lowdose.io.open_series import open_source
from support.nifti_files import AXIAL, hu_stack, save_nifti
from support.synthetic_dicom import anatomy, make_series


def save_mask(path: Path, mask: NDArray[np.uint8], affine: NDArray[np.float64] = AXIAL) -> Path:
    nib.Nifti1Image(mask.transpose(2, 1, 0), affine).to_filename(path)
    return path


def mask_stack() -> NDArray[np.uint8]:
    """Return (z, y, x) = (3, 40, 64): label 1 in two slices, joined by a corner, and label 2 in one pixel."""
    mask = np.zeros((3, 40, 64), np.uint8)
    mask[0, 5:8, 10:20] = 1
    mask[1, 8:9, 20:24] = 1
    mask[2, 39, 63] = 2
    return mask


def placed(mask: Path, series: Path) -> list[PlacedFinding]:
    with open_source(series) as source:
        return place_findings(read_findings(mask).findings, series_slices(source))


def boxes(found: list[PlacedFinding]) -> list[tuple[str, list[tuple[int, tuple[float, ...]]]]]:
    return [(each.label, [(index, part.box) for index, part in each.parts]) for each in found]


EXPECTED = [
    ("1", [(0, (5.0, 10.0, 8.0, 20.0)), (1, (8.0, 20.0, 9.0, 24.0))]),
    ("2", [(2, (39.0, 63.0, 40.0, 64.0))]),
]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_boxes_lie_on_the_pixels_of_the_mask(tmp_path: Path, ending: str) -> None:
    series, mask = save_nifti(tmp_path / "ct.nii"), save_mask(tmp_path / f"mask{ending}", mask_stack())
    assert boxes(placed(mask, series)) == EXPECTED


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_stored_in_another_order_has_the_same_boxes(tmp_path: Path, axis: int) -> None:
    """Turning an array axis around, and the affine with it, changes the file and not the place of any voxel."""
    series, mask = save_nifti(tmp_path / "ct.nii"), mask_stack()
    flipped, affine = np.flip(mask, axis), AXIAL.copy()
    along = 2 - axis  # (z, y, x) of the array, (x, y, z) of the affine
    affine[:3, 3] += affine[:3, along] * (mask.shape[axis] - 1)
    affine[:3, along] *= -1
    assert sorted(boxes(placed(save_mask(tmp_path / "mask.nii", flipped, affine), series))) == EXPECTED


def test_rows_and_columns_may_be_exchanged(tmp_path: Path) -> None:
    series, affine = save_nifti(tmp_path / "ct.nii"), AXIAL[:, [1, 0, 2, 3]]
    mask = save_mask(tmp_path / "mask.nii", mask_stack().transpose(0, 2, 1), affine)
    assert boxes(placed(mask, series)) == EXPECTED


def test_a_mask_lies_on_the_dicom_series_that_it_was_drawn_on(tmp_path: Path) -> None:
    """DICOM in LPS and NIfTI in RAS: the mask, stored from the feet and mirrored, names the pixels of the images."""
    make_series(tmp_path / "ct", 3)
    with open_source(tmp_path / "ct") as source:
        geometry = source.geometry
    assert geometry is not None
    affine = np.eye(4)
    for column, axis in enumerate((2, 1, 0)):
        affine[:3, column] = np.array(geometry.direction[axis]) * geometry.spacing[axis]
    affine[:3, 3] = geometry.origin
    mask = np.zeros((3, 64, 64), np.uint8)
    mask[1, 10:14, 20:30] = 1
    path = save_mask(tmp_path / "mask.nii.gz", mask, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    assert boxes(placed(path, tmp_path / "ct")) == [("1", [(1, (10.0, 20.0, 14.0, 30.0))])]


def test_parts_of_one_finding_in_a_slice_have_a_box_each(tmp_path: Path) -> None:
    """A horseshoe across slices is one finding; its two legs in a slice are two boxes, and a hole is no part."""
    mask = np.zeros((3, 40, 64), np.uint8)
    mask[0, 10:15, 10:12] = mask[0, 10:15, 18:20] = 1
    mask[1, 10:15, 10:20] = 1
    mask[1, 12, 15] = 0
    (found,) = placed(save_mask(tmp_path / "mask.nii", mask), save_nifti(tmp_path / "ct.nii"))
    assert [(index, part.box) for index, part in found.parts] == [
        (0, (10.0, 10.0, 15.0, 12.0)), (0, (10.0, 18.0, 15.0, 20.0)), (1, (10.0, 10.0, 15.0, 20.0)),
    ]  # fmt: skip
    np.testing.assert_array_equal(found.parts[2][1].mask((40, 64)), mask[1] > 0)


def test_the_mask_of_another_scan_lies_nowhere(tmp_path: Path) -> None:
    series = save_nifti(tmp_path / "ct.nii")
    away = AXIAL.copy()
    away[0, 3] += 5
    assert placed(save_mask(tmp_path / "mask.nii", mask_stack(), away), series) == []
    assert placed(save_mask(tmp_path / "small.nii", mask_stack()[:, :20]), series) == []


def test_without_a_place_a_mask_fits_a_stack_of_its_shape(tmp_path: Path) -> None:
    series = tmp_path / "ct.npy"
    np.save(series, hu_stack())
    mask = save_mask(tmp_path / "mask.nii", mask_stack())
    assert boxes(placed(mask, series)) == EXPECTED
    np.save(series, hu_stack()[:2])
    assert placed(mask, series) == []


def test_an_image_is_no_mask(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "ct.nii", np.stack([anatomy(index) for index in range(2)]).astype(np.int16))
    with pytest.raises(CannotDecode, match=r"ct\.nii: holds the value -\d+, so it is an image .*give the mask"):
        read_findings(path)


def test_an_empty_mask_is_said(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "mask.nii", np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(NothingToRead, match="holds no finding"):
        read_findings(path)


def test_a_scaled_mask_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(mask_stack().transpose(2, 1, 0), AXIAL)
    image.header.set_slope_inter(2, 1)
    image.to_filename(tmp_path / "mask.nii")
    with pytest.raises(CannotDecode, match="slope of 2 and an intercept of 1; a mask has none"):
        read_findings(tmp_path / "mask.nii")
