"""Lowest priority for a process that trains or validates in the background."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1


def lowest_priority() -> None:
    """Take the lowest priority, and be asked to end when the parent dies; for ``preexec_fn`` of a new session.

    Linux shares the processor between sessions first (autogroups), and the nice value counts within one only, so the
    session is made nice, too.
    """
    os.nice(19)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
