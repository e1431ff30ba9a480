"""Unpaired training: what each side sees, and that neighbouring slices are to agree where they show the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.unpaired_gan import UnpairedGAN
from lowdose.network_spec import NetworkSpec
from lowdose.networks.critic import patch_critic
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.pixel import L1


class Seen(Objective):
    """Remembers what it compares."""

    def terms(self, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
        self.target = target
        return {"contrast": (pred - target).square().mean()}


def method(slices: int = 1, consistency: float = 2.0, contrast: Objective | None = None) -> UnpairedGAN:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2, "slices": slices}), Scale(), slices // 2)
    nn.init.normal_(denoiser.network.out.weight, std=0.2)
    return UnpairedGAN(denoiser, patch_critic(32, 4), contrast or L1(), 1.0, consistency)


def a_batch(trained: UnpairedGAN, same: bool = False) -> PairedBatch:
    """The low dose of the slice whose full dose is there is NaN: nothing looks at it."""
    count = 2 * max(trained.neighbours, trained.denoiser.context) + 1
    unpaired = 20 * torch.randn(2, count, 32, 32, generator=torch.Generator().manual_seed(1))
    if same:
        unpaired = unpaired[:, :1].expand(-1, count, -1, -1)
    return PairedBatch(torch.full((2, count, 32, 32), torch.nan), 20 * torch.randn(2, 1, 32, 32), unpaired=unpaired,
                       number=torch.arange(2))  # fmt: skip


@pytest.mark.parametrize("slices", [1, 3])
def test_low_dose_is_of_another_slice_and_is_what_contrast_looks_at(slices: int) -> None:
    contrast = Seen()
    trained = method(slices, contrast=contrast)
    batch = a_batch(trained)
    critic, denoiser = trained.updates(batch)
    assert (critic.module, set(critic.terms)) == ("critic", {"full", "denoised"})
    assert (denoiser.module, set(denoiser.terms)) == ("denoiser", {"adversarial", "contrast", "consistency"})
    assert all(value.isfinite() for update in (critic, denoiser) for value in update.terms.values())
    torch.testing.assert_close(contrast.target, OBJECTIVE.encode(batch.unpaired[:, slices // 2 + 1, None]))


def test_consistency_is_0_for_what_makes_every_slice_the_same_and_is_felt_otherwise() -> None:
    trained = method()
    (_, update) = trained.updates(a_batch(trained))
    assert update.terms["consistency"] > 0
    (slope,) = torch.autograd.grad(update.terms["consistency"], [trained.denoiser.network.out.weight])
    assert slope.any()
    (_, update) = trained.updates(a_batch(trained, same=True))  # neighbours that are missing
    assert update.terms["consistency"] == 0


def test_which_neighbour_is_denoised_too_depends_on_the_number_alone() -> None:
    trained = method(slices=3)
    stack = torch.arange(5.0).view(1, 5, 1, 1).expand(30, -1, 4, 4)
    found = trained._next_to(PairedBatch(stack, number=torch.arange(30)))[:, :, 0, 0]
    assert {tuple(row) for row in found.tolist()} == {(0, 1, 2), (2, 3, 4)}


def test_without_consistency_no_neighbours_are_needed() -> None:
    trained = method(consistency=0.0)
    assert trained.neighbours == 0
    assert set(list(trained.updates(a_batch(trained)))[1].terms) == {"adversarial", "l1"}
