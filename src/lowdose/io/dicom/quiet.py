"""pydicom without its chatter: what is wrong with a file is told to the user in our own words, or not at all."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config

try:
    import gdcm  # type: ignore[import-untyped]
except ImportError:  # pragma: no cover - a platform without the wheel still reads uncompressed files
    gdcm = None


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block: no warnings and no value validation by pydicom. gdcm's own messages stay off."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    if gdcm is not None:
        gdcm.Trace.WarningOff()
        gdcm.Trace.ErrorOff()
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
