"""``lowdose info``: what is installed, and what is missing at which cost."""

from __future__ import annotations

import typer


def info() -> None:
    """Show versions, processor, engines and optional parts, and how to install what is missing."""
    from lowdose import api

    for line in api.info().lines:
        typer.echo(line)
