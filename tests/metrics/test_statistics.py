"""Summaries: the right unit, the right coverage, the same answer twice."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch
from lowdose.metrics.statistics import paired_difference, summarise


def test_five_patients_are_resampled_as_patients() -> None:
    patients = [name for name in "abcde" for _ in range(4)]
    values = [float(ord(name)) for name in patients]
    result = summarise(values, patients, seed=0)
    assert (result.n_slices, result.n_patients, result.interval_of) == (20, 5, "patients")
    assert result.mean == 99.0
    assert result.sd == pytest.approx(np.std(values, ddof=1))
    assert result.interval is not None
    assert result.interval[0] < 99.0 < result.interval[1]


def test_a_patient_with_many_slices_counts_no_more() -> None:
    patients = ["a"] * 96 + list("bcde")
    assert summarise([10.0] * 96 + [0.0] * 4, patients, seed=0).mean == 2.0


def test_fewer_patients_are_named_as_slices() -> None:
    result = summarise([1.0, 2.0, 6.0], ["a", "a", "b"], seed=0)
    assert (result.mean, result.interval_of, result.n_patients) == (3.0, "slices", 2)
    assert "over slices" in str(result)


def test_one_slice_has_no_interval() -> None:
    result = summarise([1.5], ["a"], seed=0)
    assert (result.mean, result.sd, result.interval, result.interval_of) == (1.5, None, None, None)
    assert "no interval" in str(result)


def test_infinite_psnr_has_no_interval() -> None:
    result = summarise([math.inf, 30.0], ["a", "b"], seed=0)
    assert (result.mean, result.sd, result.interval) == (math.inf, None, None)


def test_the_seed_decides() -> None:
    values, patients = np.random.default_rng(0).normal(size=40), [i // 5 for i in range(40)]
    assert summarise(values, patients, seed=3) == summarise(values, patients, seed=3)
    assert summarise(values, patients, seed=3).interval != summarise(values, patients, seed=4).interval


def test_about_95_percent_of_slice_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(150):
        interval = summarise(rng.normal(5.0, 2.0, 40), ["one"] * 40, seed=trial).interval
        assert interval is not None
        hits += interval[0] <= 5.0 <= interval[1]
    assert 0.87 <= hits / 150 <= 0.99


def test_patients_widen_the_interval_where_their_slices_agree() -> None:
    rng = np.random.default_rng(2)
    patients = [i // 30 for i in range(360)]
    effect = rng.normal(0, 1, 12)
    values = effect[np.array(patients)] + rng.normal(0, 0.1, 360)
    honest, naive = summarise(values, patients, 0).interval, summarise(values, ["one"] * 360, 0).interval
    assert honest is not None
    assert naive is not None
    assert honest[1] - honest[0] > 3 * (naive[1] - naive[0])


def test_pairs_cancel_what_they_share() -> None:
    rng = np.random.default_rng(3)
    b = rng.normal(30, 5, 60)
    difference = paired_difference(b + rng.normal(0.5, 0.2, 60), b, [i // 10 for i in range(60)], seed=0)
    assert difference.mean == pytest.approx(0.5, abs=0.1)
    assert difference.interval is not None
    assert difference.interval[0] > 0.0
    assert paired_difference([math.inf, 1.0], [math.inf, 1.0], ["a", "b"], seed=0).mean == 0.0


@pytest.mark.parametrize(("values", "patients"), [([], []), ([1.0], ["a", "b"]), ([[1.0]], ["a"])])
def test_values_without_patients_are_refused(values: list[float], patients: list[str]) -> None:
    with pytest.raises(GeometryMismatch, match="one patient for each"):
        summarise(values, patients, seed=0)


def test_unequal_pairs_are_refused() -> None:
    with pytest.raises(GeometryMismatch, match="same slices"):
        paired_difference([1.0], [1.0, 2.0], ["a"], seed=0)
