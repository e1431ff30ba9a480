"""One slice's header values: what turns its stored numbers into HU, where it lies, what is padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from lowdose.errors import NotCT
from lowdose.image import Vector
from lowdose.io.dicom.pixels import PixelFormat
from lowdose.io.dicom.values import Values, number, numbers, text
from lowdose.io.source import Plane

LOSSY = {JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless}
HU_TYPES = {"", "HU", "HU_MOD"}


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One slice: where its pixels are, how they become HU, and where it lies.

    frame counts from 0 within its file. tilt in degrees, thickness in mm. numbers: acquisition, instance.
    step_mm: what the header says lies between slices.
    """

    path: Path
    frame: int
    pixels: PixelFormat
    plane: Plane
    slope: float
    intercept: float
    padding: tuple[int, int] | None
    lossy: bool
    thickness_mm: float | None
    tilt: float
    numbers: tuple[int, int]
    sop_uid: str
    step_mm: float | None = None


def read_slice_header(path: Path, frame: int, form: PixelFormat, header: Values, own: Values) -> SliceHeader:
    """One slice from the file's header and the frame's ``own`` values. Raises NotCT when it is not in HU."""
    slope, intercept = rescale_factors(path, own)
    padding = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    return SliceHeader(
        path,
        frame,
        form,
        read_plane(own, (form.rows, form.columns)),
        slope,
        intercept,
        None if padding[0] is None else (padding[0], padding[0] if padding[1] is None else padding[1]),
        form.syntax in LOSSY or header.get("LossyImageCompression") == "01",
        number(own.get("SliceThickness")),
        number(header.get("GantryDetectorTilt")) or 0.0,
        (int(number(own.get("AcquisitionNumber")) or 0), int(number(own.get("InstanceNumber")) or 0)),
        header["SOPInstanceUID"],
        number(own.get("SpacingBetweenSlices")),
    )


def rescale_factors(path: Path, own: Values) -> tuple[float, float]:
    """(slope, intercept) from stored numbers to HU. Raises NotCT naming what is missing or not HU."""
    if own.get("ModalityLUTSequence"):
        raise NotCT(f"{path}: stored through a modality look-up table, not as a linear scale of HU")
    kind = text(own.get("RescaleType")).upper()
    if kind not in HU_TYPES:
        meaning = "unspecified units" if kind == "US" else "not HU"
        raise NotCT(f"{path}: RescaleType is '{kind}' ({meaning}); only images in HU can be used")
    slope, intercept = number(own.get("RescaleSlope")), number(own.get("RescaleIntercept"))
    if slope is None or intercept is None:
        missing = " and ".join(n for n, v in (("RescaleSlope", slope), ("RescaleIntercept", intercept)) if v is None)
        raise NotCT(f"{path}: {missing} missing or not a number, so the pixels cannot be turned into HU")
    if slope == 0.0:
        raise NotCT(f"{path}: RescaleSlope is 0, so the pixels cannot be turned into HU")
    return slope, intercept


def read_plane(own: Values, shape: tuple[int, int]) -> Plane:
    """Where a slice lies (position along the normal is known only among its neighbours)."""
    spacing, corner = numbers(own.get("PixelSpacing"), 2), numbers(own.get("ImagePositionPatient"), 3)
    turn = numbers(own.get("ImageOrientationPatient"), 6)
    right, down = (_unit(turn[:3]), _unit(turn[3:])) if turn else (None, None)
    return Plane(
        shape,
        (spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        (corner[0], corner[1], corner[2]) if corner else None,
        (down, right) if down and right else None,
        mas=_mas(own),
    )


def _mas(own: Values) -> float | None:
    """Effective mAs: current times time over pitch; else what the header calls exposure, which some makers misuse."""
    stated = [number(own.get(keyword)) for keyword in ("XRayTubeCurrent", "ExposureTime")]
    if all(value is not None and value > 0 for value in stated):
        milliampere, milliseconds = (value for value in stated if value is not None)
        pitch = number(own.get("SpiralPitchFactor"))
        return milliampere * milliseconds / 1000 / (pitch if pitch and pitch > 0 else 1.0)
    exposure = number(own.get("Exposure")) or number(own.get("ExposureInmAs"))
    return exposure if exposure and exposure > 0 else None


def _unit(vector: Sequence[float]) -> Vector | None:
    length = math.sqrt(sum(x * x for x in vector))
    return (vector[0] / length, vector[1] / length, vector[2] / length) if length > 0 else None
