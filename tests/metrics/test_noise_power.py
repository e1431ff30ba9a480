"""The NPS of noise whose spectrum is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.noise_frequency import Spectrum, f_av, f_av_2d, f_peak, radial_average
from lowdose.metrics.noise_power import detrend, detrended_sds, difference_nps, ensemble_nps, nps, nps_radial


@pytest.mark.parametrize("size", [16, 24, 32, 33])
def test_white_noise_is_flat_and_sums_to_its_variance(size: int) -> None:
    rois = np.random.default_rng(0).normal(40, 7, (1500, size, size))
    spectrum = nps_radial(rois, 0.7)
    assert np.allclose(spectrum.power, 49 * 0.7**2, rtol=0.05)
    df = 1 / (size * 0.7)
    assert nps(rois, 0.7).sum() * df**2 == pytest.approx(49.0, rel=0.01)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-300, 300), min_size=6, max_size=6), st.floats(0.3, 1.0))
def test_a_second_order_surface_is_no_noise(c: list[float], pixel_mm: float) -> None:
    v, u = np.mgrid[-1:1:24j, -1:1:24j]
    surface = c[0] + c[1] * u + c[2] * v + c[3] * u * u + c[4] * v * v + c[5] * u * v
    noise = np.random.default_rng(0).normal(0, 1, (1, 24, 24))
    assert np.allclose(detrend(noise + surface), detrend(noise), atol=1e-8)
    assert np.allclose(nps(noise + surface, pixel_mm), nps(noise, pixel_mm), atol=1e-6)


def test_a_wave_peaks_at_its_frequency() -> None:
    x = np.arange(32) * 0.8
    wave = np.tile(np.sin(2 * np.pi * 0.3125 * x), (32, 1))[None]
    assert f_peak(nps_radial(wave, 0.8)) == pytest.approx(0.3125)


def test_f_av_2d_weighs_the_plane_within_nyquist() -> None:
    power = np.zeros((8, 8))
    power[0, 2], power[3, 0], power[0, 0] = 3.0, 1.0, 100.0  # DC does not count
    assert f_av_2d(power, 0.5) == pytest.approx((3 * 0.5 + 0.75) / 4)
    power[4, 3] = 1e6  # nor does a corner, at 1.25 / mm where Nyquist is 1
    assert f_av_2d(power, 0.5) == pytest.approx((3 * 0.5 + 0.75) / 4)
    assert f_av_2d(np.ones((256, 256)), 0.7) == pytest.approx(2 / 3 / 1.4, rel=0.01)  # white noise: 2/3 of Nyquist
    assert f_av_2d(np.zeros((8, 8)), 0.5) == 0.0


def test_f_av_weighs_the_radial_profile() -> None:
    spectrum = Spectrum(np.array([0.1, 0.2, 0.3]), np.array([1.0, 1.0, 2.0]))  # half of Nyquist's ring counts
    assert f_av(spectrum) == pytest.approx(0.2)
    assert f_av(Spectrum(spectrum.frequency, np.zeros(3))) == 0.0


@pytest.mark.parametrize("peak", [0.5, 0.35, 0.25])
def test_f_av_of_textured_noise(peak: float, textured: Callable[..., tuple[np.ndarray, float]]) -> None:
    noise, expected = textured((480, 480), 0.75, peak)
    rois = noise.reshape(15, 32, 15, 32).swapaxes(1, 2).reshape(-1, 32, 32)
    assert f_av(nps_radial(rois, 0.75)) == pytest.approx(expected, rel=0.06)


def test_what_is_no_roi_is_refused() -> None:
    for shape in ((24, 24), (3, 24, 20), (2, 4, 4), (0, 24, 24)):
        with pytest.raises(GeometryMismatch, match="ROIs"):
            nps(np.zeros(shape), 0.7)
    with pytest.raises(InvalidSetting, match="pixel size"):
        nps(np.zeros((1, 16, 16)), 0.0)


def _cut(noise: np.ndarray, size: int) -> np.ndarray:
    k = len(noise) // size
    return noise[: k * size, : k * size].reshape(k, size, k, size).swapaxes(1, 2).reshape(-1, size, size)


@settings(max_examples=20, deadline=None)
@given(
    size=st.integers(32, 72),
    peak=st.sampled_from([None, 0.5, 0.35, 0.25]),
    sd=st.floats(0.1, 100),
    pixel_mm=st.floats(0.5, 1),
    seed=st.integers(0, 99),
)
def test_the_spectrum_sums_to_the_variance(
    textured: Callable[..., tuple[np.ndarray, float]],
    size: int,
    peak: float | None,
    sd: float,
    pixel_mm: float,
    seed: int,
) -> None:
    rois = sd * _cut(textured((360, 360), pixel_mm, peak, seed)[0], size).astype(np.float64)
    df = 1 / (size * pixel_mm)
    variance = np.mean(rois**2)  # the mean is known to be 0
    assert nps(rois, pixel_mm).sum() * df**2 == pytest.approx(variance, rel=0.01)
    # What a fit takes is given back as if the noise were white; of coarse noise in a small square it takes more.
    assert np.mean(detrended_sds(rois) ** 2) == pytest.approx(variance, rel=0.04)


@settings(max_examples=20, deadline=None)
@given(st.floats(-3000, 3000), st.floats(0.01, 100), st.floats(0.2, 2))
def test_shift_scale_and_pixel(shift: float, scale: float, pixel_mm: float) -> None:
    rois = np.random.default_rng(0).normal(0, 1, (6, 24, 24))
    moved = scale * rois + shift
    assert np.allclose(nps(moved, pixel_mm), scale**2 * pixel_mm**2 * nps(rois, 1.0), rtol=1e-4, atol=1e-9)
    assert np.allclose(detrended_sds(moved), scale * detrended_sds(rois), rtol=1e-6)
    for measure in (f_av, f_peak):
        expected = measure(nps_radial(rois, 1.0)) / pixel_mm
        assert measure(nps_radial(moved, pixel_mm)) == pytest.approx(expected, rel=1e-4)
    assert f_av_2d(nps(moved, pixel_mm), pixel_mm) == pytest.approx(f_av_2d(nps(rois, 1.0), 1.0) / pixel_mm, rel=1e-4)


# A ramp under a Hann window that ends at this share of the Nyquist frequency of 0.912/mm: the kernels B30 and D45.
KERNELS = [(0.85, 0.237, 0.270, 0.332), (2.05, 0.572, 0.530, 0.621)]
PITCH = 0.548


def _hann_ramp(f: np.ndarray, share: float) -> np.ndarray:
    nyquist = 0.5 / PITCH
    cutoff = share * nyquist
    ramp = f * (0.5 * (1 + np.cos(np.pi * np.minimum(f, cutoff) / cutoff))) ** 2
    return np.where(f < nyquist + 1e-9, ramp, 0.0)


def _plane(size: int, pixel_mm: float) -> np.ndarray:
    f = np.fft.fftfreq(size, pixel_mm)
    return np.hypot(f[:, None], f[None, :])


@pytest.mark.parametrize(("share", "peak", "mean", "mean_2d"), KERNELS)
def test_the_figures_of_known_kernels(share: float, peak: float, mean: float, mean_2d: float) -> None:
    power = _hann_ramp(_plane(128, PITCH), share)
    spectrum = radial_average(power, PITCH)
    assert f_av(spectrum) == pytest.approx(mean, rel=0.01)
    assert f_av_2d(power, PITCH) == pytest.approx(mean_2d, rel=0.01)
    assert f_peak(spectrum) == pytest.approx(peak, rel=0.025)


@pytest.mark.parametrize(("share", "peak", "mean", "mean_2d"), KERNELS)
@pytest.mark.parametrize("size", [40, 64])
def test_known_noise_is_recovered(share: float, peak: float, mean: float, mean_2d: float, size: int) -> None:
    white = np.random.default_rng(3).standard_normal((1024, 1024))
    shape = np.sqrt(_hann_ramp(_plane(1024, PITCH), share)) / PITCH
    rois = _cut(np.fft.ifft2(np.fft.fft2(white) * shape).real, size)
    power = nps(rois, PITCH)
    assert f_av(radial_average(power, PITCH)) == pytest.approx(mean, rel=0.03)
    assert f_av_2d(power, PITCH) == pytest.approx(mean_2d, rel=0.03)
    assert f_peak(radial_average(power, PITCH)) == pytest.approx(peak, rel=0.05)
    band = slice(3, size // 3)
    expected = radial_average(_hann_ramp(_plane(size, PITCH), share), PITCH).power
    strong = expected[band] > 0.3 * expected.max()
    assert np.allclose(radial_average(power, PITCH).power[band][strong], expected[band][strong], rtol=0.15)


def test_the_highest_of_noisy_values_is_not_the_peak(textured: Callable[..., tuple[np.ndarray, float]]) -> None:
    found, highest = [], []
    for seed in range(12):
        rois = _cut(textured((200, 200), 0.7, 0.5, seed)[0], 40)
        spectrum = nps_radial(rois, 0.7)
        found.append(f_peak(spectrum))
        highest.append(spectrum.frequency[np.argmax(spectrum.power)])
    true = 0.5 / np.sqrt(2)  # of f exp(-(f / 0.5)^2)
    rms = [np.sqrt(np.mean((np.array(values) / true - 1) ** 2)) for values in (found, highest)]
    assert rms[0] < 0.06
    assert rms[0] < 0.6 * rms[1]


def test_an_empty_spectrum_has_no_peak() -> None:
    assert f_peak(Spectrum(np.arange(1.0, 9.0), np.zeros(8))) == 0.0


def test_repeated_scans_need_no_flat_region(
    body: np.ndarray, textured: Callable[..., tuple[np.ndarray, float]]
) -> None:
    scans = np.stack([body + 20 * textured(body.shape, 0.75, 0.4, seed)[0] for seed in range(10)])
    at = (slice(None), slice(128, 192), slice(30, 94))  # skin, fat, vessels and bone
    power = ensemble_nps(scans[at], 0.75)
    pure = np.mean([nps((scans - body)[at][i : i + 1], 0.75) for i in range(10)], axis=0)
    assert power.sum() / (64 * 0.75) ** 2 == pytest.approx(400.0, rel=0.03)
    assert f_av(radial_average(power, 0.75)) == pytest.approx(f_av(radial_average(pure, 0.75)), rel=0.02)
    assert nps(scans[at], 0.75).sum() > 2 * power.sum()  # with the anatomy, for one scan alone


def test_n_over_n_minus_one() -> None:
    pairs = np.random.default_rng(0).normal(0, 5, (400, 2, 16, 16))
    power = np.mean([ensemble_nps(pair, 1.0) for pair in pairs], axis=0)
    assert power.mean() == pytest.approx(25.0, rel=0.01)
    assert power[0, 0] == pytest.approx(25.0, rel=0.2)  # DC is kept
    assert not ensemble_nps(np.ones((3, 16, 16)), 1.0).any()


def test_inserted_noise_in_the_body(textured: Callable[..., tuple[np.ndarray, float]]) -> None:
    y, x = np.mgrid[:200, :260] - 100.0
    region = np.hypot(y, (x - 30) / 1.3) < 90
    noise, frequency = textured(region.shape, 0.75, 0.4)
    inserted = np.where(region, 15 * noise, 1e4)  # beyond the body anything may be
    power = difference_nps(inserted, region, 0.75, 32, 1.0)
    assert np.sqrt(power.sum()) / (32 * 0.75) == pytest.approx(15.0, rel=0.05)
    assert f_av(radial_average(power, 0.75)) == pytest.approx(frequency, rel=0.06)


def test_where_no_spectrum_can_be_measured() -> None:
    flat = np.zeros((100, 100))
    with pytest.raises(GeometryMismatch, match=r"no square of 64 px .* smaller size"):
        difference_nps(flat, np.hypot(*np.mgrid[-50:50, -50:50]) < 30, 0.7)
    with pytest.raises(GeometryMismatch, match="does not fit"):
        difference_nps(flat, np.ones((100, 99), bool), 0.7)
    with pytest.raises(InvalidSetting, match="share"):
        difference_nps(flat, np.ones((100, 100), bool), 0.7, 64, 1.5)
    for shape in ((1, 16, 16), (16, 16), (4, 16, 17), (4, 6, 6)):
        with pytest.raises(GeometryMismatch, match="realisations"):
            ensemble_nps(np.zeros(shape), 0.7)
    for pixel in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InvalidSetting, match="pixel size"):
            ensemble_nps(np.zeros((2, 16, 16)), pixel)
    holed = np.zeros((2, 16, 16))
    holed[0, 3, 3] = np.nan
    for measure in (nps, ensemble_nps):
        with pytest.raises(InvalidSetting, match="not finite"):
            measure(holed, 0.7)
