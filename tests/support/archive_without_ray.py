"""A run over an archive whose only worker is this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lowdose.archive import distribute, run
from lowdose.archive.report import ArchiveSummary
from lowdose.archive.settings import ArchiveOptions, ArchiveSettings
from lowdose.archive.worker import Worker


def denoise_here(root: Path, out: Path, settings: ArchiveSettings, said: list[str], **options: Any) -> ArchiveSummary:
    def distribute_here(root: Path, ledger: Any, settings: ArchiveSettings, _: Any, todo: Any, __: Any) -> int:
        threads = torch.get_num_threads()
        try:
            work = Worker(str(root), str(ledger.out), settings, lambda _: None)
        finally:
            torch.set_num_threads(threads)
        return sum(work(row)["slices"] for row in todo)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distribute, "distribute", distribute_here)
        return run.denoise_archive(root, out, settings, ArchiveOptions(**options), said.append)
