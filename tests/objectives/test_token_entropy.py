"""Use of a codebook: closed forms, bounds, and a gradient that spreads latents over the tokens."""

from __future__ import annotations

import math

import pytest
import torch

from lowdose.objectives.token_entropy import unused_entropy


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_written_out() -> None:
    latents, codebook = drawn(0, 5, 3).double(), drawn(1, 7, 3).double()
    shares = torch.zeros(7, dtype=torch.float64)
    for z in latents:
        weights = torch.exp(-2.0 * ((z - codebook) ** 2).sum(1))
        shares += weights / weights.sum() / len(latents)
    slow = math.log(7) + float((shares * shares.log()).sum())
    assert float(unused_entropy(latents, codebook, 2.0)) == pytest.approx(slow)


@pytest.mark.parametrize("tokens", [1, 2, 4, 16])
def test_so_many_tokens_in_use(tokens: int) -> None:
    codebook = torch.eye(16)
    latents = codebook[:tokens].repeat(3, 1)
    assert float(unused_entropy(latents, codebook, 200.0)) == pytest.approx(math.log(16 / tokens), abs=1e-4)


def test_it_lies_between_0_and_the_logarithm_of_the_vocabulary() -> None:
    for seed in range(20):
        value = float(unused_entropy(10 * drawn(seed, 6, 4), drawn(seed + 50, 30, 4), 1.0))
        assert -1e-5 <= value <= math.log(30) + 1e-5


def test_its_gradient_brings_more_tokens_into_use_and_leaves_the_codebook_alone() -> None:
    codebook = torch.nn.functional.normalize(drawn(0, 40, 8), dim=1).requires_grad_()
    latents = (0.1 * drawn(1, 60, 8) + codebook[:1].detach()).requires_grad_()

    def used() -> int:
        return len(set(torch.cdist(latents, codebook).argmin(1).tolist()))

    before, optimiser = used(), torch.optim.Adam([latents], 0.05)
    for _ in range(60):
        optimiser.zero_grad()
        unused_entropy(latents, codebook, 20.0).backward()
        optimiser.step()
    assert codebook.grad is None
    assert used() > 3 * before
