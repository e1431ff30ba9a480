"""Drift: the formula written out slowly on latents made by hand, and what is flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch
from lowdose.language import drift
from lowdose.language.explanation import ExplainedLayer, Explanation
from lowdose.language.word_limits import WordLimits

LIMITS = WordLimits(drift_floor=0.1, drift_times=4.0, drift_far=0.5)
SPANS = tuple((4 * n, 4 * n + 4) for n in range(4))


def layer() -> ExplainedLayer:
    tokens = np.arange(16).reshape(4, 4)
    words = tuple(tuple(f"w{n}" for n in line) for line in tokens)
    yes, zeros = np.ones((4, 4), bool), np.zeros((4, 4), np.float32)
    return ExplainedLayer(tokens, words, yes, zeros, None, SPANS, SPANS, zeros, zeros, yes)


def made(latents: np.ndarray) -> Explanation:
    """Cells of one pixel, regions of 4 x 4 cells, words twice as long as a unit."""
    return Explanation((layer(), layer()), latents.astype(np.float32), latents, 2.0, 1, (16, 16), LIMITS)


def test_score_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 3, 16, 16)).astype(np.float32)
    found = drift.measure_drift(made(before), made(after))
    for row in range(4):
        for column in range(4):
            squares = [
                sum((after[c, y, x] - before[c, y, x]) ** 2 for c in range(3))
                for y in range(4 * row, 4 * row + 4)
                for x in range(4 * column, 4 * column + 4)
            ]
            assert found.score[row, column] == pytest.approx((sum(squares) / 16) ** 0.5 / 2.0, rel=1e-5)
    assert found.usual == pytest.approx(np.quantile(found.score, 0.75), rel=1e-5)


def test_one_place_is_flagged_and_noise_everywhere_is_not() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(size=(3, 16, 16))
    noisy = before + rng.normal(0, 0.4, before.shape)
    honest = drift.measure_drift(made(before), made(noisy))
    assert honest.score.min() > LIMITS.drift_floor
    assert not honest.flagged.any()
    noisy[:, 5, 9] += 40
    found = drift.measure_drift(made(before), made(noisy))
    assert np.argwhere(found.flagged).tolist() == [[1, 2]]


def test_the_same_is_no_drift_and_little_of_it_stays_below_the_floor() -> None:
    before = np.zeros((3, 16, 16))
    assert not drift.measure_drift(made(before), made(before)).flagged.any()
    for step, flagged in ((0.99, False), (1.01, True)):
        after = before.copy()
        after[0, :4, :4] = step * LIMITS.drift_floor * 2.0
        assert bool(drift.measure_drift(made(before), made(after)).flagged.any()) is flagged


def test_another_image_altogether_is_flagged_everywhere() -> None:
    before = np.zeros((3, 16, 16))
    assert drift.measure_drift(made(before), made(before + 10 * LIMITS.drift_far)).flagged.all()


def test_sizes_must_fit() -> None:
    one = made(np.zeros((3, 16, 16)))
    with pytest.raises(GeometryMismatch, match=r"\(16, 16\) and \(8, 16\)"):
        drift.measure_drift(one, replace(one, shape=(8, 16)))


def test_limits_are_those_of_the_autoencoder() -> None:
    before, after = np.zeros((3, 16, 16)), np.zeros((3, 16, 16))
    after[0, :4, :4] = 0.3 * 2.0  # a score of 0.3 in one region, nothing elsewhere
    for floor, flagged in ((0.2, True), (0.4, False)):
        given = replace(made(before), limits=WordLimits(drift_floor=floor))
        found = drift.measure_drift(given, made(after))
        assert bool(found.flagged.any()) is flagged
        assert found.limit == floor


def test_a_word_that_is_lost_has_moved() -> None:
    one = made(np.zeros((3, 16, 16)))
    words = [list(line) for line in one.layers[1].words]
    words[2][1] = "no word"
    other = replace(one, layers=(one.layers[0], replace(one.layers[1], words=tuple(map(tuple, words)))))
    assert np.argwhere(drift.measure_drift(one, other).moved).tolist() == [[2, 1]]
