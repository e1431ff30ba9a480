"""Memory of images, kept for the next image instead of being given back to the system and asked for again."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Names of settings of the GNU C library (mallopt(3))."""

KEPT = 1 << 30
"""Bytes of free memory from which some is given back."""


def keep_for_reuse() -> bool:
    """Makes this process keep freed memory, up to KEPT; False where the C library cannot be told.

    Blocks of more than 32 MB, as every layer's result is, are mapped anew at each use by default, and the kernel fills
    each of their pages with zeros first: a fifth of the time of RED-CNN, half of that of ESAU-Net. The price is memory
    that lies broken between blocks of different sizes: a tenth of RED-CNN's peak, two thirds of ESAU-Net's. For the
    command line, whose process is its own; a library has no business to decide this for a program.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(*setting) == 1 for setting in ((MMAP_MAX, 0), (TRIM_THRESHOLD, KEPT), (ARENA_MAX, 1)))
