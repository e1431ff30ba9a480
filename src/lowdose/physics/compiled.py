"""Decorator that compiles loops with Numba: they release the GIL and are cached on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(*, fastmath: bool = False) -> Callable[[Loop], Loop]:
    """Return a decorator that compiles a loop with Numba.

    With ``fastmath`` the compiler may reorder sums, which is faster. Do not use it where results must be the same to
    the last bit.
    """

    def decorate(function: Loop) -> Loop:
        try:
            return cast(Loop, njit(nogil=True, cache=True, error_model="numpy", fastmath=fastmath)(function))
        except RuntimeError:
            # Neither the package folder nor the user's home is writable, so each process compiles for itself.
            return cast(Loop, njit(nogil=True, error_model="numpy", fastmath=fastmath)(function))

    return decorate
