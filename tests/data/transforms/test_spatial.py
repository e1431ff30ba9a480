"""Bending: image and labels stay together, known ramps come back as known ramps, and every draw is in its range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.batch import UNKNOWN
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.image import AIR

NONE = {"turn": 0.0, "stretch": 0.0, "reach": (0.0, 0.0), "odd": 0.0}
"""Settings under which nothing but the zoom and the shift is left."""


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def ramps(shape: tuple[int, int], pixel_mm: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Two images: how far down, and how far along a pixel lies, mm from the middle."""
    y, x = ((np.arange(n) - (n - 1) / 2) * side for n, side in zip(shape, pixel_mm, strict=True))
    return tuple(np.broadcast_to(part, shape).astype(np.float32) for part in (y[:, None], x[None]))  # type: ignore[return-value]


def bent(
    bending: RandomElasticAffine, image: np.ndarray, pixel_mm: tuple[float, float], size: int, seed: int
) -> np.ndarray:
    return bending.apply(image, np.zeros(image.shape, np.uint8), pixel_mm, size, rng(seed))[0]


def matrix(bending: RandomElasticAffine, pixel_mm: tuple[float, float], size: int, seed: int) -> np.ndarray:
    """mm down and along the slice for a pixel down and along the result, (2, 2), read from the middle of two ramps."""
    middle = (slice(size // 2 - 2, size // 2 + 3),) * 2
    found = []
    for ramp in ramps((100, 90), pixel_mm):
        down, along = np.gradient(bent(bending, ramp, pixel_mm, size, seed)[middle])
        found.append((down.mean(), along.mean()))
    return np.array(found)


def test_sizes_types_and_that_nothing_given_is_changed() -> None:
    hu, labels = rng(0).normal(0, 100, (50, 40)).astype(np.float32), np.full((50, 40), 3, np.uint8)
    before = hu.copy()
    image, named = RandomElasticAffine().apply(hu, labels, (1.0, 0.8), 64, rng(1))
    np.testing.assert_array_equal(hu, before)
    assert (labels == 3).all()
    assert (image.shape, image.dtype, named.shape, named.dtype) == ((64, 64), np.float32, (32, 32), np.uint8)


def test_the_same_draw_gives_the_same_slice() -> None:
    image = ramps((60, 60), (1, 1))[0]
    one, again, other = (bent(RandomElasticAffine(), image, (5.0, 5.0), 32, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@given(seed=st.integers(0, 1000), shape=st.tuples(st.integers(60, 90), st.integers(60, 90)))
@settings(max_examples=25, deadline=None)
def test_without_bending_it_is_the_slice_shifted_by_at_most_an_eighth(seed: int, shape: tuple[int, int]) -> None:
    bending, plain = RandomElasticAffine(field_mm=(32.0, 32.0), **NONE), ramps((32, 32), (1.0, 1.0))
    for axis, ramp in enumerate(ramps(shape, (1.0, 1.0))):
        shift = bent(bending, ramp, (1.0, 1.0), 32, seed) - plain[axis]
        np.testing.assert_allclose(shift, shift[0, 0], atol=1e-3)
        assert abs(shift[0, 0]) <= 0.12 * shape[axis] + 1e-3


def test_shifts_reach_both_ways() -> None:
    bending, ramp = RandomElasticAffine(field_mm=(32.0, 32.0), **NONE), ramps((80, 80), (1.0, 1.0))[0]
    shifts = np.array([bent(bending, ramp, (1.0, 1.0), 32, seed).mean() for seed in range(150)])
    assert -0.12 * 80 <= shifts.min() < -0.1 * 80
    assert 0.1 * 80 < shifts.max() <= 0.12 * 80


def test_what_is_seen_is_as_wide_as_drawn_whatever_the_pixel() -> None:
    bending = RandomElasticAffine(field_mm=(100.0, 400.0), **NONE)
    scales = []
    for seed in range(150):
        found = matrix(bending, (6.0, 7.0), 50, seed)
        np.testing.assert_allclose(found, found[0, 0] * np.eye(2), atol=1e-3)
        scales.append(found[0, 0])
    widths = np.log(np.array(scales) * 50 / 100) / np.log(4)
    assert -1e-4 <= widths.min() < 0.05
    assert 0.95 < widths.max() <= 1 + 1e-4
    assert widths.mean() == pytest.approx(0.5, abs=0.08)  # log-uniform


def test_turns_have_their_spread_and_keep_right_angles() -> None:
    bending = RandomElasticAffine(field_mm=(200.0, 200.0), **{**NONE, "turn": 10.0})
    angles = []
    for seed in range(150):
        found = matrix(bending, (6.0, 7.0), 50, seed) / (200 / 50)
        np.testing.assert_allclose(found @ found.T, np.eye(2), atol=2e-3)
        assert np.linalg.det(found) == pytest.approx(1, abs=2e-3)
        angles.append(np.degrees(np.arctan2(found[0, 1], found[0, 0])))
    assert np.std(angles) == pytest.approx(10, rel=0.2)
    assert abs(np.mean(angles)) < 2.5


def test_stretches_have_their_spread_and_an_end() -> None:
    bending = RandomElasticAffine(field_mm=(200.0, 200.0), **{**NONE, "stretch": 0.1})
    found = np.array([matrix(bending, (6.0, 6.0), 50, seed) / (200 / 50) - np.eye(2) for seed in range(150)])
    assert np.abs(found).max() <= 0.2 + 1e-3
    np.testing.assert_allclose(found.std(axis=0), 0.09, rtol=0.25)  # a normal distribution cut at two SD


def test_the_share_of_slices_lying_oddly() -> None:
    bending = RandomElasticAffine(field_mm=(200.0, 200.0), **{**NONE, "odd": 0.5})
    found = [tuple(np.rint(matrix(bending, (6.0, 6.0), 50, seed) / 4).astype(int).ravel()) for seed in range(150)]
    odd = [turned for turned in found if turned != (1, 0, 0, 1)]
    assert 0.35 < len(odd) / len(found) < 0.65
    # Turned by a half and by a quarter either way; never in a mirror, in which the liver would lie on the left.
    assert set(odd) == {(-1, 0, 0, -1), (0, 1, -1, 0), (0, -1, 1, 0)}


def test_displacements_are_smooth_and_as_far_as_their_share_of_the_width() -> None:
    for reach in ((0.05, 0.0), (0.0, 0.02)):
        bending = RandomElasticAffine(field_mm=(64.0, 64.0), **{**NONE, "reach": reach})
        moved = []
        for seed in range(60):
            ramp = ramps((160, 160), (1.0, 1.0))[seed % 2]
            offset = bent(bending, ramp, (1.0, 1.0), 64, seed) - ramps((64, 64), (1.0, 1.0))[seed % 2]
            moved.append(offset - offset.mean())
        # The SD is uniform up to ``reach``, a third of whose square is the mean square; the spline takes a part of it.
        assert 0.4 < np.sqrt(np.mean(np.square(moved))) / (max(reach) * 64 / np.sqrt(3)) < 1.1


def test_no_slice_is_folded_over() -> None:
    bending, ramp = (
        RandomElasticAffine(field_mm=(64.0, 64.0), **{**NONE, "reach": RandomElasticAffine().reach}),
        ramps((160, 160), (1.0, 1.0)),
    )
    for seed in range(60):
        assert np.diff(bent(bending, ramp[0], (1.0, 1.0), 64, seed), axis=0).min() > 0
        assert np.diff(bent(bending, ramp[1], (1.0, 1.0), 64, seed), axis=1).min() > 0


def test_beyond_the_slice_there_is_air_without_a_label() -> None:
    hu, labels = np.full((40, 40), 50.0, np.float32), np.full((40, 40), UNKNOWN, np.uint8)
    image, named = RandomElasticAffine(field_mm=(100.0, 100.0), **NONE).apply(hu, labels, (1.0, 1.0), 64, rng(0))
    assert set(np.unique(named)) == {0, UNKNOWN}
    assert image.min() == AIR
    assert image.max() == pytest.approx(50, abs=1e-3)
    # 40 mm of 100 mm, each way.
    assert (named > 0).mean() == pytest.approx(0.16, abs=0.02)
    assert (image > -475).mean() == pytest.approx(0.16, abs=0.01)


def disc(shape: tuple[int, int], pixel_mm: tuple[float, float], radius_mm: float) -> np.ndarray:
    """HU whose edge is one pixel wide, -1000 to 1000."""
    y, x = ramps(shape, pixel_mm)
    distance = np.hypot(y, x)
    return (1000 * np.clip((radius_mm - distance) / max(pixel_mm), -1, 1)).astype(np.float32)


@given(seed=st.integers(0, 10**6), pixel_mm=st.sampled_from([(2.0, 2.0), (1.6, 2.5), (2.5, 1.6)]))
@settings(max_examples=40, deadline=None)
def test_labels_lie_on_the_image_however_it_is_bent(seed: int, pixel_mm: tuple[float, float]) -> None:
    hu = disc((150, 150), pixel_mm, 60.0)
    image, named = RandomElasticAffine(odd=0.5).apply(hu, (hu > 0).astype(np.uint8), pixel_mm, 128, rng(seed))
    half = image.reshape(64, 2, 64, 2).mean(axis=(1, 3))  # the mean of the four pixels that a label is for
    wrong = (half > 0) != (named > 0)
    # Only where the edge runs through: the nearest label is up to half a slice pixel off.
    assert 2 * wrong.sum() / ((half > 0).sum() + (named > 0).sum()) < 0.04
    assert np.abs(half[wrong]).max(initial=0) < 1000


def test_labels_are_not_half_a_pixel_off() -> None:
    hu = disc((256, 256), (1.0, 1.0), 60.0)
    offsets = []
    for seed in range(30):
        image, named = RandomElasticAffine((256.0, 256.0)).apply(
            hu, (hu > 0).astype(np.uint8), (1.0, 1.0), 128, rng(seed)
        )
        seen = np.argwhere(image > 0).mean(axis=0) + 0.5
        meant = 2 * (np.argwhere(named).mean(axis=0) + 0.5)
        offsets.append(meant - seen)
    np.testing.assert_allclose(np.mean(offsets, axis=0), 0, atol=0.12)
    assert np.abs(offsets).max() < 0.25


def test_labels_are_as_large_as_what_they_name() -> None:
    # Of few large pixels, where a count from corner to corner instead of side to side would show.
    hu = disc((40, 40), (6.4, 6.4), 100.0)
    ratios = []
    for seed in range(20):
        image, named = RandomElasticAffine((256.0, 256.0), **NONE).apply(
            hu, (hu > 0).astype(np.uint8), (6.4, 6.4), 128, rng(seed)
        )
        ratios.append((named > 0).mean() / (image > 0).mean())
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)


def test_every_field_needs_its_reach() -> None:
    with pytest.raises(ValueError, match="shorter"):
        bent(RandomElasticAffine(reach=(0.1,)), np.zeros((20, 20), np.float32), (1.0, 1.0), 32, 0)
