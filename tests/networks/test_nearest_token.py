"""The nearest token: that of the exact distances, whatever the rounding and the pieces."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lowdose.errors import InvalidSetting
from lowdose.networks.nearest_token import BLOCK, Nearest, nearest, squared_lengths


def search(points: Tensor, table: Tensor, **options: int) -> Nearest:
    return nearest(points, table, squared_lengths(table), softmax=True, expectation=True, **options)


def distances(points: Tensor, table: Tensor) -> Tensor:
    """(N, V) squared, in float64, as they are defined."""
    return ((points.double()[:, None] - table.double()) ** 2).sum(-1)


def drawn(seed: int, count: int, words: int, width: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, width, generator=random), scale * torch.randn(words, width, generator=random)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 999), st.integers(1, 40), st.integers(1, 150), st.integers(1, 24), st.integers(1, 4000),
    st.sampled_from([1e-3, 0.02, 1.0, 30.0]),
)  # fmt: skip
def test_is_what_the_matrix_of_distances_says(
    seed: int, count: int, words: int, width: int, cells: int, scale: float
) -> None:
    points, table = drawn(seed, count, words, width, scale)
    found, exact = search(points, table, cells=cells), distances(points, table)
    assert torch.equal(found.token, exact.argmin(1))
    torch.testing.assert_close(found.distance, exact.amin(1), rtol=1e-12, atol=0)
    assert found.log_sum is not None
    assert found.expected is not None
    softmax = torch.softmax(-exact, 1)
    rounding = 1e-5 * max(1.0, float(exact.max()))
    torch.testing.assert_close(found.log_sum.double(), -softmax.amax(1).log(), rtol=0, atol=rounding)
    torch.testing.assert_close(found.expected.double(), softmax @ table.double(), rtol=0, atol=rounding * scale)


def test_what_float32_hides_is_found() -> None:
    random = torch.Generator().manual_seed(0)
    # Far from the origin the squares swallow the differences: scores near 6e6, distances near 0.01.
    points, table = (300 + 0.01 * torch.randn(size, 64, generator=random) for size in (50, 400))
    exact = distances(points, table).argmin(1)
    rounded = (2 * points @ table.t() - squared_lengths(table)).argmax(1)
    assert (rounded != exact).float().mean() > 0.5
    assert torch.equal(search(points, table).token, exact)


def test_fast_matrix_products_do_not_change_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    points, table = drawn(1, 300, 2000, 64)
    exact = distances(points, table).argmin(1)
    real = torch.addmm

    def as_bf16(added: Tensor, first: Tensor, second: Tensor, **options: object) -> Tensor:
        return real(added, first.bfloat16().float(), second.bfloat16().float(), **options)

    # Stands for a processor that multiplies so when it is allowed to.
    monkeypatch.setattr(torch, "addmm", as_bf16)
    assert not torch.equal(search(points, table).token, exact)
    allowed, before = torch.backends.mkldnn.matmul, torch.backends.mkldnn.matmul.fp32_precision
    allowed.fp32_precision = "bf16"
    try:
        assert torch.equal(search(points, table).token, exact)
    finally:
        allowed.fp32_precision = before


@pytest.mark.parametrize("words", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 3])
def test_the_first_of_equal_tokens(words: int) -> None:
    points, one = drawn(2, 3, 1, 5)
    found = search(points, one.expand(words, 5).contiguous(), cells=1)
    assert found.token.tolist() == [0, 0, 0]
    assert found.log_sum is not None
    torch.testing.assert_close(found.log_sum, torch.full((3,), float(words)).log())


def test_the_first_of_equal_tokens_in_different_pieces() -> None:
    points, table = drawn(3, 20, 300, 8)
    doubled = torch.cat([table, table])
    assert torch.equal(search(points, doubled, cells=20 * BLOCK).token, distances(points, table).argmin(1))


def test_pieces_of_any_size_give_the_same() -> None:
    points, table = drawn(4, 30, 1001, 16)
    whole = search(points, table)
    for cells in (1, 30 * BLOCK, 30 * 100, 30 * 999):
        pieces = search(points, table, cells=cells)
        assert torch.equal(pieces.token, whole.token)
        assert torch.equal(pieces.distance, whole.distance)
        torch.testing.assert_close(pieces.log_sum, whole.log_sum, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(pieces.expected, whole.expected, rtol=1e-5, atol=1e-6)


def test_only_what_is_asked_for_is_made() -> None:
    points, table = drawn(5, 4, 50, 6)
    squares = squared_lengths(table)
    bare, summed = nearest(points, table, squares), nearest(points, table, squares, softmax=True)
    assert bare.log_sum is None
    assert bare.expected is None
    assert summed.log_sum is not None
    assert summed.expected is None
    assert torch.equal(bare.token, summed.token)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_what_is_no_number_is_refused(value: float) -> None:
    points, table = drawn(6, 5, 40, 3)
    points[1, 2] = points[3, 0] = value
    with pytest.raises(InvalidSetting, match="2 of 5 latent positions"):
        search(points, table)


def test_large_but_finite_latents_are_taken() -> None:
    points, table = drawn(7, 9, 100, 4)
    assert torch.equal(search(1e7 * points, table).token, (points @ table.t()).argmax(1))
