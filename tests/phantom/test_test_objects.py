"""Quality phantoms: shares of pixels against the closed form, inserts where the table says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.errors import InvalidSetting
from lowdose.phantom import test_objects
from lowdose.phantom.pixel_coverage import bar, disc


@settings(max_examples=60, deadline=None)
@given(
    r=st.floats(0.1, 15.0), y=st.floats(-5, 5), x=st.floats(-5, 5), pixel=st.floats(0.2, 2.5), flat=st.floats(0.5, 2.0)
)  # fmt: skip
def test_total_of_an_ellipse_is_its_area(r: float, y: float, x: float, pixel: float, flat: float) -> None:
    size = int(2 * (6 + 15 * 2) / pixel) + 2
    share = disc(size, pixel, (y, x), (r, r * flat))
    assert share.sum() * pixel**2 == pytest.approx(np.pi * r * r * flat, rel=1e-9)
    assert share.min() >= 0
    assert share.max() <= 1


def test_shares_agree_with_fine_counting() -> None:
    size, pixel, centre, radius, sub = 24, 0.7, (0.31, -1.17), 4.3, 200
    axis = ((np.arange(size * sub) + 0.5) / sub - size / 2) * pixel
    inside = (axis[:, None] - centre[0]) ** 2 + (axis[None, :] - centre[1]) ** 2 <= radius**2
    counted = inside.reshape(size, sub, size, sub).mean(axis=(1, 3))
    assert np.abs(disc(size, pixel, centre, (radius, radius)) - counted).max() < 0.002


def test_bar_is_exact() -> None:
    share = bar(10, 1.0, (0.25, -0.5), (3.0, 1.5))
    assert share.sum() == pytest.approx(4.5)
    assert share[5, 4] == pytest.approx(1.0)
    assert share[5, 3] == pytest.approx(0.25)


def test_total_attenuation_of_water_is_the_closed_form() -> None:
    for diameter in (200.0, 320.0):
        phantom = test_objects.water(diameter, slices=2)
        pixels = phantom.volume.hu[1].astype(np.float64) + 1000.0
        assert pixels.sum() * 0.74**2 / 1000.0 == pytest.approx(np.pi / 4 * diameter**2, rel=5e-4)
        assert phantom.volume.hu.shape == (2, 512, 512)


PHANTOMS = {
    "water": test_objects.water, "contrast": test_objects.contrast, "low contrast": test_objects.low_contrast,
    **{f"acr {k}": (lambda k=k, **s: test_objects.acr(k, **s)) for k in (1, 2)},
}  # fmt: skip


@pytest.mark.parametrize("name", PHANTOMS)
@pytest.mark.parametrize("pixel", [0.42, 0.9])
def test_inserts_have_the_stated_hu_and_place(name: str, pixel: float) -> None:
    phantom = PHANTOMS[name](size=int(215 / pixel), pixel_mm=pixel)
    hu, geometry = phantom.volume.hu[0], phantom.volume.geometry
    axis = geometry.origin[0] + np.arange(hu.shape[0]) * pixel
    for insert in phantom.inserts:
        y, x = insert.centre
        roi = np.hypot(axis[:, None] - y, axis[None, :] - x) < 0.5 * insert.diameter - 0.75 * pixel
        if roi.any():
            assert hu[roi] == pytest.approx(insert.hu, abs=1e-3), insert.name


def test_the_disc_at_twelve_is_in_front() -> None:
    first = test_objects.contrast().inserts[0]
    assert first.name == "air"
    assert first.centre[0] < -50
    assert abs(first.centre[1]) < 1e-6


def test_line_pairs_lose_contrast_with_frequency() -> None:
    phantom = test_objects.line_pairs(size=512, pixel_mm=0.42)
    hu = phantom.volume.hu[0]
    depth = []
    for group in phantom.inserts:
        i, j = (round(c / 0.42 + 255.5) for c in group.centre)
        half = int(0.5 * group.diameter / 0.42)
        depth.append(float(np.ptp(hu[i, j - half : j + half + 1])))
    assert depth[0] == pytest.approx(1450, abs=1)
    assert depth[-1] < depth[0]


def test_beads_of_the_uniform_module() -> None:
    phantom = test_objects.acr(3)
    hu = phantom.volume.hu[0].astype(np.float64)
    extra = hu[np.hypot(*np.mgrid[-255.5:256, -255.5:256]) * 0.42 < 90].sum() * 0.42**2
    assert extra == pytest.approx(2 * 2000 * np.pi * 0.14**2, rel=5e-3)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: test_objects.water(500.0), "500"),
        (lambda: test_objects.water(-1.0), "-1"),
        (lambda: test_objects.water(slices=0), "0 slices"),
        (lambda: test_objects.contrast(pixel_mm=0.1), "51"),
        (lambda: test_objects.acr(5), "module 5"),
        (lambda: test_objects.line_pairs((0.0,)), "0.0 line pairs"),
        (lambda: test_objects.water(pixel_mm=float("nan")), "nan"),
    ],
)
def test_impossible_phantoms_are_refused(call, named: str) -> None:
    with pytest.raises(InvalidSetting, match=named):
        call()
