"""The Sobel magnitude: constants, slopes, borders, and the filters written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lowdose.objectives.sobel import SobelError, sobel_components, sobel_magnitude


@pytest.mark.parametrize("value", [-2.0, 0.0, 7.5])
def test_a_constant_image_has_the_root_of_epsilon_up_to_the_border(value: float) -> None:
    torch.testing.assert_close(sobel_magnitude(torch.full((2, 1, 5, 6), value)), torch.full((2, 1, 5, 6), 0.01))


def test_a_slope_counts_twice_whatever_its_direction() -> None:
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    found = sobel_magnitude((3 * x - 4 * y)[None, None], 0.0)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], torch.full((1, 1, 7, 7), 10.0))


def test_the_filters_written_out_as_convolutions() -> None:
    image = torch.randn(2, 1, 8, 7, generator=torch.Generator().manual_seed(0))
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    squares = sum(functional.conv2d(padded, kernel[None, None]).square() for kernel in (across, across.T))
    torch.testing.assert_close(sobel_magnitude(image, 1e-3), (squares + 1e-3).sqrt())


def test_it_has_a_finite_gradient_where_the_image_is_constant_and_no_rounding_under_autocast() -> None:
    image = torch.zeros(1, 1, 4, 4, requires_grad=True)
    sobel_magnitude(image).sum().backward()
    assert image.grad is not None
    assert bool(image.grad.isfinite().all())
    noisy = torch.rand(1, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sobel_magnitude(noisy), sobel_magnitude(noisy.clone()))
        assert sobel_magnitude(noisy).dtype == torch.float32


def test_the_error_of_the_components_is_that_of_the_filters_as_they_are() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, target = (torch.randn(2, 1, 7, 9, generator=generator) for _ in range(2))
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    padded = functional.pad(pred - target, (1, 1, 1, 1), mode="replicate")
    x, y = (functional.conv2d(padded, one[None, None]) for one in (kernel, kernel.T))
    torch.testing.assert_close(4 * sobel_components(pred - target), torch.cat([x, y], dim=1))
    torch.testing.assert_close(SobelError()(pred, target), (x.square().mean() + y.square().mean()) / 2)
    assert SobelError()(target + 3, target).item() == pytest.approx(0, abs=1e-9)  # a constant is no edge
