"""Messages of the interface: the logger ``lowdose``, silent but for warnings unless a program configures it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

log = logging.getLogger("lowdose")

MAX_LINES = 20
"""Lines of one kind that are logged; the rest are counted."""

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

WARNING = "warning: "


def no_progress(done: int, total: int) -> None:
    """Ignore progress."""


def log_lines(level: int, lines: Iterable[str], prefix: str = "") -> None:
    """Log each line, up to MAX_LINES of them, and how many more there are."""
    messages = list(lines)
    for line in messages[:MAX_LINES]:
        log.log(level, "%s%s", prefix, line)
    if len(messages) > MAX_LINES:
        log.log(level, "%sand %d more", prefix, len(messages) - MAX_LINES)


def log_engine_message(text: str) -> None:
    """Log a sentence of a lower layer, which marks warnings by their first word."""
    if text.startswith(WARNING):
        log.warning("%s", text.removeprefix(WARNING))
    else:
        log.info("%s", text)
