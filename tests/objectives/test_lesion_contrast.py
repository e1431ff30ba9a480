"""The error of a lesion's contrast: its closed form, and that images without a lesion count as without error."""

import pytest
import torch
from torch import Tensor

from lowdose.hounsfield import OBJECTIVE
from lowdose.objectives import lesion_contrast_terms

RANGE = OBJECTIVE.one - OBJECTIVE.zero


def case(count: int = 2) -> tuple[Tensor, Tensor]:
    """(template, lesion of 1 HU in the unit of objectives)."""
    inside, ring = torch.zeros(count, 1, 24, 24), torch.zeros(count, 1, 24, 24)
    inside[..., 10:14, 10:14] = 1
    ring[..., 6:18, 6:18] = 1
    ring -= inside
    return inside / 16 - ring / 128, inside / RANGE


def value(pred: Tensor, target: Tensor, template: Tensor) -> float:
    return float(lesion_contrast_terms(pred, target, template)["lesion_contrast"])


@pytest.mark.parametrize("lost", [0.0, 0.3, 1.0])
def test_what_is_lost_of_the_contrast_is_squared(lost: float) -> None:
    template, lesion = case()
    target = 0.35 + 30 * lesion
    found = value(0.4 + (1 - lost) * 30 * lesion, target, template)  # the level plays no role
    assert found * RANGE**2 == pytest.approx((30 * lost) ** 2, rel=1e-3, abs=1e-3)


def test_an_image_without_a_lesion_counts_as_one_without_error() -> None:
    template, lesion = case(4)
    template[1:] = 0
    pred = torch.rand(4, 1, 24, 24)
    pred[0] = 0.35
    assert value(pred, 0.35 + 20 * lesion, template) * RANGE**2 == pytest.approx(20**2 / 4, rel=1e-3)


def test_gradient_is_the_template() -> None:
    template, lesion = case(1)
    pred = torch.full_like(template, 0.35, requires_grad=True)
    lesion_contrast_terms(pred, 0.35 + 10 * lesion, template)["lesion_contrast"].backward()
    assert pred.grad is not None
    torch.testing.assert_close(pred.grad, -2 * (10 / RANGE) * template, rtol=1e-3, atol=1e-9)


def test_a_batch_without_templates_is_refused() -> None:
    image = torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"template \(0,\).*lesion_share"):
        lesion_contrast_terms(image, image, torch.zeros(0))
