"""The synthetic patient: seeded, plausible HU, noise that scales with dose and keeps the full-dose noise inside."""

import numpy as np
import pytest

from lowdose.errors import InvalidSetting
from lowdose.physics import phantom


def test_same_seed_same_patient_other_seed_another() -> None:
    a, b, c = (phantom.abdomen(2, seed, size=128, pixel_mm=3.0) for seed in (1, 1, 2))
    assert np.array_equal(a.hu, b.hu)
    assert not np.array_equal(a.hu, c.hu)
    assert not np.array_equal(a.hu[0], a.hu[1])


def test_tissues_are_there() -> None:
    hu = phantom.abdomen(1, 0, size=256, pixel_mm=1.5).hu
    for value in (-1000, -100, 110, 700):
        assert (np.abs(hu - value) < 1).sum() > 50, value


def test_noise_scales_with_dose_and_contains_the_full_dose_noise() -> None:
    body = phantom.abdomen(1, 0, size=256, pixel_mm=1.5)
    full, low = (phantom.with_noise(body, 12.0, dose, 3).hu[0] - body.hu[0] for dose in (1.0, 0.25))
    # Where nothing is clipped at -1024 HU.
    inside = np.abs(body.hu[0]) < 300
    assert low[inside].std() / full[inside].std() == pytest.approx(2.0, rel=0.05)
    assert np.corrcoef(low[inside], full[inside])[0, 1] == pytest.approx(0.5, abs=0.05)
    assert full[inside].mean() == pytest.approx(0.0, abs=0.3)
    again = phantom.with_noise(body, 12.0, 0.25, 3).hu[0]
    assert np.array_equal(again - body.hu[0], low)


@pytest.mark.parametrize("dose", [0.0, -1.0, 1.5, float("nan")])
def test_impossible_dose(dose: float) -> None:
    with pytest.raises(InvalidSetting, match="dose"):
        phantom.with_noise(phantom.abdomen(1, 0, 128, 3.0), 10.0, dose, 0)


def test_body_that_does_not_fit() -> None:
    with pytest.raises(InvalidSetting, match="350"):
        phantom.abdomen(1, 0, size=64, pixel_mm=1.0)
