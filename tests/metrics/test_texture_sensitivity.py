"""B, D, axis and leak of features whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics import noise_distance_ratio, systematic_share, texture_axis_share, texture_leakage


def white(count: int = 32, side: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, (count, 1, side, side))


def test_white_noise_in_pixels_is_blind() -> None:
    shares = [systematic_share(white(seed=seed), np.zeros((1, 64, 64))) for seed in range(20)]
    assert np.abs(shares).max() < 0.02  # 1/n would be 0.03
    assert np.mean([noise_distance_ratio(white(seed=seed), np.zeros((1, 64, 64))) for seed in range(4)]) == (
        pytest.approx(2.0, abs=0.05)
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_known_mixture(share: float) -> None:
    # A part that is the same for all realisations, and one of the rest of the power that is not.
    features = 20 * np.sqrt(share) + np.sqrt(1 - share) * white(64, 128)
    assert systematic_share(features, np.zeros((1, 128, 128))) == pytest.approx(share, abs=0.02)
    assert noise_distance_ratio(features, np.zeros((1, 128, 128))) == pytest.approx(2 * (1 - share), abs=0.04)


def test_neither_scale_nor_content_matters() -> None:
    content = np.random.default_rng(1).normal(0, 500, (1, 64, 64))
    features = 10 + white()
    found = systematic_share(features, np.zeros((1, 64, 64)))
    assert systematic_share(1e-3 * (features + content), 1e-3 * content) == pytest.approx(found)


def test_axis_share_of_one_bright_channel() -> None:
    content = np.random.default_rng(0).normal(size=(4, 100, 100))
    for bright, wanted in ((0.0, None), (1.0, 0.25 * 1.25 / 1.0625), (10.0, 26 / 29)):
        noisy = content + np.array([bright, 0, 0, 0])[:, None, None]
        if wanted is None:
            with pytest.raises(InvalidSetting, match="does not change"):
                texture_axis_share(np.stack([noisy, noisy]), content)
        else:  # variance 1 in each channel, and bright^2 / 4 along the first
            assert texture_axis_share(np.stack([noisy, noisy]), content) == pytest.approx(wanted, abs=0.01)


def test_leakage_is_the_ratio_of_the_halves() -> None:
    change = np.zeros((2, 8, 10))
    change[..., :5], change[..., 5:] = 2.0, 0.5
    assert texture_leakage(change, np.zeros((2, 8, 10))) == pytest.approx(0.0625)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(GeometryMismatch, match=r"\(4, 1, 8, 8\) and of the smooth one \(8, 8\)"):
        systematic_share(np.ones((4, 1, 8, 8)), np.zeros((8, 8)))
    with pytest.raises(InvalidSetting, match="3 realisations"):
        noise_distance_ratio(np.ones((3, 8)), np.zeros(8))
