"""Enhanced CT objects: every frame is a slice whose header is nested in functional groups."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset

from lowdose.errors import NotCT
from lowdose.io.dicom.image import SliceHeader, read_slice_header
from lowdose.io.dicom.pixels import PixelFormat
from lowdose.io.dicom.plain_values import Values
from lowdose.io.dicom.values import tags, values
from lowdose.io.source import Rescale

GROUPS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "CTXRayDetailsSequence": ("KVP",),
    "CTExposureSequence": ("ExposureInmAs",),
}
"""Sequences of the functional groups, and the attributes that are read from each."""
tags([*GROUPS, *(keyword for keywords in GROUPS.values() for keyword in keywords)])


def frames(path: Path, header: Values, form: PixelFormat, rescale: Rescale | None) -> tuple[SliceHeader, ...]:
    """Return the slices of one enhanced object; values that only the first frame states are added to ``header``.

    ``rescale`` is for an object whose frames do not state their scale. Raises NotCT when a frame is not in HU.
    """
    per_frame = header.get("PerFrameFunctionalGroupsSequence", [])
    if len(per_frame) not in (0, form.frames):
        raise NotCT(f"{path}: {form.frames} frames, but headers of {len(per_frame)}; the file is inconsistent")
    shared = {**header, **flat(header.get("SharedFunctionalGroupsSequence", [])[:1])}
    result = []
    for index in range(form.frames):
        frame_values = {**shared, **flat(per_frame[index : index + 1]), "InstanceNumber": index + 1}
        result.append(read_slice_header(path, index, form, header, frame_values, rescale))
        for keyword in ("ConvolutionKernel", "KVP", "SliceThickness"):
            if keyword in frame_values:
                header.setdefault(keyword, frame_values[keyword])
    if len({image.own_scale for image in result}) > 1:
        raise NotCT(
            f"{path}: some of its {form.frames} frames state how they become HU, others do not; export it again"
        )
    return tuple(result)


def flat(groups: list[Dataset]) -> Values:
    """Return the values of a functional group (at most one is given) by keyword, without their nesting."""
    result: Values = {}
    for group in groups:
        for sequence, items in values(group, GROUPS).items():
            for item in items[:1]:
                result.update(values(item, GROUPS[sequence]))
    return result
