"""Progress, and messages of lower layers, as the interface passes them on."""

from __future__ import annotations

from collections.abc import Callable

from lowdose.logger import log

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

WARNING = "warning: "


def no_progress(done: int, total: int) -> None:
    """Ignore progress."""


def log_engine_message(text: str) -> None:
    """Log a sentence of a lower layer, which marks warnings by their first word."""
    if text.startswith(WARNING):
        log.warning("%s", text.removeprefix(WARNING))
    else:
        log.info("%s", text)
