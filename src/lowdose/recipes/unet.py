"""Small baseline of this project: a residual U-Net trained with mean squared error."""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from lowdose.training.recipe import DenoiserRecipe

RECIPE = DenoiserRecipe(
    paper="none: the project's own CPU-sized baseline",
    network=default_denoiser("unet").network,
    method=lambda denoiser, *_: Supervised(denoiser, MSE()),
    scale=default_denoiser("unet").scale,
)
