"""``lowdose denoise ARCHIVE --out OUT --ray``: every series of an archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowdose.cli.terminal import say


def denoise_archive(root: Path, out: Path, settings: Mapping[str, Any], cluster: str, jobs: int, retry: bool) -> None:
    """Denoise an archive and print how it goes.

    Series in quarantine are no failure of the command; quarantine.csv lists them.
    """
    from lowdose.archive.run import denoise_archive
    from lowdose.archive.worker import ArchiveSettings

    try:
        summary = denoise_archive(root, out, ArchiveSettings(**settings), cluster, jobs, retry, say)
    except KeyboardInterrupt:
        say(f"stopped; what is done is in {out}, and the same command goes on from there")
        raise
    say(
        f"{summary.done} series done, {summary.quarantined} in quarantine ({out / 'quarantine.csv'}); "
        f"{summary.slices} slices in {summary.seconds:.0f} s"
    )
