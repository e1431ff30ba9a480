"""The semantic loss, LEDA's Eq. 1: closed forms, the formula written out, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.networks.nearest_token import squared_lengths
from lowdose.networks.pyramid_quantiser import PyramidQuantiser
from lowdose.networks.semantic_loss import pool_moments
from support.reference_pyramid import slow_pyramid

POOLS = [[3], [3, 17, 40], [0, 3, 17, 40, 59]]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tensors(pools: list[list[int]]) -> list[Tensor]:
    return [torch.tensor(pool) for pool in pools]


def eq1(latents: Tensor, table: Tensor, pools: list[list[list[int]]], layers: int = 3) -> Tensor:
    module = PyramidQuantiser(table, layers).to(table.dtype)
    loss = module(latents, [tensors(image) for image in pools]).semantic
    assert loss is not None
    return loss


@pytest.mark.parametrize(("words", "pool"), [(10, [4]), (300, [0, 7, 299]), (49408, [5, 49407])])
def test_equally_far_from_every_token_it_is_the_logarithm_of_the_vocabulary(words: int, pool: list[int]) -> None:
    table = functional.normalize(drawn(0, words, 6), dim=1)
    loss = eq1(torch.zeros(1, 6, 1, 1), table, [[pool]], layers=1)
    assert float(loss.detach()) == pytest.approx(math.log(words), abs=1e-5)
    if words == 49408:
        assert float(loss.detach()) == pytest.approx(10.808, abs=5e-4)


def test_it_vanishes_on_the_one_candidate_when_that_stands_alone() -> None:
    table = 20 * torch.eye(12)
    on_it = table[7].view(1, 12, 1, 1).expand(1, 12, 8, 8)
    assert 0 <= float(eq1(on_it, table, [[[7]] * 3])) < 1e-6
    assert float(eq1(on_it, table, [[[2]] * 3])) == pytest.approx(800, rel=1e-5)


@settings(deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.02, 1.0, 20.0]), st.lists(st.integers(0, 39), min_size=1, max_size=9))
def test_it_is_never_negative(seed: int, scale: float, pool: list[int]) -> None:
    assert float(eq1(scale * drawn(seed, 1, 5, 3, 2), scale * drawn(seed + 1, 40, 5), [[pool]], layers=1)) >= 0


def test_value_and_gradient_are_those_of_the_formula_written_out() -> None:
    table, latents = drawn(1, 60, 6), drawn(2, 2, 6, 12, 9)
    pools = [POOLS, [[5, 6], [5, 6, 7], [5, 6, 7, 8]]]
    slow = latents.double().requires_grad_()
    per_image = [slow_pyramid(image, table, own)["semantic"] for image, own in zip(slow, pools, strict=True)]
    # Nested as printed: mean over layers of means over positions (and images) of means over candidates.
    expected = torch.stack([torch.stack(losses).mean() for losses in per_image]).mean()
    expected.backward()
    fast = latents.clone().requires_grad_()
    loss = eq1(fast, table, pools)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=1e-4, atol=1e-7)


def test_gradient_is_that_of_finite_differences() -> None:
    table, latents = 0.5 * drawn(3, 60, 2).double(), 0.5 * drawn(4, 1, 2, 8, 8).double()
    module = PyramidQuantiser(table).double()
    image = [tensors(POOLS)]
    assert torch.autograd.gradcheck(lambda z: module(z, image).semantic, latents.requires_grad_())


def test_gradient_leads_to_the_candidates() -> None:
    table = drawn(5, 60, 6)
    latents = drawn(6, 1, 6, 8, 8).requires_grad_()
    optimiser = torch.optim.Adam([latents], lr=0.3)
    for _ in range(40):
        optimiser.zero_grad()
        eq1(latents, table, [[[11]] * 3]).backward()
        optimiser.step()
    tokens = PyramidQuantiser(table)(latents.detach()).indices
    assert all(bool((layer == 11).all()) for layer in tokens)


def test_there_is_no_second_derivative_and_it_says_so() -> None:
    latents = drawn(7, 1, 6, 8, 8).requires_grad_()
    with pytest.raises(NotImplementedError, match="no second derivative"):
        torch.autograd.grad(eq1(latents, drawn(8, 60, 6), [POOLS]), latents, create_graph=True)


def test_without_gradient_the_value_is_the_same() -> None:
    latents, table = drawn(9, 1, 6, 8, 8), drawn(10, 60, 6)
    assert torch.equal(eq1(latents, table, [POOLS]), eq1(latents.requires_grad_(), table, [POOLS]).detach())


@settings(deadline=None)
@given(st.integers(0, 999), st.lists(st.lists(st.integers(0, 29), min_size=1, max_size=30), min_size=1, max_size=4))
def test_a_pool_is_its_mean_and_its_spread(seed: int, pools: list[list[int]]) -> None:
    table, point = drawn(seed, 30, 5), drawn(seed + 1, 5)
    mean, spread = pool_moments(tensors(pools), table, squared_lengths(table))
    for image, pool in enumerate(pools):
        expected = ((point - table[pool]) ** 2).sum(1).mean()
        torch.testing.assert_close((point - mean[image]).square().sum() + spread[image], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ([], "of 0 images for a batch of 1"),
        ([tensors(POOLS)] * 2, "of 2 images for a batch of 1"),
        ([tensors(POOLS)[:2]], "2 candidate pools, the pyramid 3 layers"),
        ([[torch.tensor([1]), torch.tensor([], dtype=torch.int64), torch.tensor([1])]], "layer 2 is empty"),
        ([tensors([[1], [1], [60]])], "layer 3 names token 60, the codebook has 0 to 59"),
        ([tensors([[-1], [1], [1]])], "layer 1 names token -1"),
        ([[torch.ones(2), *tensors(POOLS)[1:]]], "float32: give a list of token numbers"),
        ([[torch.ones(60, dtype=torch.bool), *tensors(POOLS)[1:]]], "bool: give a list of token numbers"),
        ([[torch.ones(2, 2, dtype=torch.int64), *tensors(POOLS)[1:]]], r"\(2, 2\)"),
    ],
)
def test_pools_that_do_not_fit_are_refused(pools: list[list[Tensor]], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        PyramidQuantiser(drawn(0, 60, 6))(drawn(1, 1, 6, 8, 8), pools)


def test_pools_of_positions_are_those_of_each_position() -> None:
    table, latents = drawn(1, 60, 6), drawn(2, 2, 6, 12, 9)
    # The same pool at every position is one pool for the image.
    positions = (1, 3 * 2, 12 * 9)
    images = [POOLS, [[5, 6], [5, 6, 7], [5, 6, 7, 8]]]
    spread = [
        [[torch.tensor(pool)] * count for pool, count in zip(image, positions, strict=True)]
        for image in images
    ]  # fmt: skip
    module = PyramidQuantiser(table)
    torch.testing.assert_close(module(latents, spread).semantic, eq1(latents, table, images))


def test_positions_without_candidates_and_finer_layers_take_no_part() -> None:
    table, latents = drawn(1, 60, 6), drawn(2, 1, 6, 12, 9).requires_grad_()
    nothing = torch.zeros(0, dtype=torch.int64)
    own = [[nothing], [nothing, torch.tensor([4, 9]), *[nothing] * 4]]
    module = PyramidQuantiser(table)
    loss = module(latents, [own]).semantic
    slow = latents.detach().double()[0, :, 3, 7]
    scores = -((slow - table.double()) ** 2).sum(1)
    wanted = -(scores - scores.logsumexp(0))[[4, 9]].mean()
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, latents)
    moved = gradient.abs().sum((0, 1))
    assert bool(moved[3, 7] > 0)
    assert int((moved > 0).sum()) == 1
    assert module(latents, [[[nothing]]]).semantic is None


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ([[[torch.tensor([1])] * 2]], "layer 1 has 1 positions and 2 candidate pools"),
        ([[[torch.tensor([99])]]], "names token 99"),
        ([[[torch.tensor([1])], [torch.tensor([1])]], [[torch.tensor([1])]]], "image 1 has 1 candidate pools"),
    ],
)
def test_pools_of_positions_that_do_not_fit_are_refused(pools: list[list[list[Tensor]]], message: str) -> None:
    latents = drawn(0, len(pools), 6, 12, 9)
    with pytest.raises(InvalidSetting, match=message):
        PyramidQuantiser(drawn(1, 60, 6))(latents, pools)
