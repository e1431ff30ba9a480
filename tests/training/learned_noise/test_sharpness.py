"""Sharpness of noise and scans: the kernel is told from the texture, and conversion gives the texture of the other."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import fft

from lowdose.data.pairs import PairedSlice
from lowdose.data.transforms.kernel_conversion import hann_window
from lowdose.image import HU
from lowdose.metrics.noise_frequency import f_av, radial_average
from lowdose.metrics.noise_power import nps
from lowdose.networks.noise_vae import NoiseDecoder, NoiseSettings, TrainingNoise
from lowdose.physics.kernels import Kernel
from lowdose.training.learned_noise.conditions import CONDITIONS
from lowdose.training.learned_noise.sharpness import OwnNoise, converted, cutoff_of, noise_cutoff, variance_ratio

PIXEL_MM, SIDE = 0.7, 64


def transfer(cutoff: float, side: int) -> HU:
    """Return the square root of the noise power of a Hann window, on the frequencies of ``fft2``."""
    f = np.hypot(*np.meshgrid(fft.fftfreq(side, PIXEL_MM), fft.fftfreq(side, PIXEL_MM))).astype(np.float32)
    return np.asarray(np.sqrt(f) * hann_window(f / np.float32(cutoff)), np.float32)


def noise(cutoff: float, count: int = 40) -> HU:
    white = np.random.default_rng(0).normal(0, 1, (count, 2 * SIDE, 2 * SIDE))
    shaped = fft.ifft2(fft.fft2(white) * transfer(cutoff, 2 * SIDE)).real
    return np.asarray(10 * shaped / shaped.std(), np.float32)


def mean_frequency(images: HU) -> float:
    inner = images[:, SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2]
    return f_av(radial_average(nps(inner, PIXEL_MM), PIXEL_MM))


@pytest.mark.parametrize("cutoff", [0.5, 0.8, 1.3])
def test_the_kernel_is_told_from_the_texture(cutoff: float) -> None:
    assert cutoff_of(Kernel("hann", cutoff).f_av(PIXEL_MM, PIXEL_MM), PIXEL_MM) == pytest.approx(cutoff, rel=1e-3)
    assert cutoff_of(mean_frequency(noise(cutoff)), PIXEL_MM) == pytest.approx(cutoff, rel=0.06)


@pytest.mark.parametrize("f_av", [0.0, 0.7])
def test_no_noise_and_white_noise_have_no_kernel(f_av: float) -> None:
    assert cutoff_of(f_av, PIXEL_MM) is None


@pytest.mark.parametrize(("own", "cutoff"), [(0.9, 1.4), (1.4, 0.7)])
def test_converted_noise_has_the_texture_and_the_variance_that_are_said(own: float, cutoff: float) -> None:
    before = noise(own)
    after = converted(before, PIXEL_MM, own, cutoff)
    assert mean_frequency(after) == pytest.approx(Kernel("hann", cutoff).f_av(PIXEL_MM, PIXEL_MM), rel=0.05)
    assert after.var() / before.var() == pytest.approx(variance_ratio(PIXEL_MM, own, cutoff), rel=0.05)


@pytest.mark.parametrize(("own", "cutoff"), [(None, 1.4), (0.9, None)])
def test_an_unknown_kernel_stays(own: float | None, cutoff: float | None) -> None:
    before = noise(0.9, 1)
    assert converted(before, PIXEL_MM, own, cutoff) is before
    assert variance_ratio(PIXEL_MM, own, cutoff) == 1


def test_a_noise_model_knows_its_kernel() -> None:
    known = TrainingNoise(25.0, PIXEL_MM, torch.full((CONDITIONS,), -2.0), torch.full((CONDITIONS,), 4.0))
    decoder = NoiseDecoder(NoiseSettings(2, 15, CONDITIONS), known)
    point_spread = np.roll(fft.ifft2(transfer(0.9, 15)).real, (7, 7), (0, 1))
    with torch.no_grad():
        decoder.filters.copy_(torch.from_numpy(point_spread.astype(np.float32)).expand(2, -1, -1))
    assert noise_cutoff(decoder) == pytest.approx(0.9, rel=0.05)


@pytest.mark.parametrize(("sd", "known"), [(12.0, True), (2.0, False)])
def test_a_kernel_is_told_where_there_is_noise_of_one(sd: float, known: bool) -> None:
    images = [np.float32(40) + np.float32(sd / 10) * image for image in noise(0.9, 5)]
    items = [
        PairedSlice(1, f"{number}", PIXEL_MM, 3.0, partial(lambda hu: (hu, hu), image))
        for number, image in enumerate(images)
    ]
    variance, cutoff = OwnNoise(items).of_slice(items[0])
    assert variance == pytest.approx(sd**2, rel=0.1)
    assert cutoff == (pytest.approx(0.9, rel=0.1) if known else None)
