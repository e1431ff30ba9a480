"""Header values of one slice: its conversion to HU, its location and its padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from lowdose.errors import NotCT
from lowdose.image import Vector
from lowdose.io.dicom.pixels import PixelFormat
from lowdose.io.dicom.plain_values import Values, integer, number, numbers, text
from lowdose.io.messages import shown
from lowdose.io.source import Plane, Rescale

LOSSY = {JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless}
"""Transfer syntaxes that may lose information."""
HU_TYPES = {"", "hu", "humod", "hounsfield", "hounsfieldunit", "hounsfieldunits"}
"""Letters of the values of RescaleType that mean HU; the attribute is often absent."""
STATE_THEM = "state them to denoise or simulate with --rescale SLOPE,INTERCEPT"
"""Advice for images that do not say what their HU are."""


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """Header values of one slice.

    Attributes
    ----------
    path : Path
        The file that holds the slice.
    frame : int
        Number of the frame in the file, from 0.
    pixels : PixelFormat
        How the pixels are stored.
    plane : Plane
        Where the slice lies.
    slope, intercept : float
        HU = stored * slope + intercept.
    padding : tuple of 2 int or None
        First and last stored value declared as padding.
    lossy : bool
        Whether the pixels were compressed with loss.
    thickness_mm : float or None, mm
        Slice thickness.
    tilt : float, degrees
        Gantry tilt.
    numbers : tuple of 2 int
        Acquisition number and instance number.
    sop_uid : str
        SOPInstanceUID.
    step_mm : float or None, mm
        Spacing between slices as the header states it.
    own_scale : bool
        Whether slope and intercept are the header's; else the user stated them.
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
    own_scale: bool = True


def read_slice_header(
    path: Path,
    frame: int,
    form: PixelFormat,
    header: Values,
    frame_values: Values,
    rescale: Rescale | None = None,
) -> SliceHeader:
    """Return one slice from the file's ``header`` and the values that hold for its frame.

    Both are the same in a file of a single frame. ``rescale`` is for a slice that states no scale of its own. Raises
    NotCT when the slice is not in HU.
    """
    try:
        (slope, intercept), own_scale = rescale_factors(path, frame_values), True
    except NoScale:
        if rescale is None:
            raise
        (slope, intercept), own_scale = rescale, False
    padding = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    return SliceHeader(
        path,
        frame,
        form,
        read_plane(frame_values, (form.rows, form.columns)),
        slope,
        intercept,
        None if padding[0] is None else (padding[0], padding[0] if padding[1] is None else padding[1]),
        form.syntax in LOSSY or header.get("LossyImageCompression") == "01",
        number(frame_values.get("SliceThickness")),
        number(header.get("GantryDetectorTilt")) or 0.0,
        (integer(frame_values.get("AcquisitionNumber")) or 0, integer(frame_values.get("InstanceNumber")) or 0),
        header["SOPInstanceUID"],
        number(frame_values.get("SpacingBetweenSlices")),
        own_scale,
    )


class NoScale(NotCT):
    """Slice whose header does not say how its values become HU."""


def rescale_factors(path: Path, frame_values: Values) -> tuple[float, float]:
    """Return (slope, intercept) from stored values to HU; raise NotCT naming what is missing or not HU."""
    if frame_values.get("ModalityLUTSequence"):
        raise NotCT(f"{path}: stored through a modality look-up table, not as a linear scale of HU")
    rescale_type = text(frame_values.get("RescaleType"))
    if rescale_type.upper() == "US":
        raise NoScale(f"{path}: RescaleType is 'US' (unspecified units); if they are HU, {STATE_THEM}")
    if "".join(letter for letter in rescale_type.lower() if letter.isalpha()) not in HU_TYPES:
        raise NotCT(
            f"{path}: RescaleType is '{shown(rescale_type)}' (not HU); give the images of this scan that are in HU"
        )
    stated = {keyword: frame_values.get(keyword) for keyword in ("RescaleSlope", "RescaleIntercept")}
    slope, intercept = (number(value) for value in stated.values())
    if slope is None or intercept is None or slope == 0.0:
        said = " and ".join(_describe(keyword, value) for keyword, value in stated.items()
                            if number(value) is None or (keyword, number(value)) == ("RescaleSlope", 0.0))  # fmt: skip
        raise NoScale(f"{path}: {said}, so the pixels cannot be turned into HU; {STATE_THEM}")
    return slope, intercept


def _describe(keyword: str, value: Any) -> str:
    if value is None:
        return f"{keyword} missing or empty"
    if number(value) is not None:
        return f"{keyword} is {number(value):g}"
    return f"{keyword} is '{shown(chr(92).join(value) if isinstance(value, list) else value)}'"


def read_plane(frame_values: Values, shape: tuple[int, int]) -> Plane:
    """Return where a slice lies.

    Its position along the normal stays None: the normal is that of the whole series.
    """
    spacing, corner = numbers(frame_values.get("PixelSpacing"), 2), numbers(frame_values.get("ImagePositionPatient"), 3)
    orientation = numbers(frame_values.get("ImageOrientationPatient"), 6)
    right, down = (_unit_vector(orientation[:3]), _unit_vector(orientation[3:])) if orientation else (None, None)
    return Plane(
        shape,
        (spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        (corner[0], corner[1], corner[2]) if corner else None,
        (down, right) if down and right else None,
        mas=_mas(frame_values),
    )


def _mas(frame_values: Values) -> float | None:
    """Return the effective mAs: tube current times exposure time divided by pitch.

    Otherwise the exposure that the header states, which some manufacturers misuse.
    """
    stated = [number(frame_values.get(keyword)) for keyword in ("XRayTubeCurrent", "ExposureTime")]
    if all(value is not None and value > 0 for value in stated):
        milliampere, milliseconds = (value for value in stated if value is not None)
        pitch = number(frame_values.get("SpiralPitchFactor"))
        return milliampere * milliseconds / 1000 / (pitch if pitch and pitch > 0 else 1.0)
    exposure = number(frame_values.get("Exposure")) or number(frame_values.get("ExposureInmAs"))
    return exposure if exposure and exposure > 0 else None


def _unit_vector(vector: Sequence[float]) -> Vector | None:
    length = math.sqrt(sum(x * x for x in vector))
    return (vector[0] / length, vector[1] / length, vector[2] / length) if length > 0 else None
