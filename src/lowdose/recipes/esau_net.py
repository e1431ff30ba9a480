"""ESAU-Net (Chen et al. 2023) trained with mean squared error, a baseline of LEDA (Chen et al. 2024, section 3)."""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe

RECIPE = DenoiserRecipe(
    paper="Chen et al., ASCON, MICCAI 2023 (network); Chen et al., LEDA, arXiv 2403.06128 (MSE training)",
    network=default_denoiser("esau_net").network,
    method=lambda denoiser, *_: Supervised(denoiser, MSE()),
    scale=default_denoiser("esau_net").scale,
    hyperparameters=DenoiserHyperparameters(steps=1600, batch=8, learning_rate=5e-4),
)
