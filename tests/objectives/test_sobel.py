"""The Sobel magnitude: constants, slopes, borders, and the filters written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lowdose.objectives.sobel import sobel_magnitude


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
