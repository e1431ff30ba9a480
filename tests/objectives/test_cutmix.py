"""CutMix: boxes of every size, the limits of a mask, and a consistency that is 0 for what judges pixels one by one."""

from __future__ import annotations

import pytest
import torch

from lowdose.networks.unet_discriminator import UNetDiscriminator
from lowdose.objectives.cutmix import DRAWS, consistency, cutmix_masks, draws_of_domain, mix, ramp
from lowdose.sample_draws import uniform_draws


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mask_without_a_border_is_one_of_both_images_and_consistent(value: float) -> None:
    torch.manual_seed(0)
    critic = UNetDiscriminator(4, 2).eval()
    real, fake = torch.rand(2, 3, 1, 8, 8)
    mask = torch.full((3, 1, 8, 8), value)
    assert torch.equal(mix(real, fake, mask), real if value else fake)
    scores = [critic(image)[1] for image in (mix(real, fake, mask), real, fake)]
    assert consistency(scores[0], scores[1], scores[2], mask).tolist() == pytest.approx([0, 0, 0], abs=1e-12)


def test_consistency_is_the_mean_square_in_closed_form() -> None:
    zero = torch.zeros(2, 1, 4, 4)
    mask = torch.zeros_like(zero)
    mask[..., :1] = 1
    found = consistency(zero, torch.full_like(zero, 2.0), torch.full_like(zero, -1.0), mask)
    assert found.tolist() == [0.25 * 4 + 0.75 * 1] * 2


def test_masks_are_boxes_written_out_slowly() -> None:
    draws = uniform_draws(torch.arange(1, 40), 3)
    masks = cutmix_masks(draws, 6, 9)
    for (area, y, x), mask in zip(draws.tolist(), masks[:, 0], strict=True):
        for row in range(6):
            for column in range(9):
                inside = abs(row + 0.5 - 6 * y) < 3 * area**0.5 and abs(column + 0.5 - 9 * x) < 4.5 * area**0.5
                assert mask[row, column].item() == (0.0 if inside else 1.0)


def test_a_centred_box_has_the_area_that_was_drawn() -> None:
    areas = torch.linspace(0.0, 1.0, 11)
    masks = cutmix_masks(torch.stack([areas, *[torch.full_like(areas, 0.5)] * 2], dim=1), 200, 200)
    torch.testing.assert_close(1 - masks.mean(dim=(1, 2, 3)), areas, atol=0.01, rtol=0)


def test_draws_are_uniform_together_and_those_of_their_sample() -> None:
    draws = uniform_draws(torch.arange(4096), 3)
    assert 0 <= draws.min().item() < draws.max().item() < 1
    cells = (draws * 4).long()
    counts = torch.bincount(cells[:, 0] * 16 + cells[:, 1] * 4 + cells[:, 2], minlength=64)
    assert counts.min().item() > 50
    assert counts.max().item() < 78
    assert torch.equal(uniform_draws(torch.arange(70, 90), 3), draws[70:90])
    first, second = (draws_of_domain(torch.arange(1000), domain, 2) for domain in range(2))
    assert first.shape == (1000, DRAWS)
    assert abs(torch.corrcoef(torch.cat([first, second], dim=1).T) - torch.eye(2 * DRAWS)).max() < 0.1


def test_the_ramp() -> None:
    assert [ramp(step, 4, 0.8) for step in (0, 1, 2, 4, 9)] == pytest.approx([0, 0.2, 0.4, 0.8, 0.8])
    assert ramp(0, 0, 0.8) == 0.8
