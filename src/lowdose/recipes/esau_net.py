"""ESAU-Net trained for mean squared error, as LEDA's baseline of that name (Chen et al. 2023; 2024, section 3)."""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import BACKBONES
from lowdose.training.recipe import DenoiserNumbers, Recipe

RECIPE = Recipe(
    paper="Chen et al., ASCON, MICCAI 2023 (network); Chen et al., LEDA, arXiv 2403.06128 (MSE training)",
    network=BACKBONES["esau_net"].network,
    method=lambda denoiser, *_: Supervised(denoiser, MSE()),
    scale=BACKBONES["esau_net"].scale,
    numbers=DenoiserNumbers(steps=1600, batch=8, learning_rate=5e-4),
)
