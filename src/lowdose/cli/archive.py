"""``lowdose denoise ARCHIVE OUT --ray``: every series of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.cli.terminal import say

if TYPE_CHECKING:
    from lowdose.archive.worker import Settings


def denoise_archive(root: Path, out: Path, settings: Settings, cluster: str, jobs: int, again: bool) -> None:
    """Prints how it goes; what is in quarantine is no failure of the command, and stands in quarantine.csv."""
    from lowdose.archive.run import denoise_archive

    try:
        found = denoise_archive(root, out, settings, cluster, jobs, again, say)
    except KeyboardInterrupt:
        say(f"stopped; what is done is in {out}, and the same command goes on from there")
        raise
    say(
        f"{found.done} series done, {found.quarantined} in quarantine ({out / 'quarantine.csv'}); "
        f"{found.slices} slices in {found.seconds:.0f} s"
    )
