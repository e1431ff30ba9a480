"""The estimate of dose: the law of noise and dose, of thickness, kernel and body, and its words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.models.dose_estimate import DoseEstimate, estimate_dose

BANDS = (20.0, 6.0, 5.0, 4.0)


def fraction(bands: tuple[float, ...] = BANDS, diameter: float | None = 280.0, thickness: float | None = 3.0) -> float:
    estimate = estimate_dose(bands, diameter, thickness)
    assert estimate is not None
    return estimate.fraction


@given(st.floats(0.1, 10.0))
def test_twice_the_noise_is_a_quarter_of_the_dose(scale: float) -> None:
    assert fraction(tuple(scale * band for band in BANDS)) == pytest.approx(fraction() / scale**2)


def test_thin_slices_and_large_bodies_are_allowed_more_noise() -> None:
    assert fraction(thickness=1.0) == pytest.approx(3 * fraction(thickness=3.0))
    assert fraction(diameter=350.0) > fraction(diameter=250.0)


def test_a_sharp_kernel_is_allowed_more_noise() -> None:
    assert fraction((20.0, 12.0, 8.0, 5.0)) > fraction((20.0, 12.0, 10.0, 9.0))


def test_what_is_not_known_is_taken_as_usual() -> None:
    assert fraction(diameter=None) == fraction(diameter=275.0)
    assert fraction(thickness=None) == fraction(thickness=3.0)
    assert estimate_dose(None, 280.0, 3.0) is None
    assert estimate_dose((0.0, 0.0, 0.0, 0.0), 280.0, 3.0) is None


def test_the_words_name_the_estimate_and_its_range() -> None:
    assert DoseEstimate(0.25, 2.0).text == "25% of the usual dose (12 to 50%)"
    assert DoseEstimate(1.512, 1.845).text == "150% of the usual dose (82 to 280%)"
    assert DoseEstimate(0.012, 2.0).text == "1.2% of the usual dose (0.6 to 2.4%)"
