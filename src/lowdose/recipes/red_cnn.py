"""RED-CNN (Chen et al., IEEE TMI 2017): mean squared error on patches."""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import BACKBONES
from lowdose.training.recipe import DenoiserNumbers, Recipe

RECIPE = Recipe(
    paper="Chen et al., Low-dose CT with a residual encoder-decoder CNN, IEEE TMI 2017",
    network=BACKBONES["red_cnn"].network,
    method=lambda denoiser, *_: Supervised(denoiser, MSE()),
    scale=BACKBONES["red_cnn"].scale,
    numbers=DenoiserNumbers(steps=100_000, learning_rate=1e-4),
)
