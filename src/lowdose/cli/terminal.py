"""What a user sees while a command works: plain lines and a progress bar, on standard error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lowdose.deprecations import warn_deprecated
from lowdose.errors import InvalidSetting
from lowdose.logger import log

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
Pixel = Annotated[
    float | None, typer.Option(metavar="MM", help="Pixel size of a series that states none, such as NPY, 0.05 to 5.")
]
Thickness = Annotated[
    float | None,
    typer.Option(metavar="MM", help="Slice thickness of a series that states none, such as NPY, 0.05 to 20."),
]
NetworkFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.py", help="Python file of yours that defines the network of a model; it is executed."),
]
WordVocabulary = Annotated[
    str | None,
    typer.Option(
        help="Which words may appear: shown (the default: those of anatomy and imaging, where they are certain, else "
        "'no word') or all (the nearest word of the whole vocabulary, for research)."
    ),
]
INTERRUPTED = 130
"""Exit code of what was stopped by a signal, as shells have it."""


def say(text: str) -> None:
    """Print a line on standard error."""
    console.print(text)


class TerminalHandler(logging.Handler):
    """Prints what the library logs; warnings are marked."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        say(f"{mark}{record.getMessage()}")


@contextmanager
def logging_to_terminal() -> Iterator[None]:
    """Print what the library logs for as long as the block lasts."""
    handler, before, propagate = TerminalHandler(), log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = propagate


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar from the first call on of the function that it gives, which takes (done, total)."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task(title, total=None)

    def advance(done: int, total: int) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def refuse_given(way_out: str, **given: object) -> None:
    """Raise InvalidSetting for the first option that was given although it means nothing here."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise InvalidSetting(f"--{name.replace('_', '-')}: {way_out}")


def output_of(out: Path | None, positional: Path | None, name: str = "OUTPUT") -> Path:
    """Return where a command writes: ``--out``, or a last argument, as it was spelled before.

    Raises InvalidSetting when neither or both were given.
    """
    if out is not None and positional is not None:
        raise InvalidSetting(f"{positional} and --out {out}: give the output once, with --out")
    if out is None and positional is None:
        raise InvalidSetting("--out: say where the result is to go, for example --out RESULT")
    if out is None:
        assert positional is not None
        warn_deprecated(f"{name} as an argument", f"--out {positional}")
        return positional
    return out
