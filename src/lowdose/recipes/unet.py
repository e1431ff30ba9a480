"""The project's own small baseline: a residual U-Net trained for mean squared error."""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import BACKBONES
from lowdose.training.recipe import Recipe

RECIPE = Recipe(
    paper="none: the project's own CPU-sized baseline",
    network=BACKBONES["unet"].network,
    method=lambda denoiser, *_: Supervised(denoiser, MSE()),
    scale=BACKBONES["unet"].scale,
)
