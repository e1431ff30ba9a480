"""The critic of WGAN-VGG: its size, one unbounded score for each patch, and samples that do not see each other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowdose.networks.critic import patch_critic


def test_parameter_count_of_the_paper() -> None:
    with torch.device("meta"):
        network = patch_critic(64)
    counts = [
        sum(p.numel() for part in network if isinstance(part, kind) for p in part.parameters())
        for kind in (nn.Conv2d, nn.Linear)
    ]
    assert counts == [1_144_256, 16_779_265]


@pytest.mark.parametrize("patch", [8, 15, 32, 33])
def test_one_score_for_each_patch(patch: int) -> None:
    assert patch_critic(patch, width=2)(torch.rand(3, 1, patch, patch)).shape == (3, 1)


def test_scores_have_no_bounds_and_depend_on_their_own_image_only() -> None:
    torch.manual_seed(0)
    network, x = patch_critic(16, width=4), torch.rand(2, 1, 16, 16)
    alone = network(x[:1])
    torch.testing.assert_close(network(x)[:1], alone)
    grown = [network(scale * x[:1]).item() for scale in (1e3, 1e6)]
    assert abs(grown[1]) > 100 * abs(grown[0]) > 1
