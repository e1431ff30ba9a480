"""Findings as a mask in NIfTI: every connected part of each label is one finding."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lowdose.errors import CannotDecode
from lowdose.image import Mask
from lowdose.io.arrays import planes
from lowdose.io.findings.finding import Finding, Findings, Mark, SliceName
from lowdose.io.findings.regions import cropped_mask
from lowdose.io.nifti import MAX_LABEL_BYTES, geometry, open_unpacked, read_header, stored_voxels, volume_shape
from lowdose.io.source import Plane

MOST_LABELS = 256
"""More different values than this are an image and no mask."""
FIRST = 1 << 18
"""Number of values by which most images are told from masks."""
TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels that share a face, an edge or a corner belong together."""


def is_mask(path: Path) -> bool:
    """Return whether a NIfTI file holds a mask, and no image: few whole numbers, none below 0."""
    with TemporaryDirectory(prefix="lowdose-") as folder:
        try:
            header = read_header(path)
            _labels(path, _first_values(path, header))  # images, most of the files, are not unpacked for this
            _labels(path, _stored(path, header, Path(folder)))
        except CannotDecode:
            return False
    return True


def _first_values(path: Path, header: Any) -> NDArray[Any]:
    """Return a few of the stored values, (1, n)."""
    kind = header.get_data_dtype()
    try:
        with open_unpacked(path) as file:
            file.read(int(header.get_data_offset()))
            start = file.read(FIRST * kind.itemsize)
        return np.frombuffer(start[: len(start) // kind.itemsize * kind.itemsize], kind)[None]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CannotDecode(f"{path}: cannot be unpacked ({error})") from error


def read_nifti_mask(path: Path) -> Findings:
    """Read a mask of lesions: 0 is none, and every connected part of each other label is one finding.

    Voxels are connected when they share a face, an edge or a corner. Slices are those of the third axis, as they are
    for images. Raises CannotDecode for what is no mask.
    """
    header = read_header(path)
    with TemporaryDirectory(prefix="lowdose-") as folder:
        stored = _stored(path, header, Path(folder))
        found_planes = planes(geometry(header), len(stored), (stored.shape[1], stored.shape[2]))
        findings = [
            Finding(str(label), _marks(inside, first, found_planes), path)
            for label in _labels(path, stored)
            for inside, first in _components(stored, label)
        ]
    return Findings(path, findings, [])


def _stored(path: Path, header: Any, scratch: Path) -> NDArray[Any]:
    """Return the stored values, (z, y, x), memory-mapped."""
    shape, kind = volume_shape(header), header.get_data_dtype()
    slope, intercept = header.get_slope_inter()
    if len(shape) != 3 or 0 in shape or kind.kind not in "iuf":
        raise CannotDecode(f"{path}: shape {shape}, values of type {kind}; a mask is one 3-D volume of whole numbers")
    if (slope, intercept) not in ((None, None), (1.0, 0.0)):
        raise CannotDecode(f"{path}: states a slope of {slope:g} and an intercept of {intercept:g}; a mask has none")
    stored = stored_voxels(path, header, scratch / "mask.nii", "store the mask as 8-bit numbers", MAX_LABEL_BYTES)
    return stored.transpose(2, 1, 0)


def _labels(path: Path, stored: NDArray[Any]) -> list[int]:
    """Return the labels that occur, without 0. Raises CannotDecode for an image."""
    values = set[float]()
    for image in stored:
        values.update(np.unique(image).tolist())
        odd = [value for value in values if not (np.isfinite(value) and value >= 0 and value == int(value))]
        if odd or len(values) > MOST_LABELS:
            what = f"the value {odd[0]:g}" if odd else f"more than {MOST_LABELS} different values"
            raise CannotDecode(f"{path}: holds {what}, so it is an image and no mask; give the mask of the lesions")
    return sorted(int(value) for value in values if value)


def _components(stored: NDArray[Any], label: int) -> Iterator[tuple[Mask, tuple[int, int, int]]]:
    """Yield each connected part of a label: which voxels of a box it fills, and the first voxel of that box."""
    shadow = _shadow(stored, label)
    rows, columns = (np.flatnonzero(shadow.any(axis=axis)) for axis in (1, 0))
    slices = np.flatnonzero([(image == label).any() for image in stored])
    first = (int(slices[0]), int(rows[0]), int(columns[0]))
    part = stored[first[0] : slices[-1] + 1, first[1] : rows[-1] + 1, first[2] : columns[-1] + 1] == label
    labelled, _ = ndimage.label(part, TOUCHING)
    for number, box in enumerate(ndimage.find_objects(labelled), 1):
        corner = (first[0] + box[0].start, first[1] + box[1].start, first[2] + box[2].start)
        yield labelled[box] == number, corner


def _shadow(stored: NDArray[Any], label: int) -> Mask:
    """Return which pixels hold a label in some slice."""
    shadow = np.zeros(stored.shape[1:], bool)
    for image in stored:
        shadow |= image == label
    return shadow


def _marks(inside: Mask, first: tuple[int, int, int], found_planes: list[Plane]) -> tuple[Mark, ...]:
    """Return what a finding fills in each of its slices."""
    marks = []
    for index, mask in enumerate(inside, first[0]):
        plane = found_planes[index]
        region = cropped_mask(mask, plane, first[1:])
        marks.append(Mark(SliceName(index=index, count=len(found_planes), plane=plane), region))
    return tuple(marks)
