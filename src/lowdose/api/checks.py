"""Checks of what a Python caller may give and the command line cannot: values of another type."""

from __future__ import annotations

import math
from numbers import Integral, Real
from os import PathLike
from pathlib import Path

from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.io.atomic import refuse_existing_folder
from lowdose.io.source import Rescale

MAX_SLICES = 12
"""Slices whose words are read by default: each takes seconds."""


def path_of(given: str | PathLike[str], name: str) -> Path:
    """Return what was given for ``name`` as a path; raise NothingToRead for empty text, which is no path."""
    if not str(given):
        raise NothingToRead(f"{name}: an empty path; give a folder or a file, '.' for the current folder")
    return Path(given)


def free_folder(out: str | PathLike[str] | None) -> Path | None:
    """Return the path of a new folder that is to be written; None for a result that stays in memory.

    Raises OutputRefused, before any work, when the folder exists or cannot be made.
    """
    if out is None:
        return None
    folder = path_of(out, "out")
    refuse_existing_folder(folder)
    return folder


def check_numbers(**values: object) -> None:
    """Raise InvalidSetting for the first value that is no real number; None stands for an option left out."""
    _check(Real, "a number", values)


def check_whole_numbers(**values: object) -> None:
    """Raise InvalidSetting for the first value that is no whole number; None stands for an option left out."""
    _check(Integral, "a whole number", values)


def check_rescale(rescale: Rescale | None) -> None:
    """Raise InvalidSetting for a slope and intercept that give no HU."""
    if rescale is None:
        return
    numbers = list(rescale) if isinstance(rescale, (tuple, list)) else []
    if len(numbers) != 2 or not all(isinstance(value, Real) and math.isfinite(value) for value in numbers):
        raise InvalidSetting(f"rescale {rescale!r}: must be two numbers, slope and intercept, as in (1, -1024)")
    if numbers[0] == 0:
        raise InvalidSetting(f"--rescale {numbers[0]:g},{numbers[1]:g}: a slope of 0 gives every pixel the same HU")


def check_slices(slices: int) -> None:
    """Raise InvalidSetting for a negative number of slices."""
    if slices < 0:
        raise InvalidSetting(f"{slices} slices to read: give a number from 1, or 0 for all")


def _check(kind: type, needed: str, values: dict[str, object]) -> None:
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            option = name.replace("_", "-")
            raise InvalidSetting(f"--{option} {value!r}: must be {needed}, not a {type(value).__name__}")
