"""Real quarter- and full-dose slices: agreement with scikit-image, torchmetrics and piq, and plausible noise."""

from __future__ import annotations

import csv
from functools import cache

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics.hu_bias import tissue_bias
from lowdose.metrics.noise_estimate import noise_level
from lowdose.metrics.profiles import PROFILES, measure_fidelity
from lowdose.metrics.structural_similarity import ssim
from lowdose.metrics.visual_information import vif
from support.shared_scans import SHARED

TABLE = SHARED / "reference" / "metric-values.csv"
PAIRS = SHARED / "ct" / "pairs" / "mayo-2016"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not (TABLE.exists() and PAIRS.exists()), reason="needs the shared pairs"),
]


def _rows() -> list[dict[str, str]]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


ROWS = _rows()
IDS = [f"{row['series']}_{row['z_mm']}" for row in ROWS]


@cache
def _slice(series: str, dose: str, z_mm: str) -> tuple[NDArray[np.float32], float]:
    (path,) = (PAIRS / series / dose).glob(f"*_z{z_mm}.IMA")
    file = pydicom.dcmread(path)
    hu = file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)
    return hu.astype(np.float32), float(file.PixelSpacing[0])


def _pair(row: dict[str, str]) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    quarter, pixel_mm = _slice(row["series"], "quarter", row["z_mm"])
    return quarter, _slice(row["series"], "full", row["z_mm"])[0], pixel_mm


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_metrics_match_the_reference_table(row: dict[str, str]) -> None:
    quarter, full, _ = _pair(row)
    values = measure_fidelity(quarter, full, PROFILES["default"])
    unit = [SOFT_TISSUE.apply(image) for image in (quarter, full)]
    expected = {name: float(text) for name, text in row.items() if name not in ("series", "z_mm")}
    assert values["psnr"] == pytest.approx(expected["psnr_db"], abs=1e-4)
    assert values["rmse"] == pytest.approx(expected["rmse_hu"], abs=1e-4)
    assert values["ssim"] == pytest.approx(expected["ssim_skimage_gaussian_s1.5_biased_cropped"], abs=1e-5)
    assert values["fsim"] == pytest.approx(expected["fsim_piq_grey"], abs=1e-4)
    assert values["vif"] == pytest.approx(expected["vif_piq_p"], abs=1e-5)
    assert ssim(*unit, 1.0, "gaussian_same") == pytest.approx(expected["ssim_torchmetrics_default"], abs=1e-5)
    raw = vif(*unit, data_range=1.0, scaled_to=1.0)
    assert raw == pytest.approx(expected["vif_torchmetrics_sigma2_2"], abs=1e-5)


@pytest.mark.parametrize("series", sorted({row["series"] for row in ROWS}))
def test_noise_of_a_quarter_of_the_dose(series: str) -> None:
    levels = []
    for row in ROWS:
        if row["series"] == series:
            quarter, full, pixel_mm = _pair(row)
            everywhere = np.ones(full.shape, dtype=bool)
            pair = [noise_level(image, everywhere, pixel_mm) for image in (quarter, full)]
            levels.append([(level.sd, level.f_av) for level in pair if level is not None])
    (sd_quarter, f_quarter), (sd_full, f_full) = np.median(np.array(levels), axis=0)
    assert 1.8 < sd_quarter / sd_full < 2.4  # Poisson alone gives 2
    low, high = (0.20, 0.30) if "B30f" in series else (0.36, 0.45)
    assert low < f_full < high
    assert low < f_quarter < high


def test_a_quarter_of_the_dose_is_hardly_biased() -> None:
    biases = [tissue_bias(quarter, full, full) for quarter, full, _ in map(_pair, ROWS[10:17])]
    found = [bias["soft tissue"] for bias in biases if "soft tissue" in bias]
    assert len(found) >= 4
    assert abs(np.mean(found)) < 3.0
