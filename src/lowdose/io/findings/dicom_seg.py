"""Findings in DICOM segmentations: every segment is one finding, unless it says that it is normal anatomy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.utils import iter_pixels

from lowdose.errors import CannotDecode
from lowdose.image import Mask
from lowdose.io.dicom.image import read_plane
from lowdose.io.dicom.plain_values import Values
from lowdose.io.findings.finding import Finding, Findings, LeftOut, Mark, SliceName
from lowdose.io.findings.regions import cropped_mask
from lowdose.io.source import Plane

ANATOMY = {"91723000", "123037004", "T-D000A"}
"""Codes of the categories of segments that are anatomy, in SNOMED CT and SRT."""


def segment_findings(path: Path, dataset: Any) -> Findings:
    """Read the segments of a DICOM segmentation: binary, fractional (from one half), or a label map.

    Segments whose category is an anatomical structure are organs, and left out. A frame names the image that it was
    drawn on, or lies in a series by its place. Raises CannotDecode.
    """
    segments = {int(item.SegmentNumber): item for item in dataset.SegmentSequence}
    organs = {number for number, item in segments.items() if _is_anatomy(item)}
    marks: dict[int, list[Mark]] = defaultdict(list)
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    series = _series_uid(dataset)
    frames = dataset.PerFrameFunctionalGroupsSequence
    if len(frames) != int(dataset.get("NumberOfFrames", 1)):
        raise CannotDecode(f"{path}: {dataset.NumberOfFrames} frames, but {len(frames)} are described; export it again")
    for frame, image in zip(frames, iter_pixels(dataset), strict=True):
        plane = _plane(frame, shared[0], image.shape)
        names = _slice_names(frame, shared[0], series, plane)
        for number, mask in _masks(dataset, frame, shared[0], image):
            if number not in segments:
                raise CannotDecode(f"{path}: a frame is of segment {number}, which is not described; export it again")
            if number not in organs and mask.any():
                region = cropped_mask(mask, plane)
                marks[number] += [Mark(name, region) for name in names]
    return Findings(
        path,
        [Finding(_label(segments[number]), tuple(marks[number]), path) for number in sorted(marks)],
        [
            LeftOut(path, f"segment '{_label(segments[number])}' is anatomy by its category")
            for number in sorted(organs)
        ],
    )


def _is_anatomy(segment: Any) -> bool:
    return any(
        str(code.get("CodeValue", "")) in ANATOMY for code in segment.get("SegmentedPropertyCategoryCodeSequence") or []
    )


def _label(segment: Any) -> str:
    return str(segment.get("SegmentLabel", "") or segment.SegmentNumber)


def _series_uid(dataset: Any) -> str:
    referenced = dataset.get("ReferencedSeriesSequence") or []
    return str(referenced[0].get("SeriesInstanceUID", "")) if len(referenced) == 1 else ""


def _masks(dataset: Any, frame: Any, shared: Any, image: NDArray[Any]) -> Iterator[tuple[int, Mask]]:
    """Yield the number of each segment in a frame, and its pixels."""
    kind = str(dataset.get("SegmentationType", "BINARY"))
    if kind == "LABELMAP":
        for number in np.unique(image[image > 0]).tolist():
            yield int(number), image == number
        return
    (segment,) = _group("SegmentIdentificationSequence", frame, shared)
    least = float(dataset.MaximumFractionalValue) / 2 if kind == "FRACTIONAL" else 1
    yield int(segment.ReferencedSegmentNumber), image >= least


def _group(name: str, frame: Any, shared: Any) -> Any:
    """Return a functional group of a frame, or the one that all frames share; empty where there is none."""
    return frame.get(name) or (shared.get(name) if shared is not None else None) or []


def _plane(frame: Any, shared: Any, shape: tuple[int, ...]) -> Plane:
    values: Values = {}
    for group, keyword in (
        ("PlanePositionSequence", "ImagePositionPatient"),
        ("PlaneOrientationSequence", "ImageOrientationPatient"),
        ("PixelMeasuresSequence", "PixelSpacing"),
    ):
        for item in _group(group, frame, shared):
            if item.get(keyword) is not None:
                values[keyword] = [float(value) for value in item.get(keyword)]
    return read_plane(values, (int(shape[0]), int(shape[1])))


def _slice_names(frame: Any, shared: Any, series: str, plane: Plane) -> list[SliceName]:
    """Return the images that a frame was drawn on; where it names none, its place in the series."""
    images = [image for item in _group("DerivationImageSequence", frame, shared)
              for image in item.get("SourceImageSequence") or []]  # fmt: skip
    named = [
        SliceName(sop_uid=str(image.ReferencedSOPInstanceUID), frame=first - 1 if first is not None else None)
        for image in images
        for first in _frame_numbers(image)
    ]
    return named or [SliceName(series_uid=series, plane=plane)]


def _frame_numbers(image: Any) -> list[int | None]:
    """Return the numbers of the frames, from 1, that a reference to an image names; None = all."""
    numbers = image.get("ReferencedFrameNumber")
    if numbers is None:
        return [None]
    return [int(number) for number in ([numbers] if isinstance(numbers, int | str) else numbers)]
