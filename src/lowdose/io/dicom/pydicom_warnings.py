"""Silencing of pydicom and gdcm: lowdose reports what is wrong with a file in its own messages."""

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
_active: list[ExitStack] = []
_depth = 0


@contextmanager
def suppress_pydicom_warnings() -> Iterator[None]:
    """Within the block, disable pydicom's warnings, logging and value validation; gdcm's messages stay off afterwards.

    These are settings of the whole process. Threads that read and write at the same time share them: the first one to
    enter changes them, the last one to leave restores them.
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _active.append(_apply_settings())
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _active.pop().close()


def _apply_settings() -> ExitStack:
    """Change the settings and return a stack that restores them when it is closed."""
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
