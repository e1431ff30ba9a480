"""Draws depend on the number of a sample alone: not on its place in a batch, nor on what was drawn before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lowdose.sample_draws import distinct_draws, independent_draws, normal_draws, uniform_draws

DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": lambda number: uniform_draws(number, 3),
    "independent": lambda number: independent_draws(number, 3),
    "distinct": lambda number: distinct_draws(number, 3, 9),
    "normal": lambda number: normal_draws(number, (3, 2)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_they_depend_on_the_number_alone(name: str) -> None:
    draw = DRAWS[name]
    together = draw(torch.tensor([5, 900, 7]))
    torch.rand(10)
    torch.testing.assert_close(draw(torch.tensor([900])), together[1:2], rtol=0, atol=0)
    assert not torch.equal(together[0], together[2])


def test_they_have_the_distribution_that_they_are_called_by() -> None:
    number = torch.arange(400)
    for values in (uniform_draws(number, 2), independent_draws(number, 50)):
        assert 0 <= float(values.min()) <= float(values.max()) < 1
        assert abs(float(values.mean()) - 0.5) < 0.01
        assert abs(float(values.var()) - 1 / 12) < 0.002
    normal = normal_draws(number, (50,))
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.02
    assert all(len(set(row)) == 4 for row in distinct_draws(number[:20], 4, 5).tolist())
    assert not torch.equal(normal_draws(number[:1], (5,), 0), normal_draws(number[:1], (5,), 1))
