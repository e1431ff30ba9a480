"""Checks of what a Python caller may give and the command line cannot: values of another type."""

from __future__ import annotations

from numbers import Integral, Real

from lowdose.errors import InvalidSetting


def check_numbers(**values: object) -> None:
    """Raise InvalidSetting for the first value that is no real number; None stands for an option left out."""
    _check(Real, "a number", values)


def check_whole_numbers(**values: object) -> None:
    """Raise InvalidSetting for the first value that is no whole number; None stands for an option left out."""
    _check(Integral, "a whole number", values)


def _check(kind: type, needed: str, values: dict[str, object]) -> None:
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            option = name.replace("_", "-")
            raise InvalidSetting(f"--{option} {value!r}: must be {needed}, not a {type(value).__name__}")
