"""Where the simulated noise of real slices lies."""

from __future__ import annotations

import numpy as np
import pytest
from experiments.physics.noise_placement import local_sd, placement
from experiments.physics.real_pairs import real_pairs

from support.shared_scans import SHARED_CT

PAIRS = SHARED_CT / "pairs" / "mayo-2016"


def test_local_sd_of_known_noise() -> None:
    sd = np.repeat([[5.0, 20.0]], 64, axis=1)
    found = local_sd(sd * np.random.default_rng(0).normal(size=(128, 128)))
    assert np.median(found[:, 20:44]) == pytest.approx(5, rel=0.05)
    assert np.median(found[:, 84:108]) == pytest.approx(20, rel=0.05)


@pytest.mark.long
@pytest.mark.data
@pytest.mark.skipif(not PAIRS.exists(), reason="needs the shared pairs")
def test_simulated_noise_lies_where_the_noise_of_real_pairs_lies() -> None:
    rows = [placement(pair) for pair in real_pairs([PAIRS])]
    assert len(rows) == 21
    assert min(row["spiral"] for row in rows) > 0.6
    assert np.median([row["spiral"] for row in rows]) > 0.85
    assert min(row["spiral"] - row["axial"] for row in rows) > -0.01
