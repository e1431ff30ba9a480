"""Enhanced CT: each frame of one object is a slice, its header nested in functional groups."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset

from lowdose.errors import NotCT
from lowdose.io.dicom.image import SliceHeader, read_slice_header
from lowdose.io.dicom.pixels import PixelFormat
from lowdose.io.dicom.values import Values, tags, values

GROUPS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "CTXRayDetailsSequence": ("KVP",),
    "CTExposureSequence": ("ExposureInmAs",),
}
tags([*GROUPS, *(keyword for keywords in GROUPS.values() for keyword in keywords)])


def frames(path: Path, header: Values, form: PixelFormat) -> tuple[SliceHeader, ...]:
    """The slices of one enhanced object, whose header gains what the first frame alone states.

    Raises NotCT when a frame is not in HU.
    """
    single = header.get("PerFrameFunctionalGroupsSequence", [])
    if len(single) not in (0, form.frames):
        raise NotCT(f"{path}: {form.frames} frames, but headers of {len(single)}; the file is inconsistent")
    shared = {**header, **flat(header.get("SharedFunctionalGroupsSequence", [])[:1])}
    found = []
    for index in range(form.frames):
        own = {**shared, **flat(single[index : index + 1]), "InstanceNumber": index + 1}
        found.append(read_slice_header(path, index, form, header, own))
        for keyword in ("ConvolutionKernel", "KVP", "SliceThickness"):
            if keyword in own:
                header.setdefault(keyword, own[keyword])
    return tuple(found)


def flat(groups: list[Dataset]) -> Values:
    """The values of a functional group (at most one is given) by keyword, out of its nested sequences."""
    found: Values = {}
    for group in groups:
        for sequence, items in values(group, GROUPS).items():
            for item in items[:1]:
                found.update(values(item, GROUPS[sequence]))
    return found
