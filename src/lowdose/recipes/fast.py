"""The zoo's model for CPUs: a small U-Net at half resolution, for every dose and kernel that can be simulated."""

from lowdose.methods.supervised import Balanced
from lowdose.objectives.pixel import MSE
from lowdose.train.backbones import BACKBONES
from lowdose.train.recipe import DenoiserNumbers, Recipe

RECIPE = Recipe(
    paper="none: the project's own",
    network=BACKBONES["shuffle_unet"].network,
    method=lambda denoiser, *_: Balanced(denoiser, MSE()),
    scale=BACKBONES["shuffle_unet"].scale,
    numbers=DenoiserNumbers(
        steps=20_000, batch=8, patch=96, final_learning_rate=1e-5, warmup=200, flux_low=0.7, flux_high=1.4,
        recast_share=0.3, validate_every=1000, checkpoint_every=500,
    ),
)  # fmt: skip
