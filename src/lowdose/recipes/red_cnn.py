"""RED-CNN (Chen et al., IEEE TMI 2017), trained with mean squared error on patches."""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe

RECIPE = DenoiserRecipe(
    paper="Chen et al., Low-dose CT with a residual encoder-decoder CNN, IEEE TMI 2017",
    network=default_denoiser("red_cnn").network,
    method=lambda denoiser, *_: Supervised(denoiser, MSE()),
    scale=default_denoiser("red_cnn").scale,
    hyperparameters=DenoiserHyperparameters(steps=100_000, learning_rate=1e-4),
)
