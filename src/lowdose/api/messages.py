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


def counting_on(progress: Progress, before: int, count: int) -> Callable[[int], None]:
    """Return what reports, of ``count`` slices, those that are done since ``before`` were."""
    return lambda done: progress(before + done, count)
