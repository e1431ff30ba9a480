"""Reuse of freed memory for the next image, instead of returning it to the system and requesting it again."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Numbers of parameters of mallopt(3) in the GNU C library."""

MAX_KEPT_BYTES = 1 << 30
"""Bytes of free memory above which the C library returns some to the system."""

_kept = [False]


def is_kept() -> bool:
    """Return whether this process keeps freed memory."""
    return _kept[0]


def release_unused() -> None:
    """Return freed memory to the system, where the C library can."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def keep_for_reuse() -> bool:
    """Make this process keep freed memory, up to MAX_KEPT_BYTES; return False where the C library does not support it.

    By default, blocks of more than 32 MB, such as the output of every layer, are mapped anew at each use, and the
    kernel first fills each of their pages with zeros. That takes a fifth of the time of RED-CNN and half of that of
    ESAU-Net. The price is fragmentation between blocks of different sizes: a tenth of RED-CNN's peak memory, two thirds
    of ESAU-Net's. Meant for the command line, which owns its process; a library must not decide this for a program.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, MAX_KEPT_BYTES), (ARENA_MAX, 1))
    _kept[0] = all(mallopt(*setting) == 1 for setting in settings)
    return _kept[0]
