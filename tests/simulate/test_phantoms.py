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
    assert ("labels" in made.facts) == (made.labels is not None)
    assert made.facts.get("inserts") or made.facts.get("build")
    json.dumps(made.facts)


@pytest.mark.parametrize(
    ("name", "seed", "slices"), [("head", 0, 1), ("water", -1, 1), ("water", 0, 0), ("trunk", 0, 401)]
)
def test_what_cannot_be_built(name: str, seed: int, slices: int) -> None:
    with pytest.raises(InvalidSetting):
        build_phantom(name, seed, slices)
