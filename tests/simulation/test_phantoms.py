"""Every phantom that can be named can be built."""

from __future__ import annotations

import json

import pytest

from lowdose.errors import InvalidSetting
from lowdose.simulation.phantoms import PHANTOMS, build_phantom


@pytest.mark.parametrize("name", sorted(PHANTOMS))
def test_every_phantom_is_built_with_its_facts(name: str) -> None:
    made = build_phantom(name, 1, 1)
    assert made.body.hu.shape == (1, 512, 512)
    assert made.body.hu.min() == -1000
    assert made.body.hu.max() > -1000
    assert ("labels" in made.ground_truth) == (made.labels is not None)
    assert made.ground_truth.get("inserts") or made.ground_truth.get("build")
    json.dumps(made.ground_truth)


@pytest.mark.parametrize(
    ("name", "seed", "slices"), [("head", 0, 1), ("water", -1, 1), ("water", 0, 0), ("trunk", 0, 401)]
)
def test_impossible_phantoms_are_refused(name: str, seed: int, slices: int) -> None:
    with pytest.raises(InvalidSetting):
        build_phantom(name, seed, slices)
