"""Pixel size and slice thickness that a user states for a series whose files do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lowdose.errors import InvalidSetting
from lowdose.image import Geometry, mean_side
from lowdose.io.arrays import ArraySource
from lowdose.io.arrays import planes as planes_of
from lowdose.io.source import Plane, Source

RANGES: Mapping[str, tuple[float, float]] = MappingProxyType({"pixel": (0.05, 5.0), "thickness": (0.05, 20.0)})
"""Size -> smallest and largest value in mm that a CT image can have; what a file states beyond them is a mistake."""
SAME = 0.005
"""Relative difference up to which two sizes are the same: what rounding in a header makes of one."""


def is_possible(name: str, value: float | None) -> bool:
    """Return whether a CT image can have this size, in mm; None is not known, and may be any."""
    low, high = RANGES[name]
    return value is None or low <= value <= high


@dataclass(frozen=True)
class Sizes:
    """Sizes as a user states them. Raises InvalidSetting for values that no CT image has.

    Attributes
    ----------
    pixel : float or None, mm
        Distance of pixels, the same down the rows and along the columns.
    thickness : float or None, mm
        Slice thickness.
    """

    pixel: float | None = None
    thickness: float | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not is_possible(name, value):  # NaN is refused, too
                raise InvalidSetting(f"--{name} {value:g}: must be a number of mm from {low:g} to {high:g}")


UNSTATED = Sizes()


def state_sizes(source: Source, sizes: Sizes) -> None:
    """Put the sizes into an open series where it states none; what it states stays, with a warning where they differ.

    Sizes that no CT image has count as not stated, with a warning. An array of which both are known becomes a regular
    grid of slices that touch each other.
    """
    _forget_impossible(source)
    stated = next((plane.pixel_mm for plane in source.planes if plane.pixel_mm), None)
    if sizes.pixel is not None:
        pixel = (sizes.pixel, sizes.pixel)
        source.planes = [plane if plane.pixel_mm else replace(plane, pixel_mm=pixel) for plane in source.planes]
        source.warnings += _differs("pixel", sizes.pixel, mean_side(stated))
    if sizes.thickness is not None:
        own = source.acquisition.thickness_mm
        source.acquisition = replace(source.acquisition, thickness_mm=own or sizes.thickness)
        source.warnings += _differs("thickness", sizes.thickness, own)
    if isinstance(source, ArraySource) and source.geometry is None and sizes.pixel and sizes.thickness and not stated:
        source.geometry = Geometry((sizes.thickness, sizes.pixel, sizes.pixel))
        source.planes = planes_of(source.geometry, len(source), source.planes[0].shape)
        source.warnings = [text for text in source.warnings if text != source.no_grid]


def with_possible_pixel(plane: Plane) -> Plane:
    """Return the plane, without its pixel size where no CT image has it."""
    return plane if is_possible("pixel", mean_side(plane.pixel_mm)) else replace(plane, pixel_mm=None)


def _forget_impossible(source: Source) -> None:
    """Drop sizes that no CT image has: with them, filters would be as wide as the image, or wider than the memory."""
    possible = [with_possible_pixel(plane) for plane in source.planes]
    wrong = next((one for one, other in zip(source.planes, possible, strict=True) if one is not other), None)
    if wrong is not None:
        source.planes, source.geometry = possible, None
        source.warnings.append(_impossible("pixel", mean_side(wrong.pixel_mm)))
    thickness = source.acquisition.thickness_mm
    if not is_possible("thickness", thickness):
        source.acquisition = replace(source.acquisition, thickness_mm=None)
        source.warnings.append(_impossible("thickness", thickness))


def _impossible(name: str, value: float | None) -> str:
    return f"A {name} of {value:.3g} mm is stated, which no CT image has; it counts as unknown: state it with --{name}."


def _differs(name: str, given: float, stated: float | None) -> list[str]:
    if not stated or abs(given - stated) <= SAME * stated:
        return []
    return [f"--{name} {given:g} is not used: the file states {stated:.4g} mm."]
