"""pydicom without its chatter: what is wrong with a file is told to the user in our own words, or not at all."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pydicom import config

try:
    import gdcm  # type: ignore[import-untyped]
except ImportError:  # pragma: no cover - a platform without the wheel still reads uncompressed files
    gdcm = None


_lock = threading.Lock()
_inside: list[ExitStack] = []
_depth = 0


@contextmanager
def suppress_pydicom_warnings() -> Iterator[None]:
    """Within the block: no warnings and no value validation by pydicom. gdcm's own messages stay off.

    These are settings of the whole process. Threads that read and write at the same time share them: the first to come
    makes them, the last to leave takes them back.
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _inside.append(_hushed())
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _inside.pop().close()


def _hushed() -> ExitStack:
    """Makes the settings; closing it takes them back."""
    stack, logger = ExitStack(), logging.getLogger("pydicom")
    stack.callback(setattr, logger, "disabled", logger.disabled)
    logger.disabled = True
    if gdcm is not None:
        gdcm.Trace.WarningOff()
        gdcm.Trace.ErrorOff()
    stack.enter_context(warnings.catch_warnings())
    stack.enter_context(config.disable_value_validation())
    warnings.simplefilter("ignore")
    return stack
