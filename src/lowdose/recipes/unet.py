"""The project's own small baseline: a residual U-Net trained for mean squared error."""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.spec import Spec
from lowdose.train.recipe import Recipe

RECIPE = Recipe(
    paper="none: the project's own CPU-sized baseline",
    network=Spec("unet", {"width": 32, "levels": 4}),
    method=lambda denoiser: Supervised(denoiser, MSE()),
)
