"""Organ labels and masks as NIfTI files, on the voxel grid of the CT series that they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from lowdose.anatomical_labels import NAMES
from lowdose.errors import CannotDecode, GeometryMismatch, InvalidSetting
from lowdose.image import Geometry
from lowdose.io.input_kind import check_input
from lowdose.io.nifti import MAX_LABEL_BYTES, TO_MM, read_header, stored_voxels, volume_shape
from lowdose.io.source import Plane, Source

Labels = NDArray[np.uint8]

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Converts between DICOM's axes (left, back, up; LPS) and NIfTI's (right, front, up; RAS), both ways."""

MAX_OFF_GRID = 0.25
"""Largest distance, in voxels, of a slice from the voxels of its labels.

More than the rounding of positions in headers, less than half a voxel.
"""


class NoLabels(InvalidSetting):
    """Label file in which nothing is labelled. Give labels with at least one organ."""


def write_labels(labels: Labels, geometry: Geometry, path: Path) -> None:
    """Write (z, y, x) uint8 labels as a .nii or .nii.gz file.

    Raises GeometryMismatch when the labels have another number of axes or another type.
    """
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise GeometryMismatch(f"labels of shape {labels.shape} and type {labels.dtype}: need (z, y, x) uint8")
    image: Any = nib.Nifti1Image(labels.transpose(2, 1, 0), affine(geometry))  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def affine(geometry: Geometry) -> NDArray[np.float64]:
    """Return the (4, 4) affine from voxel indices (x, y, z) to mm in NIfTI's axes (RAS)."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(geometry.direction[::-1]).T * np.array(geometry.spacing[::-1])
    matrix[:3, 3] = geometry.origin
    return TO_RAS @ matrix


@dataclass(frozen=True)
class LabelMap:
    """Labels in a file, read slice by slice.

    Attributes
    ----------
    path : Path
        The label file.
    stored : 3-D array
        Stored values in the file's own order of axes, memory-mapped from disk.
    slope, intercept : float
        The label is stored * slope + intercept.
    to_voxel : (4, 4) array
        Affine from mm in DICOM's axes (LPS) to indices into ``stored``.
    present : frozenset of int
        Labels that occur, numbered as ``anatomical_labels.NAMES``.
    """

    path: Path
    stored: NDArray[Any]
    slope: float
    intercept: float
    to_voxel: NDArray[np.float64]
    present: frozenset[int]


def open_labels(path: Path, scratch: Path) -> LabelMap:
    """Open a .nii or .nii.gz of labels numbered as ``anatomical_labels.NAMES`` (TotalSegmentator v2's labels and ours).

    A compressed file is unpacked into the folder ``scratch``, which must outlive the result. Raises NothingToRead,
    CannotDecode, GeometryMismatch when the file does not say where its voxels lie, InvalidSetting when it holds
    anything but known labels, and NoLabels when it holds none.
    """
    check_input(path)
    if path.is_dir():
        raise CannotDecode(f"{path}: is a folder; give the NIfTI file of the labels")
    header = read_header(path)
    shape = volume_shape(header)
    dtype = header.get_data_dtype()
    if len(shape) != 3 or 0 in shape or dtype.kind not in "iuf":
        raise CannotDecode(f"{path}: shape {shape}, values of type {dtype}; labels are one 3-D volume of whole numbers")
    target = scratch / f"{uuid4().hex}.nii"
    stored = stored_voxels(path, header, target, "store them as 8-bit numbers", MAX_LABEL_BYTES)
    slope, intercept = header.get_slope_inter()
    scale = (1.0 if slope is None else slope, intercept or 0.0)
    return LabelMap(path, stored, *scale, _to_voxel(path, header), _labels_present(path, stored, *scale))


def labels_of_slice(labels: LabelMap, source: Source, index: int) -> Labels:
    """Return the labels of slice ``index`` of a series, (y, x), however the label file orients its axes.

    Raises GeometryMismatch that names both when the slice does not lie on the voxels of the labels.
    """
    place = _locate_slice(labels, source, index)
    image = labels.stored.transpose(place.axes)[place.slice_index][:: place.down, :: place.along]
    return np.rint(np.asarray(image) * labels.slope + labels.intercept).astype(np.uint8)


def check_on_grid(labels: LabelMap, source: Source, indices: Iterable[int]) -> None:
    """Raise GeometryMismatch unless the label volume holds all these slices of a series."""
    for index in indices:
        _locate_slice(labels, source, index)


class _VoxelPlane(NamedTuple):
    """Location of a slice in ``LabelMap.stored``.

    Attributes
    ----------
    axes : tuple of 3 int
        Axes of ``stored`` that run across the slice, down its rows and along its columns.
    slice_index : int
        Index of the slice on the first of these axes.
    down, along : int
        1 where the rows or columns run in the direction of the voxels, -1 where they run against it.
    """

    axes: tuple[int, int, int]
    slice_index: int
    down: int
    along: int


def _locate_slice(labels: LabelMap, source: Source, index: int) -> _VoxelPlane:
    plane = source.planes[index]
    if plane.corner is None or plane.axes is None or plane.pixel_mm is None:
        raise GeometryMismatch(f"{source.path}: does not state where its slices lie, so {labels.path} cannot be placed")
    steps = np.array(plane.axes) * np.array(plane.pixel_mm)[:, None] @ labels.to_voxel[:3, :3].T
    last = steps * (np.array(plane.shape)[:, None] - 1)
    start = labels.to_voxel[:3] @ [*plane.corner, 1.0]
    corners = np.array([start, start + last[0], start + last[1]])
    down, along = (int(np.abs(step).argmax()) for step in steps)
    axes = (3 - down - along, down, along)
    size = labels.stored.shape
    # Rows: the first pixel, the last of the first column, the last of the first row; columns in the order of ``axes``.
    place = np.rint(corners)[:, axes] if down != along else np.full((3, 3), -1.0)
    rows, columns = plane.shape[0] - 1, plane.shape[1] - 1
    first = [place[0, 0], 0.0 if steps[0, down] > 0 else rows, 0.0 if steps[1, along] > 0 else columns]
    expected = np.array([first, [first[0], rows - first[1], first[2]], [first[0], first[1], columns - first[2]]])
    if (
        np.abs(corners - np.rint(corners)).max() > MAX_OFF_GRID
        or not np.array_equal(place, expected)
        or (size[down], size[along]) != plane.shape
        or not 0 <= place[0, 0] < size[axes[0]]
    ):
        raise GeometryMismatch(_mismatch_message(labels, source, plane, start))
    return _VoxelPlane(axes, int(place[0, 0]), 1 if steps[0, down] > 0 else -1, 1 if steps[1, along] > 0 else -1)


def _mismatch_message(labels: LabelMap, source: Source, plane: Plane, start: NDArray[np.float64]) -> str:
    where = ", ".join(f"{value:.1f}" for value in start)
    at = "" if plane.position is None else f" at {plane.position:g} mm"
    return (
        f"{labels.path}: its voxels are not those of {source.path}: the slice{at}, {plane.shape} pixels of "
        f"{plane.pixel_mm} mm, starts at voxel ({where}) of a label volume of {labels.stored.shape}; give labels that "
        "were drawn on this series, or resample them to it"
    )


def _to_voxel(path: Path, header: Any) -> NDArray[np.float64]:
    matrix = np.array(header.get_best_affine(), np.float64)
    matrix[:3] *= TO_MM.get(header.get_xyzt_units()[0], 1.0)
    matrix = TO_RAS @ matrix
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise GeometryMismatch(f"{path}: its header gives no usable voxel size or position; write it with its affine")
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _labels_present(path: Path, stored: NDArray[Any], slope: float, intercept: float) -> frozenset[int]:
    """Return the labels that occur, in one pass over the file."""
    stored_values: set[float] = set()
    for k in range(stored.shape[2]):
        stored_values.update(np.unique(stored[..., k]).tolist())
        if len(stored_values) > len(NAMES) + 1:  # an image, not labels: no need to collect all its values
            break
    values = {value * slope + intercept for value in stored_values}
    unknown_labels = sorted(value for value in values if value != 0 and value not in NAMES)
    if unknown_labels:
        raise InvalidSetting(
            f"{path}: holds {unknown_labels[0]:g}, which is no label: TotalSegmentator v2 numbers its classes from 1 "
            f"to 117, and 'lowdose simulate --phantom' goes on to {max(NAMES)}"
        )
    if values <= {0.0}:
        raise NoLabels(f"{path}: holds no label at all, only 0")
    return frozenset(int(value) for value in values if value)
