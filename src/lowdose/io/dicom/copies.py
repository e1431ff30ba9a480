"""Images that are there more than once: equal copies are left out, others under one SOPInstanceUID are refused."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lowdose.errors import MixedSeries
from lowdose.io.dicom.header import DicomFile
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.pixels import read_stored


def drop_copies(files: Sequence[DicomFile]) -> tuple[list[DicomFile], list[str], list[str]]:
    """Return the files of a series each once, a line for every copy left out, and a warning when there are any.

    A copy has the SOPInstanceUID, position, scale and pixels of another file, in whatever encoding. An image without
    a SOPInstanceUID is compared with those of its position and number. Raises MixedSeries naming both files when
    different images have one SOPInstanceUID.
    """
    kept: set[Path] = set()
    by_image: dict[object, list[DicomFile]] = {}
    lines = []
    for file in sorted(files, key=lambda file: (len(file.path.name), str(file.path))):  # "1.dcm" before "1 (2).dcm"
        uid = file.images[0].sop_uid if file.images else ""
        alike = by_image.setdefault(uid or tuple((image.plane, image.numbers) for image in file.images), [])
        original = next((other for other in alike if _is_copy(file, other)), None)
        if original is not None:
            lines.append(f"{file.path}: a copy of {original.path}")
            continue
        if alike and uid:
            raise MixedSeries(
                f"{alike[0].path} and {file.path}: different images with one SOPInstanceUID ({uid}); "
                "keep the right one and move the other away"
            )
        alike.append(file)
        kept.add(file.path)
    several = f"{len(lines)} images are copies" if len(lines) > 1 else "1 image is a copy"
    rest = [file for file in files if file.path in kept]
    return rest, lines, [f"{several} of others in this series; every image was taken once."] if lines else []


def _is_copy(one: DicomFile, other: DicomFile) -> bool:
    if filecmp.cmp(one.path, other.path, shallow=False):
        return True
    return len(one.images) == len(other.images) and all(
        _described_alike(first, second) and _equal_pixels(first, second)
        for first, second in zip(one.images, other.images, strict=True)
    )


def _described_alike(one: SliceHeader, other: SliceHeader) -> bool:
    """Return whether all is equal but the file and how it is encoded."""
    return replace(one, path=Path(), pixels=other.pixels, lossy=False) == replace(other, path=Path(), lossy=False)


def _equal_pixels(one: SliceHeader, other: SliceHeader) -> bool:
    first, second = (image.pixels.values(read_stored(image.path, image.frame, image.pixels)) for image in (one, other))
    return np.array_equal(first, second)
