"""The blind noise level on a body with structure and noise that is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics import noise_estimate
from lowdose.metrics.noise_estimate import NoiseLevel, mode, noise_level, surviving_share

Textured = Callable[..., tuple[np.ndarray, float]]
PIXEL = 0.75


def _measure(hu: np.ndarray, valid: np.ndarray | None = None) -> NoiseLevel:
    level = noise_level(hu.astype(np.float32), np.ones(hu.shape, bool) if valid is None else valid, PIXEL)
    assert level is not None
    return level


@pytest.mark.parametrize("sd", [5.0, 20.0, 60.0])
@pytest.mark.parametrize("peak", [None, 0.5, 0.35, 0.25])
def test_the_level_is_found_within_ten_percent(
    body: np.ndarray, textured: Textured, peak: float | None, sd: float
) -> None:
    noise, frequency = textured(body.shape, PIXEL, peak)
    level = _measure(body + sd * noise)
    assert level.sd == pytest.approx(sd, rel=0.10)
    assert level.f_av == pytest.approx(frequency, rel=0.20)


def test_twice_the_noise_is_twice_the_level(body: np.ndarray, textured: Textured) -> None:
    noise, _ = textured(body.shape, PIXEL, 0.35)
    assert _measure(body + 40 * noise).sd / _measure(body + 20 * noise).sd == pytest.approx(2.0, rel=0.05)


def test_smoothing_lowers_level_and_frequency(body: np.ndarray, textured: Textured) -> None:
    sharp, soft = (textured(body.shape, PIXEL, peak)[0] for peak in (0.5, 0.25))
    assert _measure(body + 20 * soft).f_av < _measure(body + 20 * sharp).f_av - 0.08


def test_padding_does_not_count(body: np.ndarray, textured: Textured) -> None:
    noise, _ = textured(body.shape, PIXEL, None)
    hu = body + 20 * noise
    y, x = np.mgrid[:320, :320] - 159.5
    valid = np.hypot(y, x) < 90
    padded = np.where(valid, hu, 100.0)  # a padding value that looks like tissue, without any noise
    assert _measure(padded, valid).sd == pytest.approx(20.0, rel=0.10)


def test_no_soft_tissue_no_level() -> None:
    everywhere = np.ones((128, 128), dtype=bool)
    assert noise_level(np.full((128, 128), -1000, np.float32), everywhere, PIXEL) is None
    assert noise_level(np.zeros((128, 128), np.float32), ~everywhere, PIXEL) is None
    assert noise_level(np.zeros((12, 12), np.float32), np.ones((12, 12), bool), PIXEL) is None


def test_an_image_without_noise() -> None:
    assert _measure(np.full((96, 96), 40.0)).sd == 0.0


def test_the_mode_ignores_a_tail() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 0.5, 6000), rng.uniform(12, 60, 4000)])
    assert mode(values) == pytest.approx(10.0, rel=0.05)


def test_a_constant_fit_leaves_the_textbook_share_of_white_noise() -> None:
    constant = np.full((1, 9), 1 / 3)
    assert surviving_share(np.ones((24, 24)), constant, 0) == pytest.approx(1 - 1 / 81)
    low = np.zeros((24, 24))
    low[0, 1] = 1.0
    assert surviving_share(low, constant, 0) < 0.5
    assert surviving_share(np.zeros((24, 24)), constant, 0) == 1.0


def test_what_is_no_slice_is_refused() -> None:
    with pytest.raises(GeometryMismatch, match="slice and its mask"):
        noise_level(np.zeros((64, 64), np.float32), np.ones((64, 63), bool), PIXEL)
    with pytest.raises(InvalidSetting, match="pixel size"):
        noise_level(np.zeros((64, 64), np.float32), np.ones((64, 64), bool), -1.0)


def test_anatomy_in_most_of_the_tissue_is_not_taken_for_its_noise() -> None:
    """As in a slice of mostly lung, whose walls and vessels are all the soft tissue there is but for some muscle."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256] * 0.7  # mm
    vessels = 60 * np.sin(2 * np.pi * x / 7) * np.sin(2 * np.pi * y / 7) * (x > 60)
    hu = (40 + vessels + rng.normal(0, 10, (256, 256))).astype(np.float32)
    level = noise_level(hu, np.ones(hu.shape, bool), 0.7)
    assert level is not None
    assert level.sd == pytest.approx(10, rel=0.1)


def test_air_around_the_body_is_left_out_and_changes_nothing(
    body: np.ndarray, textured: Textured, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise, _ = textured(body.shape, PIXEL, 0.35)
    small = np.full(body.shape, -1000.0)
    small[120:300, 100:310] = (body + 20 * noise)[120:300, 100:310]
    found = _measure(small)
    monkeypatch.setattr(noise_estimate, "_box_around", lambda soft: (slice(None), slice(None)))
    assert found == _measure(small)
