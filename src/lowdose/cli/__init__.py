"""The command line: each command parses, calls one function of `lowdose.api`, and prints.

Exit codes: 0 done, 2 something is wrong with what the user gave, 1 our fault, 3 an archive was gone through and
something of it is in quarantine, 130 interrupted by Ctrl-C, SIGTERM or SIGHUP.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence

import typer

from lowdose.cli.adapt_command import adapt
from lowdose.cli.data_command import data_app
from lowdose.cli.demo_command import demo
from lowdose.cli.denoise_command import denoise
from lowdose.cli.detect_command import detect
from lowdose.cli.evaluate_command import evaluate
from lowdose.cli.explain_command import explain
from lowdose.cli.info_command import info
from lowdose.cli.models_command import models_app
from lowdose.cli.simulate_command import simulate
from lowdose.cli.terminal import INTERRUPTED, logging_to_terminal
from lowdose.cli.train_command import TrainCommand, train
from lowdose.errors import InvalidSetting, LowDoseError
from lowdose.version import __version__

OK, OUR_FAULT, USER_INPUT = 0, 1, 2

app = typer.Typer(
    help="Low-dose CT denoising. Research use only, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (denoise, detect, evaluate, explain, simulate, adapt, demo, info):
    app.command()(command)
app.command(cls=TrainCommand)(train)
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lowdose {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; never with a traceback for what a user did."""
    # A job scheduler's SIGTERM and a closed terminal must clean up as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    code = run(arguments)
    gc.freeze()  # with PyTorch loaded, the interpreter would search for half a second for cycles as it ends
    sys.exit(code)


def refuse_empty(arguments: Sequence[str]) -> None:
    """Raise InvalidSetting for empty text, which would stand for the current folder: a variable that is not set."""
    for place, argument in enumerate(arguments):
        option, sign, value = argument.partition("=")
        if not argument.strip() or (option.startswith("--") and sign and not value.strip()):
            before = option if sign else arguments[place - 1] if place else "lowdose"
            raise InvalidSetting(f"nothing is given after '{before}': empty text; for the current folder give '.'")


def with_values(arguments: Sequence[str]) -> list[str]:
    """Give ``--ray`` that stands alone the address that it then means: Typer has no optional values."""
    completed: list[str] = []
    for place, argument in enumerate(arguments):
        completed.append(argument)
        following = arguments[place + 1 : place + 2]
        if argument == "--ray" and (not following or following[0].startswith("-")):
            completed.append("local")
    return completed


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    try:
        with logging_to_terminal():
            given = sys.argv[1:] if arguments is None else arguments
            refuse_empty(given)
            app(with_values(given))
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("lowdose: interrupted", file=sys.stderr)
        return end.code if isinstance(end.code, int) else OK
    except LowDoseError as error:
        print(f"lowdose: {error}", file=sys.stderr)
        return USER_INPUT
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"lowdose: {where}{error.strerror or error}", file=sys.stderr)
        return USER_INPUT
    except Exception as error:
        return _our_fault(error)
    return OK


def _our_fault(error: Exception) -> int:
    if os.environ.get("LOWDOSE_TRACEBACK"):
        traceback.print_exc()
    else:
        print(
            f"lowdose: internal error ({type(error).__name__}: {error}). This is our fault; "
            "set LOWDOSE_TRACEBACK=1 and report what it prints",
            file=sys.stderr,
        )
    return OUR_FAULT
