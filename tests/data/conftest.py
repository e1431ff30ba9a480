"""Small scans of made-up patients, as DICOM on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lowdose.image import Acquisition, Geometry
from lowdose.io.dicom.derivation import new_uid
from lowdose.io.dicom.new_series import write_new_series
from lowdose.volume import Volume

Scan = Callable[..., np.ndarray]


def body(seed: int, slices: int, size: int, sd: float = 10.0) -> np.ndarray:
    """(z, y, x) float32, whole HU: a disc of tissue in air; the noise depends on ``sd``, the disc on nothing."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2
    disc = np.where(np.hypot(y, x) < size / 3, 40.0, -985.0)
    return np.rint(disc + rng.normal(0, sd, (slices, size, size))).astype(np.float32)


@pytest.fixture
def scan() -> Scan:
    """Writes a series into a folder; returns its HU, (z, y, x)."""

    def write(
        folder: Path,
        patient: str = "P-SECRET",
        seed: int = 0,
        *,
        slices: int = 3,
        size: int = 40,
        sd: float = 10.0,
        study: str | None = None,
        frame: str | None = None,
        kernel: str = "B30f",
        first_mm: float = 0.0,
    ) -> np.ndarray:
        made = Acquisition(kernel, 3.0, 120.0, "MAKER")
        hu = body(seed, slices, size, sd)
        volume = Volume(hu, Geometry((3.0, 0.7, 0.8), (first_mm, 0.0, 0.0)[::-1]), made)
        part = folder.parent / f".{folder.name}.new"
        write_new_series(
            volume,
            part,
            description="body",
            patient=patient,
            study_uid=study,
            frame_uid=frame or (study and f"{study}.7"),
        )
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(part.iterdir()):
            file.rename(folder / f"{seed}-{file.name}")
        part.rmdir()
        return hu

    return write


@pytest.fixture
def pairs(tmp_path: Path, scan: Scan) -> Path:
    """Three patients, L067, L096 and L333, each with a folder 'quarter_1mm' and a folder 'full_1mm'."""
    root = tmp_path / "pairs"
    for number, name in enumerate(("L067", "L096", "L333")):
        study = new_uid()
        for dose, sd in (("quarter", 20.0), ("full", 10.0)):
            scan(root / name / f"{dose}_1mm", name, number, sd=sd, study=study)
    return root
