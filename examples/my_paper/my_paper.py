"""A paper outside of the package: a network, an objective and a recipe of one's own."""

import torch
from torch import nn

from lowdose.methods.supervised import Supervised
from lowdose.network_spec import NetworkSpec, register_network
from lowdose.objectives import MSE, Objective
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@register_network("my_network")
class MyNetwork(nn.Module):
    """Three convolutions that predict the noise. ``forward`` is all that is needed."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the denoised image, (B, 1, H, W) as the input."""
        return x - self.last(torch.relu(self.second(torch.relu(self.first(x)))))


class MeanAbsolute(Objective):
    """Mean absolute error."""

    def terms(self, pred: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return it as the term 'mae'; images are (B, 1, H, W), with [-1000, 2000] HU as [0, 1]."""
        return {"mae": (pred - target).abs().mean()}


RECIPE = DenoiserRecipe(
    paper="none: an example",
    network=NetworkSpec("my_network"),
    method=lambda denoiser, hyperparameters, _: Supervised(denoiser, MSE() + 0.1 * MeanAbsolute()),
    hyperparameters=DenoiserHyperparameters(steps=2000, learning_rate=1e-3),
    accepts_any_network=True,
)
