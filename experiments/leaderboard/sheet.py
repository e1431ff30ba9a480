"""The contact sheet: the same slice of a digital patient by every method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from numpy.typing import NDArray

from experiments.furnace.score import denoise
from experiments.furnace.validation_set import ValidationSlice
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import HU
from lowdose.models.load import LoadedModel
from lowdose.phantom.patient import digital_patient
from lowdose.physics.acquisition import acquire
from lowdose.physics.kernels import B30
from lowdose.physics.scanner import Scanner
from lowdose.report.figures import BACKGROUND, INK, png

SEED, PIXEL_MM, SIDE = 710_001, 0.7, 512
"""The patient, whose seed no training has, and its grid."""
ROWS, COLUMNS = slice(130, 350), slice(90, 340)
"""The part that is shown."""
ACROSS = 4


def sheet_slice(folder: Path) -> tuple[HU, HU]:
    """Return low and full dose of the slice, (y, x) HU; it is scanned once and kept in ``folder``."""
    file = folder / "sheet.npz"
    if not file.exists():
        body = digital_patient(SEED, region="abdomen", slices=1, size=SIDE, pixel_mm=PIXEL_MM).volume
        scans = acquire(body, Scanner(), B30, mas=150.0, dose=0.25, seed=SEED)
        np.savez_compressed(file, low=scans.low.hu[0], full=scans.full.hu[0])
    with np.load(file) as images:
        return images["low"], images["full"]


def write_panel(model: LoadedModel, folder: Path, path: Path) -> None:
    """Write what the model makes of the slice as a grey PNG in the soft-tissue window, and full dose beside it."""
    low, full = sheet_slice(folder)
    item = ValidationSlice("digital", "", PIXEL_MM, False, False)
    path.parent.mkdir(parents=True, exist_ok=True)
    for hu, target in ((denoise(model, item, np.stack([low] * 3)), path), (full, path.with_name("full_dose.png"))):
        imsave(target, SOFT_TISSUE.apply(hu[ROWS, COLUMNS]), cmap="gray", vmin=0, vmax=1)


def draw_sheet(panels: Mapping[str, Path], path: Path) -> None:
    """Draw all panels under their titles."""
    lines = -(-len(panels) // ACROSS)
    figure = Figure(figsize=(3.0 * ACROSS, 2.9 * lines), layout="constrained")
    places = np.atleast_1d(figure.subplots(lines, ACROSS)).ravel()
    for place in places:
        place.set_axis_off()
    for place, (title, panel) in zip(places, panels.items(), strict=False):
        image: NDArray[np.float64] = imread(panel)
        place.imshow(image, cmap="gray", vmin=0, vmax=1)
        place.set_title(title, color=INK, fontsize=9)
        place.set_facecolor(BACKGROUND)
    path.write_bytes(png(figure))
