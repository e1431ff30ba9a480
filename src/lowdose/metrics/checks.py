"""Checks that metrics of single slices share."""

from __future__ import annotations

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import HU, Mask


def check_slice(hu: HU, valid: Mask, pixel_mm: float, quantity: str) -> None:
    """Check the arguments of a metric of one slice, which messages call ``quantity``.

    Raises GeometryMismatch if ``hu`` is not two-dimensional or ``valid`` has another shape, InvalidSetting if
    ``pixel_mm`` is not positive.
    """
    if hu.ndim != 2 or hu.shape != valid.shape:
        raise GeometryMismatch(f"{quantity} needs a slice and its mask, not {hu.shape} and {valid.shape}")
    if not pixel_mm > 0:
        raise InvalidSetting(f"pixel size {pixel_mm} mm: needs a positive number")
