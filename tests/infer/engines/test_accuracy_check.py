"""The HU gate: what it measures, what it lets pass, and the slice it measures on."""

import numpy as np
import pytest
import torch

from lowdose.infer.engines import accuracy_check
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.metrics.noise_estimate import noise_level


def test_differences_match_their_definitions() -> None:
    reference = np.zeros((100, 100))
    result = np.full((100, 100), 0.5, np.float32)
    result[0, 0] = 20.0
    found = Difference.between(reference, result)
    assert found.bias == pytest.approx((0.5 * 9999 + 20) / 10000)
    assert found.rms == pytest.approx(np.sqrt((0.25 * 9999 + 400) / 10000))
    assert found.most == 20.0
    assert found.p999 == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_counts_as_an_infinite_difference(bad: float) -> None:
    result = np.zeros((4, 4), np.float32)
    result[1, 1] = bad
    found = Difference.between(np.zeros((4, 4)), result)
    assert found.most == np.inf
    assert found.fault("exact")
    assert found.fault("fast")


@pytest.mark.parametrize(
    ("apart", "exact", "fast"),
    [
        (Difference(0.0, 0.001, 0.004, 0.01), "", ""),
        (Difference(0.0, 0.001, 0.004, 0.011), "0.011 HU", ""),
        (Difference(-0.2, 1.0, 8.0, 50.0), "50 HU", ""),
        (Difference(-0.21, 0.9, 2.0, 3.0), "3 HU", "bias 0.21"),
        (Difference(0.1, 1.01, 2.0, 3.0), "3 HU", "rms 1.01"),
        (Difference(0.1, 0.9, 8.1, 9.0), "9 HU", "99.9th percentile 8.1"),
        (Difference(float("nan"), 0.9, 1.0, 9.0), "9 HU", "bias nan"),
    ],
)
def test_limits_of_the_check(apart: Difference, exact: str, fast: str) -> None:
    for accuracy, told in (("exact", exact), ("fast", fast)):
        assert bool(apart.fault(accuracy)) == bool(told)
        assert told in apart.fault(accuracy)


def test_the_built_in_slice_is_a_noisy_trunk_and_always_the_same() -> None:
    slices = accuracy_check.reference_slice(3)
    assert slices.shape == (1, 3, accuracy_check.SIDE, accuracy_check.SIDE)
    assert slices.dtype == torch.float32
    assert torch.equal(slices, accuracy_check.reference_slice(3))
    assert torch.equal(slices[:, :1], accuracy_check.reference_slice())
    hu = accuracy_check.reference_slice()[0, 0].numpy()
    for low, high in ((-1100, -950), (-900, -780), (-150, -50), (0, 90), (600, 1000)):
        assert ((hu > low) & (hu < high)).mean() > 0.002
    level = noise_level(hu, np.ones(hu.shape, bool), 1.0)
    assert level is not None
    assert level.sd == pytest.approx(30.0, rel=0.15)
