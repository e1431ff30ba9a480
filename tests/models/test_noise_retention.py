"""How much noise stays: the law of the noise level, and what is done with it slice by slice and series by series."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.image import Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.models import noise_retention
from lowdose.models.dose_estimate import estimate_dose
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import MAX_DOSE, SHARE_IF_UNMEASURED, TEXTURES, NoiseTarget, retained_share
from lowdose.models.training_domain import SeriesMeasurements


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


def measured(bands: tuple[float, ...] | None, sd: float | None = 30.0) -> SeriesMeasurements:
    return SeriesMeasurements(sd, 0.3, 0.7, 3.0, bands, 280.0)


@given(st.floats(0.01, 1.0), st.sampled_from(list(TEXTURES)))
def test_the_share_is_a_power_of_the_dose(dose: float, texture: str) -> None:
    share = retained_share(NoiseTarget(dose=dose, texture=texture), measured(None))
    assert share == pytest.approx(min(MAX_DOSE, dose) ** TEXTURES[texture])


def test_smooth_keeps_least_and_natural_most() -> None:
    shares = [retained_share(NoiseTarget(0.25, texture=texture), measured(None)) for texture in TEXTURES]
    assert list(TEXTURES) == ["smooth", "balanced", "natural"]
    assert shares == sorted(shares)
    assert shares[0] == 0.25
    assert NoiseTarget().chosen_texture == "balanced"


@given(st.floats(0.05, 0.7))
def test_the_estimated_dose_counts_where_none_is_stated(fraction: float) -> None:
    usual = measured((20.0, 6.0, 5.0, 4.0))
    dose = estimate_dose(usual.noise_bands, usual.body_mm, usual.thickness_mm)
    assert dose is not None
    scale = (dose.fraction / fraction) ** 0.5
    low = measured(tuple(scale * band for band in usual.noise_bands or ()))
    assert retained_share(NoiseTarget(texture="smooth"), low) == pytest.approx(fraction)
    assert retained_share(NoiseTarget(0.5, texture="smooth"), low) == 0.5


def test_noise_that_cannot_be_measured_has_a_fixed_share_and_none_is_kept() -> None:
    assert retained_share(NoiseTarget(), measured(None)) == SHARE_IF_UNMEASURED
    assert retained_share(NoiseTarget(texture="smooth"), measured(None, sd=0.0)) == MAX_DOSE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dose": 0.0}, "--dose 0: must be a fraction"),
        ({"dose": -0.1}, "--dose -0.1"),
        ({"dose": 1.5}, "--dose 1.5"),
        ({"dose": float("nan")}, "--dose nan"),
        ({"noise_sd": 0.0}, "--noise-sd 0: must be above 0 and at most 1000 HU"),
        ({"noise_sd": float("inf")}, "--noise-sd inf"),
        ({"noise_sd": float("nan")}, "--noise-sd nan"),
        ({"texture": "rough"}, "--texture rough: must be one of smooth, balanced, natural"),
        ({"noise_sd": 12.0, "dose": 0.5}, "leave out --dose"),
        ({"noise_sd": 12.0, "texture": "smooth"}, "leave out --texture"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        NoiseTarget(**values)


def test_a_series_keeps_one_share_and_a_slice_by_itself_its_own() -> None:
    item = noisy(60.0)
    known = measured((20.0, 12.0, 10.0, 8.0))
    series = noise_retention.fit_to_series(model(), known)
    expected = retained_share(NoiseTarget(), known)
    assert series.noise_kept == expected
    for strength in (1.0, 0.5):
        made = denoise_slice(series, item, strength)
        np.testing.assert_allclose(made, (1 - strength * (1 - expected)) * item.hu, rtol=1e-4, atol=1e-3)
    alone = denoise_slice(model(), item, 1.0)
    assert 0 < noise_retention.noise_kept(model(), item) < 1
    np.testing.assert_allclose(alone, noise_retention.noise_kept(model(), item) * item.hu, rtol=1e-4, atol=1e-3)


def test_less_noise_is_kept_more() -> None:
    assert (
        noise_retention.noise_kept(model(), noisy(90.0))
        < noise_retention.noise_kept(model(), noisy(45.0))
        < noise_retention.noise_kept(model(), noisy(5.0))
    )
    assert (
        noise_retention.noise_kept(model(), replace(noisy(0.0), hu=np.full((96, 96), -1000, np.float32)))
        == SHARE_IF_UNMEASURED
    )


def test_other_models_decide_by_themselves() -> None:
    plain = model(noise_free=False)
    assert noise_retention.fit_to_series(plain, SeriesMeasurements(60.0, 0.3, 0.7, 3.0)) is plain
    assert not denoise_slice(plain, noisy(60.0), 1.0).any()
