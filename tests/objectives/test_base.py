"""Objectives add, scale and are logged by name; their unit does not depend on the denoiser's scale."""

import pytest
import torch

from lowdose.batch import PairedBatch
from lowdose.hounsfield import Scale
from lowdose.methods.supervised import Supervised
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.pixel import MSE


class Bias(Objective):
    def terms(self, pred: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"bias": (pred - target).mean().abs()}


def test_sum_and_weights() -> None:
    pred, target = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    both = MSE() + 0.5 * (Bias() + 0.0 * Bias2())
    expected = ((pred - target) ** 2).mean() + 0.5 * (pred - target).mean().abs()
    torch.testing.assert_close(both(pred, target), expected)
    assert list(both.terms(pred, target)) == ["mse", "bias", "bias2"]
    torch.testing.assert_close((3 * MSE())(pred, target), 3 * ((pred - target) ** 2).mean())


class Bias2(Objective):
    def terms(self, pred: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"bias2": (pred - target).mean().abs()}


def test_two_terms_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="mse"):
        (MSE() + MSE()).terms(torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize("scale", [Scale(), Scale(zero=-1150, one=2000), Scale(zero=300, one=-700)])
def test_objective_unit_is_the_same_for_every_scale(scale: Scale) -> None:
    # An untrained U-Net returns its input, so the loss is the known one: 30 HU on a range of 3000.
    method = Supervised(Denoiser(NetworkSpec("unet", {"width": 2, "levels": 2}), scale), MSE())
    full = torch.full((1, 1, 8, 8), 40.0)
    (turn,) = method.updates(PairedBatch(full + 30.0, full))
    assert turn.module == "denoiser"
    assert float(turn.terms["mse"].detach()) == pytest.approx((30 / 3000) ** 2, rel=1e-4)


def test_metal_takes_no_part() -> None:
    method = Supervised(Denoiser(NetworkSpec("unet", {"width": 2, "levels": 2}), Scale()), MSE())
    low, full = torch.full((1, 1, 8, 8), 3071.0), torch.full((1, 1, 8, 8), 2500.0)
    (turn,) = method.updates(PairedBatch(low, full))
    assert float(turn.terms["mse"].detach()) == 0.0
