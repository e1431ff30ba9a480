"""Noise and resolution of phantoms and patient pairs: different ways to measure one thing agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lowdose.metrics.local_noise import noise_map
from lowdose.metrics.noise_estimate import noise_level
from lowdose.metrics.noise_frequency import f_av, f_av_2d, f_peak, radial_average
from lowdose.metrics.noise_power import detrended_sds, difference_nps, ensemble_nps, nps
from lowdose.metrics.rois import corners_within, cut_squares
from lowdose.metrics.task_transfer import TaskTransferFunction, ttf
from support.shared_scans import SHARED_CT

SIMULATED = SHARED_CT / "phantoms" / "ct-recon-simulated"
GE = SHARED_CT / "phantoms" / "ge-ct750"
PAIRS = SHARED_CT / "pairs" / "mayo-2016"
Array = NDArray[np.float64]


def _raw(path: Path) -> Array:
    return np.fromfile(path, "<i2").reshape(256, 256).astype(np.float64)


def _dicom(path: Path) -> tuple[Array, float]:
    file = pydicom.dcmread(path)
    return file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept), float(file.PixelSpacing[0])


@pytest.mark.data
@pytest.mark.skipif(not SIMULATED.exists(), reason="needs the shared phantoms")
def test_water_by_ensemble_by_roi_and_by_difference() -> None:
    files = sorted((SIMULATED / "uniform_water_phan" / "fbp_sharp").glob("*.raw"))
    scans = np.stack([_raw(path) for path in files])
    assert len(scans) == 50
    water = np.hypot(*(np.mgrid[:256, :256] - 127.5)) < 105
    corners = corners_within(water, 48, 24)
    powers = (
        np.mean([ensemble_nps(scans[:, y : y + 48, x : x + 48], 1.0) for y, x in corners], axis=0),
        np.mean([nps(cut_squares(scan, corners, 48), 1.0) for scan in scans], axis=0),
        np.mean(
            [difference_nps(a - b, water, 1.0, 48, 1.0) for a, b in zip(scans[::2], scans[1::2], strict=True)], axis=0
        )
        / 2,
    )
    ensemble, *others = (radial_average(power, 1.0) for power in powers)
    for power, spectrum in zip(powers[1:], others, strict=True):
        assert power.sum() == pytest.approx(powers[0].sum(), rel=0.01)
        assert f_av(spectrum) == pytest.approx(f_av(ensemble), rel=0.01)
        assert f_av_2d(power, 1.0) == pytest.approx(f_av_2d(powers[0], 1.0), rel=0.01)
        assert f_peak(spectrum) == pytest.approx(f_peak(ensemble), rel=0.02)
    # The same noise, so ring by ring; the lowest one is what the surface took.
    assert np.allclose(others[0].power[1:], ensemble.power[1:], rtol=0.02)


@pytest.mark.data
@pytest.mark.skipif(not GE.exists(), reason="needs the shared phantoms")
def test_two_slices_of_water() -> None:
    measured = []
    for name in ("imgA.dcm", "imgB.dcm"):
        hu, pixel_mm = _dicom(GE / name)
        water = np.hypot(*(np.mgrid[:512, :512] - 255.5)) < 190
        power = difference_nps(hu, water, pixel_mm, 64, 1.0)
        sd = detrended_sds(cut_squares(hu, corners_within(water, 64, 16), 64)).mean()
        measured.append((sd, f_av(radial_average(power, pixel_mm)), f_av_2d(power, pixel_mm)))
        level = noise_level(hu.astype(np.float32), hu > -2000, pixel_mm)
        assert level is not None
        assert level.sd == pytest.approx(sd, rel=0.1)
        assert level.f_av == pytest.approx(measured[-1][1], rel=0.1)
    assert measured[0] == pytest.approx(measured[1], rel=0.02)
    assert measured[0][2] > 1.15 * measured[0][1]


INSERTS = [(66, 66), (127, 41), (187, 66), (212, 127), (187, 188), (127, 213)]


def _ctp404(kernel: str) -> list[TaskTransferFunction]:
    image = _raw(SIMULATED / "ctp404" / f"ctp404_fbp_{kernel}_256.raw")
    return [ttf(image, centre, 18.0, 1.0) for centre in INSERTS]  # in pixels: the files state no size


@pytest.mark.data
@pytest.mark.skipif(not SIMULATED.exists(), reason="needs the shared phantoms")
def test_a_linear_reconstruction_resolves_every_contrast_alike() -> None:
    for kernel, tolerance in (("smooth", 0.005), ("sharp", 0.03)):
        found = _ctp404(kernel)
        contrasts = [insert.contrast for insert in found]
        assert min(contrasts) < -900
        assert max(contrasts) > 900
        for level in ("f50", "f10"):
            values = np.array([getattr(insert, level) for insert in found])
            assert np.abs(values / np.median(values) - 1).max() < tolerance
        assert all(insert.radius_mm == pytest.approx(9.0, abs=0.05) for insert in found)
    assert _ctp404("sharp")[0].f50 > 1.5 * _ctp404("smooth")[0].f50  # type: ignore[operator]


@pytest.mark.data
@pytest.mark.skipif(not PAIRS.exists(), reason="needs the shared pairs")
@pytest.mark.parametrize(
    ("series", "sd", "mean", "mean_2d"),
    [
        ("L096-3mm-D45f", 71, (0.41, 0.43), (0.48, 0.495)),
        ("L143-3mm-D45f", 84, (0.385, 0.405), (0.445, 0.46)),
        ("L143-3mm-B30f", 33, (0.24, 0.265), (0.31, 0.33)),
    ],
)
def test_the_inserted_noise_of_a_quarter_dose(
    series: str, sd: float, mean: tuple[float, float], mean_2d: tuple[float, float]
) -> None:
    levels = []
    for path in sorted((PAIRS / series / "full").glob("*.IMA")):
        (quarter,) = (PAIRS / series / "quarter").glob(f"*_{path.name.split('_')[-1]}")
        full, pixel_mm = _dicom(path)
        inserted = _dicom(quarter)[0] - full
        smooth = gaussian_filter(full, 1.5 / pixel_mm)
        soft = (smooth > -150) & (smooth < 250)
        power = difference_nps(inserted, soft, pixel_mm)
        levels.append(float(np.median(noise_map(inserted, soft)[soft])))
        assert mean[0] < f_av(radial_average(power, pixel_mm)) < mean[1]
        assert mean_2d[0] < f_av_2d(power, pixel_mm) < mean_2d[1]
        level = noise_level(full.astype(np.float32), np.ones(full.shape, bool), pixel_mm)
        assert level is not None
        assert 0.9 < levels[-1] / (np.sqrt(3) * level.sd) < 1.3  # 1 for Poisson noise alone
    assert np.median(levels) == pytest.approx(sd, rel=0.03)
