"""An archive of small series, good and broken ones, and the model that denoises them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydicom import dcmread

from lowdose.hounsfield import Scale
from lowdose.image import Geometry
from lowdose.io.dicom import new_series
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.volume import Volume


def model(path: Path) -> Path:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale())
    torch.nn.init.normal_(denoiser.network.out.weight, std=0.05)
    checkpoint.save_denoiser(path, denoiser, TrainingDomain(), {})
    return path


@dataclass
class Archive:
    """root, and the UIDs of the series that can be denoised and of those that cannot."""

    root: Path
    good: dict[str, int]
    bad: set[str]


def series(folder: Path, seed: int, slices: int = 3) -> str:
    """Writes one, a noisy disc of soft tissue; returns its UID."""
    y, x = np.mgrid[-32:32, -32:32]
    disc = np.where(y**2 + x**2 < 26**2, 50.0, -1000.0)
    hu = disc + np.random.default_rng(seed).normal(0, 20.0, (slices, 64, 64))
    volume = Volume(hu.astype(np.float32), Geometry((3.0, 3.0, 3.0)))
    new_series.write_new_series(volume, folder, description="archive", patient=f"SECRET-{seed}")
    return str(dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesInstanceUID)


def build(root: Path) -> Archive:
    """Nine series: five good ones in folders of their own or not, and four broken in different ways."""
    good, bad = {}, set()
    for seed in range(2):
        good[series(root / f"patient{seed}" / "ct", seed)] = 3
    two = [series(root / "both" / name, seed) for name, seed in (("a", 2), ("b", 3))]
    for file in (root / "both" / "b").iterdir():  # two series in one folder
        shutil.move(file, root / "both" / "a" / f"b-{file.name}")
    good |= dict.fromkeys(two, 3)
    good[series(root / "spread" / "one", 4, slices=4)] = 4
    (root / "spread" / "two").mkdir()
    for file in sorted((root / "spread" / "one").iterdir())[2:]:  # one series in two folders
        shutil.move(file, root / "spread" / "two" / file.name)
    bad.add(series(root / "short", 5))
    file = sorted((root / "short").iterdir())[1]
    file.write_bytes(file.read_bytes()[:-1000])
    bad.add(series(root / "no-slope", 6))
    file = sorted((root / "no-slope").iterdir())[0]
    header = dcmread(file)
    del header.RescaleSlope
    header.save_as(file)
    bad.add(series(root / "damaged", 7))
    file = sorted((root / "damaged").iterdir())[2]
    file.write_bytes(file.read_bytes()[:200])  # may be a slice of anything
    (root / "torn").mkdir()
    (root / "torn" / "1.dcm").write_bytes(b"")
    (root / "notes.txt").write_text("no image")
    (root / "patient0" / "copy.zip").write_bytes(b"PK")
    return Archive(root, good, bad)
