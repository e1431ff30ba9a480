"""``lowdose denoise ARCHIVE OUT --ray``: every series of an archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowdose.cli.terminal import say


def denoise_archive(root: Path, out: Path, settings: Mapping[str, Any], cluster: str, jobs: int, again: bool) -> None:
    """Prints how it goes; what is in quarantine is no failure of the command, and stands in quarantine.csv."""
    from lowdose.archive.run import denoise_archive
    from lowdose.archive.worker import ArchiveSettings

    try:
        found = denoise_archive(root, out, ArchiveSettings(**settings), cluster, jobs, again, say)
    except KeyboardInterrupt:
        say(f"stopped; what is done is in {out}, and the same command goes on from there")
        raise
    say(
        f"{found.done} series done, {found.quarantined} in quarantine ({out / 'quarantine.csv'}); "
        f"{found.slices} slices in {found.seconds:.0f} s"
    )
