"""A toy paper: a denoiser that draws noise to denoise, with a frozen conditioner in its file."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lowdose.methods.supervised import Supervised
from lowdose.network_spec import NetworkSpec, register_network
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.sampling import SliceNoise
from lowdose.objectives import MSE
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe

FILTERS = {"mean": torch.full((3, 3), 1 / 9), "edges": torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])}


@register_network("toy_sampler")
class ToySampler(nn.Module):
    """Noise is added and taken out again, with what a frozen filter sees as a condition; the results are averaged."""

    at_inference: ClassVar = {"steps": (1, 20), "depth": (1, 4)}

    def __init__(self) -> None:
        super().__init__()
        self.conditioner = nn.Conv2d(1, 1, 3, padding=1, bias=False).requires_grad_(False)
        self.noise = nn.Conv2d(2, 1, 3, padding=1)
        self.steps, self.depth = 3, 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the estimate from one noisy image."""
        for _ in range(self.depth):
            x = x - self.noise(torch.cat([x, self.conditioner(x)], dim=1))
        return x

    def sample(self, x: Tensor, noise: SliceNoise) -> Tensor:
        """Return the mean of the estimates from as many noisier images as there are steps."""
        drawn = [self(x + 0.1 * noise.normal(x)) for _ in range(self.steps)]
        return torch.stack(drawn).mean(dim=0)


def _method(denoiser: Denoiser, _: DenoiserHyperparameters, teachers: Mapping[str, str]) -> Supervised:
    with torch.no_grad():
        denoiser.network.conditioner.weight.copy_(FILTERS[teachers["filter"]])
    return Supervised(denoiser, MSE())


RECIPE = DenoiserRecipe("none: a toy", NetworkSpec("toy_sampler"), _method, teachers={"filter": "mean"})
