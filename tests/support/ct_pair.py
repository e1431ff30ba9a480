"""The scan in ``tests/fixtures/ct``, which ``make_ct_fixture.py`` beside this file wrote."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from support.make_ct_fixture import FIXTURE


class CTPair(NamedTuple):
    """Folders of DICOM slices of one body at full dose and at a quarter of it."""

    full: Path
    quarter: Path


CT_PAIR = CTPair(FIXTURE / "full", FIXTURE / "quarter")
