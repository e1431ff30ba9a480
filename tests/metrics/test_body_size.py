"""The water-equivalent diameter: closed forms, and bodies that are cut off."""

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics import water_equivalent_diameter


def disc(radius: float, hu: float, side: int = 256) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.where(np.hypot(y, x) < radius, hu, -1000.0).astype(np.float32)


def diameter(hu: np.ndarray, pixel: float = 1.0, valid: np.ndarray | None = None) -> float | None:
    return water_equivalent_diameter(hu, np.ones(hu.shape, bool) if valid is None else valid, pixel)


@pytest.mark.parametrize(("radius", "hu", "pixel"), [(80, 0.0, 1.0), (100, 0.0, 0.7), (90, 100.0, 1.5)])
def test_a_disc_has_its_diameter_times_the_root_of_its_attenuation(radius: float, hu: float, pixel: float) -> None:
    assert diameter(disc(radius, hu), pixel) == pytest.approx(2 * radius * pixel * (1 + hu / 1000) ** 0.5, rel=0.02)


def test_lungs_attenuate_less_but_belong_to_the_body() -> None:
    chest = disc(100, 0.0)
    chest[disc(50, 0.0) == 0] = -750.0
    expected = 2 * np.sqrt(100**2 - 0.75 * 50**2)
    assert diameter(chest) == pytest.approx(expected, rel=0.02)


def test_a_table_apart_from_the_body_does_not_count() -> None:
    hu = disc(80, 0.0)
    hu[240:244, 40:200] = 200.0
    assert diameter(hu) == pytest.approx(160, rel=0.02)


def test_a_body_that_is_cut_off_and_air_have_no_diameter() -> None:
    assert diameter(disc(300, 0.0)) is None
    assert diameter(np.full((64, 64), -1000.0, np.float32)) is None
    valid = np.zeros((64, 64), bool)
    assert diameter(np.zeros((64, 64), np.float32), valid=valid) is None


def test_bad_arguments() -> None:
    with pytest.raises(GeometryMismatch):
        diameter(np.zeros(8, np.float32))
    with pytest.raises(InvalidSetting, match="pixel size"):
        diameter(disc(3, 0.0, 16), -1.0)
