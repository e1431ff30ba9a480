"""``lowdose denoise ARCHIVE --out OUT --ray``: every series of an archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from lowdose.cli.terminal import say
from lowdose.io.messages import counted

IN_QUARANTINE = 3
"""Exit code of a run that went through and left something in quarantine."""


def denoise_archive(root: Path, out: Path, settings: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Denoise an archive and print how it goes; leave with exit code 3 when something is in quarantine."""
    from lowdose.archive.report import INDEX, QUARANTINE
    from lowdose.archive.run import denoise_archive
    from lowdose.archive.settings import ArchiveOptions, ArchiveSettings

    try:
        summary = denoise_archive(root, out, ArchiveSettings(**settings), ArchiveOptions(**options), say)
    except KeyboardInterrupt:
        say(f"stopped; what is done is in {out}, and the same command goes on from there")
        raise
    say(
        f"{summary.found} found: {summary.done} done, {summary.quarantined} in quarantine, {summary.skipped} skipped; "
        f"{counted(summary.slices, 'slice')} in {summary.seconds:.0f} s"
    )
    say(f"{out / INDEX} says where each result lies")
    if summary.quarantined:
        say(f"{out / QUARANTINE} says what is wrong with those in quarantine; repair them and add --retry")
        raise typer.Exit(IN_QUARANTINE)
