"""SSIM and MS-SSIM as losses: the formulas written out slowly, 0 at identity, and one value with the metric."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lowdose.metrics import ssim
from lowdose.objectives import MultiScaleStructuralSimilarity, StructuralSimilarity
from lowdose.objectives.structural_similarity import SCALE_WEIGHTS, similarity_maps


def images(side: int = 48, count: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = 0.35 + 0.05 * torch.randn(count, 1, side, side, generator=generator)
    return target + 0.03 * torch.randn(target.shape, generator=generator), target


def slow_factors(a: Tensor, b: Tensor) -> tuple[list[float], list[float]]:
    """Luminance, and contrast with structure, of two images (H, W), a window at a time in float64."""
    x, y, luminance, structure = a.double().numpy(), b.double().numpy(), [], []
    window = np.array([[math.exp(-(i * i + j * j) / 4.5) for j in range(-5, 6)] for i in range(-5, 6)])
    window /= window.sum()
    for row in range(len(x) - 10):
        for column in range(len(x) - 10):
            p, q = (image[row : row + 11, column : column + 11] for image in (x, y))
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p, var_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
            both = (window * (p - mean_p) * (q - mean_q)).sum()
            luminance.append((2 * mean_p * mean_q + 1e-4) / (mean_p**2 + mean_q**2 + 1e-4))
            structure.append((2 * both + 9e-4) / (var_p + var_q + 9e-4))
    return luminance, structure


def test_ssim_written_out_slowly() -> None:
    pred, target = images(16, 1)
    luminance, structure = slow_factors(pred[0, 0], target[0, 0])
    wanted = 1 - np.mean(np.multiply(luminance, structure))
    assert float(StructuralSimilarity()(pred, target)) == pytest.approx(wanted, abs=2e-5)


def test_ssim_is_that_of_the_metric() -> None:
    pred, target = images(40, 1)
    metric = ssim(pred[0, 0].numpy(), target[0, 0].numpy(), 1.0, flavour="gaussian_cropped")
    assert float(StructuralSimilarity()(pred, target)) == pytest.approx(1 - metric, abs=2e-5)


def test_ms_ssim_written_out_slowly() -> None:
    pred, target = images(24, 2)
    total = sum(SCALE_WEIGHTS[:2])
    products = []
    for a, b in zip(pred[:, 0], target[:, 0], strict=True):
        fine = np.mean(slow_factors(a, b)[1])
        luminance, structure = slow_factors(*(
            torch.stack([torch.stack([image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(12)])
                         for i in range(12)]) for image in (a, b)))  # fmt: skip
        coarse = np.mean(np.multiply(luminance, structure))
        products.append(fine ** (SCALE_WEIGHTS[0] / total) * coarse ** (SCALE_WEIGHTS[1] / total))
    found = MultiScaleStructuralSimilarity(scales=2)(pred, target)
    assert float(found) == pytest.approx(1 - np.mean(products), abs=2e-5)


@pytest.mark.parametrize("objective", [StructuralSimilarity(), MultiScaleStructuralSimilarity()])
def test_zero_at_identity_with_a_gradient_of_zero(objective: StructuralSimilarity) -> None:
    _, target = images()
    free = target.clone().requires_grad_(True)
    value = objective(free, target)
    value.backward()
    assert float(value.detach()) == 0
    assert free.grad is not None
    assert float(free.grad.abs().max()) < 1e-7


def test_one_scale_is_ssim() -> None:
    pred, target = images()
    one = MultiScaleStructuralSimilarity(scales=1)(pred, target)
    torch.testing.assert_close(one, StructuralSimilarity()(pred, target))


def test_opposite_structure_has_a_finite_gradient() -> None:
    _, target = images()
    free = (0.7 - target).requires_grad_(True)
    value = MultiScaleStructuralSimilarity()(free, target)
    value.backward()
    assert 0.9 < float(value.detach()) <= 1
    assert free.grad is not None
    assert bool(free.grad.isfinite().all())


def test_autocast_changes_nothing() -> None:
    pred, target = images()
    exact = StructuralSimilarity()(pred, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(StructuralSimilarity()(pred, target), exact)


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 11 pixels"):
        similarity_maps(torch.zeros(1, 1, 10, 20), torch.zeros(1, 1, 10, 20))
