"""Registration of networks: where they lie, what they need, and which defaults they get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lowdose.models import checkpoint
from lowdose.network_spec import NETWORKS, NetworkSpec, register_network
from lowdose.networks.denoiser import Denoiser
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE
from support.training_runs import small_recipe, train


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Forget the networks of a test."""
    before = dict(NETWORKS)
    yield
    NETWORKS.clear()
    NETWORKS.update(before)


class ForwardOnly(nn.Module):
    def __init__(self, width: int = 4, bias: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=bias), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.body(x)
        return result


def test_inference_sees_every_network_of_the_package() -> None:
    # A network that only training imports could not be loaded where 'denoise' runs.
    assert {cls.__module__.rpartition(".")[0] for cls in NETWORKS.values()} == {"lowdose.networks"}


def test_forward_is_all_that_a_network_needs(tmp_path: Path) -> None:
    register_network("forward_only")(ForwardOnly)
    chosen = parse_denoiser("forward_only:width=3,bias=0")
    assert chosen.network == NetworkSpec("forward_only", {"width": 3, "bias": False})
    recipe = small_recipe()
    assert isinstance(recipe, DenoiserRecipe)
    assert train(DenoiserRecipe("none", chosen.network, recipe.method, chosen.scale, recipe.hyperparameters), tmp_path)
    denoiser = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE)).denoiser
    assert (denoiser.multiple, denoiser.smallest) == (1, 1)
    for shape in ((1, 1), (17, 30)):
        assert denoiser.denoise(torch.zeros(1, 1, *shape)).shape == (1, 1, *shape)


def test_what_a_network_states_counts() -> None:
    class Coarse(ForwardOnly):
        multiple, smallest = 4, 20

        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[-1] % 4 == 0
            assert x.shape[-1] >= 20
            return super().forward(x)

    register_network("coarse")(Coarse)
    denoiser = Denoiser(NetworkSpec("coarse"), parse_denoiser("coarse").scale)
    assert (denoiser.multiple, denoiser.smallest) == (4, 20)
    assert denoiser.denoise(torch.zeros(1, 1, 3, 45)).shape == (1, 1, 3, 45)


def test_what_is_no_network_is_refused_when_it_is_registered() -> None:
    class NoModule:
        def forward(self, x: Tensor) -> Tensor:
            return x

    class NoDefault(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x

    class NoNumber(nn.Module):
        def __init__(self, activation: str = "relu") -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(TypeError, match="NoModule must be a torch"):
        register_network("mine")(NoModule)
    with pytest.raises(TypeError, match="its setting 'width' needs a number as default"):
        register_network("mine")(NoDefault)
    with pytest.raises(TypeError, match="its setting 'activation' needs a number"):
        register_network("mine")(NoNumber)
    with pytest.raises(ValueError, match="two networks are called 'unet'"):
        register_network("unet")(ForwardOnly)
    assert "mine" not in NETWORKS
