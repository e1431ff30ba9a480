"""Noise that is what physics says: photon counts, the level and the spectrum after filtered back-projection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from lowdose.errors import InvalidSetting
from lowdose.metrics.noise_frequency import f_av, f_av_2d, radial_average
from lowdose.metrics.noise_power import nps
from lowdose.physics.fbp import FBP
from lowdose.physics.geometry import Beam, FanBeam, Grid, ParallelBeam
from lowdose.physics.kernels import B30, D45, RAMP, SHEPP_LOGAN, Kernel
from lowdose.physics.photon_counts import draw_counts
from lowdose.physics.scanner import WATER

CENTRE = Grid((64, 64), (0.4, 0.4))
"""Where the noise is measured: small, so that the disc's shape and a fan's weights do not matter."""


def beam_of(kind: str, views: int, sample_mm: float) -> Beam:
    """Rays ``sample_mm`` apart at the axis, over a field of 240 mm."""
    detectors = int(240 / sample_mm)
    if kind == "parallel":
        return ParallelBeam(views, detectors, sample_mm)
    return FanBeam(views, detectors, sample_mm * 1085.6 / 595, offset=0.0)


def level(beam: Beam, kernel: Kernel, variance: float, upsampling: int = 1) -> float:
    """SD in HU at the centre of a disc whose central rays have this variance (methods: closed form of ramp noise).

    sigma^2 = (pi^2 / M) v d 2 integral of f^2 A(f)^2 T(f) df, with the mean power T = (2 + cos 2 pi f d / u) / 3 that
    linear interpolation between samples d / u apart leaves of a frequency f.
    """
    d = beam.sample_mm
    f = torch.linspace(0, 0.5 / d, 20001, dtype=torch.float64)
    left = (2 + torch.cos(2 * np.pi * f * d / upsampling)) / 3
    integral = float(torch.trapezoid(f**2 * kernel.response(f, d) ** 2 * left, f))
    return 1000 / WATER * float(np.sqrt(np.pi**2 / beam.views * variance * d * 2 * integral))


def noise(beam: Beam, kernel: Kernel, lines: np.ndarray, upsampling: int = 1, grid: Grid = CENTRE) -> np.ndarray:
    """(n, ny, nx) HU of noisy lines (n, views, detectors) without their mean."""
    return 1000 / WATER * FBP(beam, grid, kernel, upsampling)(torch.from_numpy(lines).float()).numpy()


def gaussian(integrals: torch.Tensor, photons: float, realisations: int, seed: int) -> np.ndarray:
    """Noise of the variance e^p / I0, (n, views, detectors)."""
    rng = np.random.default_rng(seed)
    sd = np.sqrt(np.exp(integrals.numpy()) / photons)
    return rng.standard_normal((realisations, *sd.shape), np.float32) * sd.astype(np.float32)


def sd_of(images: np.ndarray) -> float:
    return float(np.sqrt((images - images.mean(axis=(1, 2), keepdims=True)).var()))


CASES = {
    "ramp": (2.244e5, 1056, 0.676, RAMP, 22.6),
    "Shepp-Logan": (2.244e5, 1056, 0.676, SHEPP_LOGAN, 18.3),
    "B30": (1e5, 1160, 0.548, B30, 12.25),
    "D45": (1e5, 1160, 0.548, D45, 29.7),
}


@pytest.mark.parametrize("kind", ["parallel", "fan"])
@pytest.mark.parametrize(("photons", "views", "sample", "kernel", "sigma"), CASES.values(), ids=CASES.keys())
def test_noise_of_a_20_cm_water_disc(
    kind: str,
    photons: float,
    views: int,
    sample: float,
    kernel: Kernel,
    sigma: float,
    chords: Callable[..., torch.Tensor],
) -> None:
    beam = beam_of(kind, views, sample)
    variance = float(np.exp(WATER * 200) / photons)
    assert level(beam, kernel, variance) == pytest.approx(sigma, rel=0.005)
    lines = gaussian(WATER * chords(beam, 100.0), photons, 5, seed=4)
    assert sd_of(noise(beam, kernel, lines)) == pytest.approx(sigma, rel=0.05)
    fine = level(beam, kernel, variance, upsampling=4)
    assert fine > 1.02 * sigma
    assert sd_of(noise(beam, kernel, lines, upsampling=4)) == pytest.approx(fine, rel=0.05)


@pytest.mark.parametrize("electronic", [0.0, 4000.0])
def test_noise_of_counted_photons(electronic: float, chords: Callable[..., torch.Tensor]) -> None:
    beam, photons = beam_of("parallel", 1160, 0.548), 1e5
    integrals = (WATER * chords(beam, 100.0)).numpy()
    air = np.full(beam.detectors, photons)
    behind = photons * np.exp(-WATER * 200)
    rng = np.random.default_rng(0)
    scans = [draw_counts(air * np.exp(-integrals), air, 1.0, electronic, rng)[1] - integrals for _ in range(5)]
    expected = level(beam, B30, 1 / behind + electronic / behind**2)
    assert sd_of(noise(beam, B30, np.stack(scans))) == pytest.approx(expected, rel=0.05)


def test_noise_grows_as_the_square_root_of_what_dose_is_missing(chords: Callable[..., torch.Tensor]) -> None:
    beam, photons = beam_of("parallel", 400, 1.0), 3e6
    integrals = (WATER * chords(beam, 100.0)).numpy()
    air = np.full(beam.detectors, photons)
    rng = np.random.default_rng(1)
    sds = []
    doses = (1.0, 0.5, 0.25, 0.1)
    for dose in doses:
        scans = [draw_counts(air * np.exp(-integrals), air, dose, 0.0, rng)[0] - integrals for _ in range(16)]
        sds.append(sd_of(noise(beam, SHEPP_LOGAN, np.stack(scans), grid=Grid((100, 100), (0.8, 0.8)))))
    assert [sd / sds[0] for sd in sds] == pytest.approx([dose**-0.5 for dose in doses], rel=0.02)


@pytest.mark.parametrize(("kernel", "one", "two"), [(B30, 0.270, 0.332), (D45, 0.530, 0.621)], ids=["B30", "D45"])
@pytest.mark.parametrize("kind", ["parallel", "fan"])
def test_texture_of_the_kernels(
    kind: str, kernel: Kernel, one: float, two: float, chords: Callable[..., torch.Tensor]
) -> None:
    beam = beam_of(kind, 1160, 0.548)
    lines = gaussian(WATER * chords(beam, 100.0), 1e5, 8, seed=6)
    power = nps(noise(beam, kernel, lines, upsampling=4), 0.4)
    assert f_av(radial_average(power, 0.4)) == pytest.approx(one, rel=0.10)
    assert f_av_2d(power, 0.4) == pytest.approx(two, rel=0.10)
    assert f_av(radial_average(power, 0.4)) == pytest.approx(kernel.f_av(0.4, beam.sample_mm), rel=0.05)
    # Linear interpolation between detectors takes the high frequencies of the sharp kernel.
    blurred = nps(noise(beam, kernel, lines), 0.4)
    assert f_av(radial_average(blurred, 0.4)) < f_av(radial_average(power, 0.4))


def test_counts_at_high_flux_have_the_variance_of_the_formula() -> None:
    rng = np.random.default_rng(2)
    for dose, photons, electronic in ((0.25, 4000.0, 10.0), (0.1, 2e4, 0.0), (0.5, 2e4, 2e4)):
        expected = np.full(400_000, photons)
        low, full = draw_counts(expected, np.full(400_000, 1e5), dose, electronic, rng)
        added = (1 - dose) / (dose * photons) + electronic * (1 - dose**2) / (dose * photons) ** 2
        assert (low - full).var() == pytest.approx(added, rel=0.02)
        assert full.var() == pytest.approx(1 / photons + electronic / photons**2, rel=0.02)
        assert low.var() == pytest.approx(1 / (dose * photons) + electronic / (dose * photons) ** 2, rel=0.02)
        # Only what is missing is inserted: it has nothing to do with the noise that is there already.
        assert abs(np.corrcoef(low - full, full)[0, 1]) < 0.02


def yu(integral: float, air: float, dose: float, electronic: float, rng: np.random.Generator, n: int) -> np.ndarray:
    """Low-dose integrals made by Gaussian insertion into full-dose ones (Yu et al., JCAT 2012, eq. 6)."""
    behind = air * np.exp(-integral)
    counts = rng.poisson(behind, n) + rng.normal(0, np.sqrt(electronic), n)
    inserted = (1 - dose) / dose / behind * (1 + (1 + dose) / dose * electronic / behind)
    return np.log(air / np.maximum(counts, 1)) + np.sqrt(inserted) * rng.standard_normal(n)


def test_photon_starvation_is_that_of_a_direct_scan() -> None:
    n, air, integral, dose, electronic = 300_000, 1e5, 6.0, 0.1, 10.0
    expected = np.full(n, air * np.exp(-integral))
    rng = np.random.default_rng(3)
    low, _ = draw_counts(expected, np.full(n, air), dose, electronic, rng)
    counts = rng.poisson(dose * expected) + rng.normal(0, np.sqrt(electronic), n)
    direct = np.log(dose * air / np.maximum(counts, 1))
    gaussian_ = yu(integral, air, dose, electronic, rng, n)
    assert ks_2samp(low, direct).pvalue > 0.001
    assert low.var() == pytest.approx(6.49e-2, rel=0.02)
    assert low.mean() - integral == pytest.approx(0.031, abs=0.003)
    # What the formula for high counts gives instead.
    assert ks_2samp(gaussian_, direct).pvalue < 1e-12
    assert gaussian_.var() == pytest.approx(5.66e-2, rel=0.02)
    assert abs(gaussian_.mean() - integral) < 0.01


def test_kept_photons_are_among_those_of_full_dose() -> None:
    rng = np.random.default_rng(4)
    low, full = draw_counts(np.full(100_000, 50.0), np.full(100_000, 1000.0), 0.3, 0.0, rng)
    kept, all_ = 300 * np.exp(-low), 1000 * np.exp(-full)
    assert (kept <= all_ + 1e-9).all()
    assert all_.mean() == pytest.approx(50, rel=0.01)
    assert kept.mean() == pytest.approx(15, rel=0.01)
    assert np.corrcoef(kept, all_)[0, 1] == pytest.approx(np.sqrt(0.3), abs=0.01)


def test_nothing_is_inserted_at_full_dose() -> None:
    rng = np.random.default_rng(5)
    low, full = draw_counts(np.full((20, 30), 40.0), np.full(30, 100.0), 1.0, 10.0, rng)
    assert np.array_equal(low, full)
    assert full.std() > 0.1


def test_a_detector_that_sees_nothing_still_has_a_logarithm() -> None:
    low, full = draw_counts(np.zeros((4, 5)), np.full(5, 1e4), 0.1, 10.0, np.random.default_rng(6))
    assert np.isfinite(low).all()
    assert np.isfinite(full).all()
    assert low.max() == pytest.approx(np.log(1e3))


@pytest.mark.parametrize("dose", [0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_doses_that_cannot_be(dose: float) -> None:
    with pytest.raises(InvalidSetting, match="dose"):
        draw_counts(np.ones(3), np.ones(3), dose, 0.0, np.random.default_rng(0))
