"""What the user sees while a command works: plain lines and a progress bar, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
MOST_LINES = 20
INTERRUPTED = 130
"""Exit code of what was stopped by a signal, as shells have it."""


def say(text: str) -> None:
    console.print(text)


def say_all(prefix: str, lines: list[str]) -> None:
    """Each line, up to a screenful; the rest are counted."""
    for line in lines[:MOST_LINES]:
        say(f"{prefix}: {line}")
    if len(lines) > MOST_LINES:
        say(f"{prefix}: and {len(lines) - MOST_LINES} more")


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar; the function it gives takes the number done so far."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
