"""``lowdose adapt``: a model for one scanner from its low-dose series alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.terminal import INTERRUPTED, say


def adapt(
    series: Annotated[
        list[Path], typer.Argument(metavar="SERIES", help="Low-dose series of one scanner and protocol.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs, the digital patients and the report.")],
    model: Annotated[str, typer.Option(help="Model to start from, by name or path.")] = "fast",
    normal: Annotated[
        Path | None,
        typer.Option(help="Folder with series of normal dose, of any scanner, instead of digital patients."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Add the adapted model to yours ('lowdose models') under this name.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Minutes for the whole adaptation.")] = 60.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Adapt a model to one scanner, from its low-dose series alone.

    The noise of the series is learned and put on digital patients, on which the model is trained further. Ctrl-C saves;
    the same command goes on from there.
    """
    from lowdose import api

    adapted = api.adapt(series, out, model=model, normal=normal, name=name, minutes=minutes, device=device)
    if not adapted.complete:
        say(f"stopped early; the same command goes on (state in {out})")
        raise typer.Exit(INTERRUPTED)
    for line in adapted.lines:
        say(line)
    say(str(adapted.weights))
