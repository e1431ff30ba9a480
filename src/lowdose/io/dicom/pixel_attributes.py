"""Attributes of a derived image that describe its pixels: format, scale, smallest and largest value."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import format_number_as_ds

from lowdose.io.dicom.derivation import put
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.pixels import PixelFormat
from lowdose.io.dicom.rescale import StoredPixels

STATED = """
Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation RescaleSlope RescaleIntercept RescaleType
"""
"""Attributes of the source that the format and the scale of the derived image depend on."""
EXTREMES = ("SmallestImagePixelValue", "LargestImagePixelValue")


def state_format(header: Any, form: PixelFormat) -> None:
    """State the format by which the pixels were read, where the header does not, or in another representation."""
    for keyword, value in {
        "Rows": form.rows,
        "Columns": form.columns,
        "BitsAllocated": form.allocated,
        "BitsStored": form.bits,
        "HighBit": form.high_bit,
        "PixelRepresentation": int(form.signed),
    }.items():
        element = header.get_item(keyword)
        if element is None or element.VR not in (None, "US") or element.value in (None, b""):
            put(header, keyword, value)


def state_scale(header: Any, image: SliceHeader) -> None:
    """State the scale by which the pixels were read, where the header does not, or in more than one value."""
    if not image.own_scale:
        put(header, "RescaleType", "HU")
    for keyword, value in (("RescaleSlope", image.slope), ("RescaleIntercept", image.intercept)):
        if not image.own_scale or isinstance(header.get(keyword), MultiValue):
            put(header, keyword, format_number_as_ds(float(value)))


def state_shared_scale(header: Any, image: SliceHeader) -> None:
    """State the scale by which the pixels were read for all frames, in place of what the frames state."""
    for group in header.get("PerFrameFunctionalGroupsSequence") or []:
        if "PixelValueTransformationSequence" in group:
            del group.PixelValueTransformationSequence
    item = Dataset()
    item.RescaleSlope, item.RescaleIntercept, item.RescaleType = image.slope, image.intercept, "HU"
    header.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = Sequence([item])


def refresh_extremes(header: Any, values: StoredPixels) -> None:
    """Update the smallest and largest pixel value where the header states them."""
    for keyword, value in (("SmallestImagePixelValue", values.min()), ("LargestImagePixelValue", values.max())):
        if keyword in header:
            element = header[keyword]
            element.VR = "SS" if values.dtype.kind == "i" else "US"
            element.value = int(np.clip(value, -32768, 65535))
