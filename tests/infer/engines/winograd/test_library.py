"""Convolutions by minimal filtering: the same sums as PyTorch's in float64, for every size, padding and ending."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lowdose.infer.engines.winograd import library
from lowdose.infer.engines.winograd.library import TILES, PackedConvolution

needs_build = pytest.mark.skipif(library.load_library() is None, reason="the convolutions were not compiled here")
KINDS = ["avx512", "avx2", "portable"]


def activated(x: Tensor, slope: float) -> Tensor:
    return torch.maximum(x, slope * x)


def by_definition(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Every output as the sum of its window times the filter, in float64; shares nothing with any convolution."""
    kernel = weight.shape[-1]
    padded = functional.pad(x.double(), (padding,) * 4)
    windows = padded.unfold(2, kernel, 1).unfold(3, kernel, 1)
    summed = torch.einsum("bcyxij,ocij->boyx", windows, weight.double())
    return summed if bias is None else summed + bias.double()[:, None, None]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every build in turn, as far as this processor runs it."""
    capability = torch.backends.cpu.get_cpu_capability()
    if request.param not in library.VECTORS.get(capability, ("portable",)):
        pytest.skip(f"this processor has {capability} only")
    monkeypatch.setattr(library, "VECTORS", {capability: (request.param,), "none": ()})
    library.load_library.cache_clear()
    if library.load_library() is None:
        library.load_library.cache_clear()
        pytest.skip(f"{request.param} was not compiled here")
    yield request.param
    monkeypatch.undo()
    library.load_library.cache_clear()


@pytest.mark.parametrize(("kernel", "tile"), [(k, t) for k, tiles in TILES.items() for t in tiles])
@pytest.mark.parametrize(
    ("inputs", "outputs", "height", "width"),
    [(1, 16, 40, 33), (16, 1, 33, 40), (3, 5, 7, 9), (48, 32, 29, 31), (33, 80, 24, 24), (16, 48, 5, 64)],
)
def test_every_build_sums_what_the_definition_sums(
    kind: str, kernel: int, tile: int, inputs: int, outputs: int, height: int, width: int
) -> None:
    torch.manual_seed(0)
    x, weight, bias = (
        torch.randn(2, inputs, height, width),
        torch.randn(outputs, inputs, kernel, kernel),
        torch.randn(outputs),
    )
    for padding in range(kernel):
        expected = by_definition(x, weight, bias, padding)
        found = PackedConvolution(weight, bias, tile, padding)(x)
        assert found.shape == expected.shape
        # Rounding in float32, at the worst of thousands of pixels of white noise; larger tiles round more.
        assert float((found - expected).abs().max() / expected.std()) < (
            2e-5 if tile + kernel < 9 else 2e-4 if tile + kernel < 11 else 6e-4
        )


@needs_build
@settings(max_examples=40, deadline=None)
@given(
    kernel=st.sampled_from([3, 5]), tile=st.sampled_from([4, 6]), inputs=st.integers(1, 40), outputs=st.integers(1, 40),
    height=st.integers(5, 40), width=st.integers(5, 40), padding=st.integers(0, 4), count=st.integers(1, 3),
    before=st.sampled_from([0.0, 0.01, 1.0]), after=st.sampled_from([0.0, 0.2, 1.0]), with_sum=st.booleans(),
)  # fmt: skip
def test_bias_sum_and_activations_come_in_the_order_they_stand(
    kernel: int, tile: int, inputs: int, outputs: int, height: int, width: int, padding: int, count: int,
    before: float, after: float, with_sum: bool,
) -> None:  # fmt: skip
    padding = min(padding, kernel - 1)
    torch.manual_seed(inputs * outputs + height)
    x, weight, bias = (
        torch.randn(count, inputs, height, width),
        torch.randn(outputs, inputs, kernel, kernel),
        torch.randn(outputs),
    )
    expected = activated(by_definition(x, weight, bias, padding), before)
    added = torch.randn(expected.shape) if with_sum else None
    expected = activated(expected if added is None else expected + added.double(), after)
    found = PackedConvolution(weight, bias, tile, padding)(x, added, before, after)
    spread = float(by_definition(x, weight, bias, padding).std()) if expected.numel() > 1 else 1.0
    assert float((found - expected).abs().max()) < 6e-4 * max(spread, 1.0)


@needs_build
def test_the_number_of_threads_changes_no_bit() -> None:
    torch.manual_seed(0)
    filters, x = PackedConvolution(torch.randn(32, 16, 3, 3), None, 4, 1), torch.randn(1, 16, 100, 90)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(filters(x))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@needs_build
def test_images_laid_out_in_any_way_are_the_same_image() -> None:
    torch.manual_seed(0)
    filters, x = PackedConvolution(torch.randn(8, 4, 5, 5), None, 4, 2), torch.randn(2, 4, 30, 60)
    for other in (x.contiguous(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        assert torch.equal(filters(other), filters(x))
    assert torch.equal(filters(x[:, :, ::2]), filters(x[:, :, ::2].contiguous()))


@needs_build
def test_larger_tiles_round_more_and_none_rounds_much() -> None:
    torch.manual_seed(0)
    x, weight = torch.relu(torch.randn(1, 64, 64, 64)), torch.randn(32, 64, 5, 5) / 40
    expected = by_definition(x, weight, None, 2)
    error = {
        tile: float((PackedConvolution(weight, None, tile, 2)(x) - expected).square().mean().sqrt()) for tile in (4, 6)
    }
    scale = float(expected.std())
    assert error[4] < 3e-6 * scale
    assert error[4] < error[6] < 2e-5 * scale


@needs_build
def test_a_tile_that_is_not_there_and_a_build_that_is_not_there_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no tile of 5"):
        PackedConvolution(torch.randn(4, 4, 3, 3), None, 5, 1)
    monkeypatch.setattr("lowdose.infer.engines.winograd.library.load_library", lambda: None)
    with pytest.raises(RuntimeError, match="not compiled"):
        PackedConvolution(torch.randn(4, 4, 3, 3), None, 4, 1)
