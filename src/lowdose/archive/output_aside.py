"""Keeping what a library prints off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from lowdose.io.atomic import output_errors

Say = Callable[[str], None]
STDERR = 2


@contextmanager
def output_aside(file: Path, say: Say) -> Iterator[Say]:
    """Append what this process prints to ``file``, from Python or past it, for as long as the block lasts.

    Yields ``say`` as it was: what it prints on standard error still gets there.
    """
    with ExitStack() as stack:
        with output_errors(file):
            log = stack.enter_context(file.open("a", buffering=1, errors="backslashreplace"))
        user: Any = sys.stderr
        if _writes_to(user, STDERR):
            user.flush()
            user = stack.enter_context(os.fdopen(os.dup(STDERR), "w", buffering=1, errors="backslashreplace"))
        kept = os.dup(STDERR)
        stack.callback(os.close, kept)
        stack.callback(os.dup2, kept, STDERR)
        os.dup2(log.fileno(), STDERR)

        def still_say(text: str) -> None:
            with redirect_stderr(user):
                say(text)

        with redirect_stdout(log), redirect_stderr(log):
            yield still_say


def _writes_to(stream: Any, descriptor: int) -> bool:
    try:
        return bool(stream.fileno() == descriptor)
    except (AttributeError, OSError, ValueError):  # a stream in memory
        return False
