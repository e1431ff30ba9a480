"""The logger ``lowdose``: silent but for warnings unless a program configures it."""

from __future__ import annotations

import logging
from collections.abc import Iterable

log = logging.getLogger("lowdose")

MAX_LINES = 20
"""Lines of one kind that are logged; the rest are counted."""


def log_lines(level: int, lines: Iterable[str], prefix: str = "") -> None:
    """Log each line, up to MAX_LINES of them, and how many more there are."""
    messages = list(lines)
    for line in messages[:MAX_LINES]:
        log.log(level, "%s%s", prefix, line)
    if len(messages) > MAX_LINES:
        log.log(level, "%sand %d more", prefix, len(messages) - MAX_LINES)
