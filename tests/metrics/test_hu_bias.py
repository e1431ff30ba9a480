"""Tissue regions of a synthetic body and the bias in them."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch
from lowdose.metrics.hu_bias import TISSUES, tissue_bias, tissue_masks, tissue_means


def test_regions_are_pure_and_apart(body: np.ndarray) -> None:
    masks = tissue_masks(body)
    assert {"fat", "soft tissue", "enhanced"} <= set(masks) <= set(TISSUES)
    assert not np.any(np.sum(list(masks.values()), axis=0) > 1)
    means = tissue_means(body, body)
    for tissue, (mean,) in means.items():
        assert TISSUES[tissue].low < mean < TISSUES[tissue].high
    assert means["fat"][0] == pytest.approx(-100, abs=2)
    assert min(np.count_nonzero(mask) for mask in masks.values()) >= 400


def test_a_shift_is_found_where_it_is(body: np.ndarray) -> None:
    shifted = body + np.where(body < -30, np.float32(-7), np.float32(3))
    bias = tissue_bias(shifted, body, body)
    assert bias["fat"] == pytest.approx(-7.0, abs=0.01)
    assert bias["soft tissue"] == pytest.approx(3.0, abs=0.2)


def test_noise_alone_is_no_bias(body: np.ndarray) -> None:
    noisy = body + np.random.default_rng(0).normal(0, 30, body.shape).astype(np.float32)
    bias = tissue_bias(noisy, body, mask_source=body)
    assert all(abs(value) < 3 for value in bias.values())


def test_several_images_share_one_set_of_regions(body: np.ndarray) -> None:
    means = tissue_means(body, body, body + np.float32(5))
    assert all(second - first == pytest.approx(5.0, abs=1e-3) for first, second in means.values())


def test_small_regions_and_padding_are_left_out(body: np.ndarray) -> None:
    assert tissue_masks(body[:8, :8]) == {}
    valid = np.zeros(body.shape, dtype=bool)
    assert tissue_masks(body, valid) == {}
    valid[:, :160] = True
    assert all(not mask[:, 158:].any() for mask in tissue_masks(body, valid).values())


def test_images_that_do_not_fit_are_refused(body: np.ndarray) -> None:
    with pytest.raises(GeometryMismatch, match="does not fit"):
        tissue_bias(body[:-1], body, body)
    with pytest.raises(GeometryMismatch, match="mask"):
        tissue_masks(body, np.ones((2, 2), bool))
