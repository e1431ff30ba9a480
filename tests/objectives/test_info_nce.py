"""InfoNCE: its bounds, its value in closed form, and the formula written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from lowdose.objectives.info_nce import info_nce


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize("temperature", [0.07, 1.0, 10.0])
def test_equal_similarities_give_the_log_of_their_number(temperature: float) -> None:
    query = features(5, 8)
    alike = query[:, None].expand(5, 24, 8)
    found = info_nce(query, query, alike, temperature)
    torch.testing.assert_close(found, torch.full((5,), math.log(25)))


def test_it_is_never_negative_and_0_only_for_a_sure_answer() -> None:
    query, positive, negatives = features(64, 8), features(64, 8, seed=1), features(64, 24, 8, seed=2)
    assert bool((info_nce(query, positive, negatives, 0.05) >= 0).all())
    sure = info_nce(query, query, -query[:, None].expand(64, 24, 8), 0.01)
    torch.testing.assert_close(sure, torch.zeros(64))


def test_the_formula_written_out() -> None:
    query, positive, negatives = features(3, 4), features(3, 4, seed=1), features(3, 6, 4, seed=2)
    for n, found in enumerate(info_nce(query, positive, negatives, 0.5).tolist()):
        near = math.exp(float(query[n] @ positive[n]) / 0.5)
        far = sum(math.exp(float(query[n] @ negative) / 0.5) for negative in negatives[n])
        assert found == pytest.approx(-math.log(near / (near + far)), rel=1e-5)


def test_a_step_down_brings_the_query_to_its_positive_and_autocast_rounds_nothing() -> None:
    query, positive, negatives = features(3, 4).requires_grad_(), features(3, 4, seed=1), features(3, 6, 4, seed=2)
    loss = info_nce(query, positive, negatives)
    (gradient,) = torch.autograd.grad(loss.sum(), query)
    moved = query - 0.1 * gradient
    assert bool((info_nce(moved, positive, negatives) < loss).all())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(info_nce(query, positive, negatives), loss)
