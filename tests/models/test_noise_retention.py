"""How much noise stays: the law of the noise level, and what is done with it slice by slice and series by series."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lowdose.hounsfield import Scale
from lowdose.image import Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.models import noise_retention
from lowdose.models.load import LoadedModel
from lowdose.models.training_domain import SeriesMeasurements
from lowdose.physics.kernels import Kernel


@dataclass(frozen=True)
class Water:
    """Makes every image water."""

    noise_free: bool
    scale: ClassVar[Scale] = Scale()
    context: ClassVar[int] = 0

    def denoise(self, hu: Tensor) -> Tensor:
        return torch.zeros_like(hu)


def model(noise_free: bool = True) -> LoadedModel:
    return LoadedModel("water", "", Water(noise_free), None, torch.device("cpu"))


def noisy(sd: float) -> Slice:
    hu = np.random.default_rng(0).normal(0, sd, (96, 96)).astype(np.float32)
    return Slice(hu, np.ones(hu.shape, bool), None, (0.7, 0.7))


@given(st.floats(0.1, 0.6), st.floats(0.05, 1.0))
def test_the_share_is_the_dose(f_av: float, fraction: float) -> None:
    usual_sd = noise_retention.USUAL_NOISE * f_av**1.5
    assert noise_retention.retained_share(usual_sd / fraction**0.5, f_av) == pytest.approx(
        min(noise_retention.MAX_SHARE, fraction)
    )


@pytest.mark.parametrize(("sd", "f_av"), [(None, None), (20.0, None), (20.0, 0.0), (None, 0.3)])
def test_unmeasured_noise(sd: float | None, f_av: float | None) -> None:
    assert noise_retention.retained_share(sd, f_av) == noise_retention.SHARE_IF_UNMEASURED


@pytest.mark.parametrize("f_av", [None, 0.0, 0.3])
def test_an_image_without_noise_keeps_all_that_may_be_kept(f_av: float | None) -> None:
    assert noise_retention.retained_share(0.0, f_av) == noise_retention.MAX_SHARE


def test_one_dose_has_one_share_whatever_the_kernel() -> None:
    """Noise of filtered back-projection, by its power f A(f)^2, soft and sharp: the same share within a quarter."""
    shares = []
    for cutoff in (0.6, 0.78, 1.0):
        kernel = Kernel("hann", cutoff)
        f = torch.linspace(0, 0.7, 4001, dtype=torch.float64)
        variance = float((f * f * kernel.response(f, 0.7).square()).sum())  # of f A(f)^2 over the plane
        shares.append(noise_retention.retained_share(2 * variance**0.5, kernel.f_av(0.7, 0.7)))
    assert max(shares) / min(shares) < 1.25


def test_a_series_keeps_one_share_and_a_slice_by_itself_its_own() -> None:
    item = noisy(60.0)
    series = noise_retention.fit_to_series(model(), SeriesMeasurements(60.0, 0.3, 0.7, 3.0))
    expected = noise_retention.retained_share(60.0, 0.3)
    assert series.noise_kept == expected
    for strength in (1.0, 0.5):
        made = denoise_slice(series, item, strength)
        np.testing.assert_allclose(made, (1 - strength * (1 - expected)) * item.hu, rtol=1e-4, atol=1e-3)
    alone = denoise_slice(model(), item, 1.0)
    assert 0 < noise_retention.noise_kept(model(), item) < noise_retention.MAX_SHARE
    np.testing.assert_allclose(alone, noise_retention.noise_kept(model(), item) * item.hu, rtol=1e-4, atol=1e-3)


def test_less_noise_is_kept_more() -> None:
    assert (
        noise_retention.noise_kept(model(), noisy(90.0))
        < noise_retention.noise_kept(model(), noisy(45.0))
        < noise_retention.noise_kept(model(), noisy(5.0))
    )
    assert (
        noise_retention.noise_kept(model(), replace(noisy(0.0), hu=np.full((96, 96), -1000, np.float32)))
        == noise_retention.SHARE_IF_UNMEASURED
    )


def test_other_models_decide_by_themselves() -> None:
    plain = model(noise_free=False)
    assert noise_retention.fit_to_series(plain, SeriesMeasurements(60.0, 0.3, 0.7, 3.0)) is plain
    assert not denoise_slice(plain, noisy(60.0), 1.0).any()
