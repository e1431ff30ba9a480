"""Pairs to judge on: by the exact simulator, once."""

from __future__ import annotations

import numpy as np

from lowdose.data.simulated import simulated_slices
from lowdose.data.simulated_validation import VALIDATION_DOSES, validation_pairs
from support.small_scanner import EXPOSURE, PIXEL, SIMULATOR, exposed, normal, water


def test_pairs_to_judge_on_are_exact_and_made_once() -> None:
    reads = []

    def read() -> np.ndarray:
        reads.append(1)
        return water()

    slices = [*(normal(n, read=read) for n in range(5)), normal(5, np.full((96, 96), 40.0, np.float32))]
    made, told = validation_pairs([[(item, exposed([item.normal])[0])] for item in simulated_slices(slices)[0]], seed=3)
    assert len(made) == 5
    assert "no air around" in told[0]
    for number, (item,) in enumerate(made):
        low, full = item.read()
        dose = VALIDATION_DOSES[number % 4]
        expected = SIMULATOR.simulate(water(), PIXEL, exposure=EXPOSURE, dose=dose, seed=3, key=f"key{number}")
        np.testing.assert_array_equal(low, expected)
        np.testing.assert_array_equal(full, water())
    assert len(reads) == 5
