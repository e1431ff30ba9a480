"""Compiled loops: without the GIL, kept on disk between runs wherever there is a place for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(*, fastmath: bool = False) -> Callable[[Loop], Loop]:
    """Decorator. fastmath: sums may be taken in any order, which is faster; not where bytes must be the same."""

    def decorate(function: Loop) -> Loop:
        try:
            return cast(Loop, njit(nogil=True, cache=True, error_model="numpy", fastmath=fastmath)(function))
        except RuntimeError:
            # Neither the package's folder nor the user's home can be written to: compile anew in each process.
            return cast(Loop, njit(nogil=True, error_model="numpy", fastmath=fastmath)(function))

    return decorate
