"""The scan in ``tests/fixtures/ct``, which ``make_ct_fixture.py`` beside this file wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from support.make_ct_fixture import FIXTURE


class CTPair(NamedTuple):
    """Folders of DICOM slices of one body at full dose and at a quarter of it."""

    full: Path
    quarter: Path


CT_PAIR = CTPair(FIXTURE / "full", FIXTURE / "quarter")


def shortened(folder: Path, slices: int = 3) -> CTPair:
    """Copy slices from the middle to ``folder``, for what takes seconds a slice and needs no more."""
    for name in CTPair._fields:
        (folder / name).mkdir(parents=True)
        for path in sorted(getattr(CT_PAIR, name).iterdir())[1 : 1 + slices]:
            shutil.copy(path, folder / name)
    return CTPair(folder / "full", folder / "quarter")
