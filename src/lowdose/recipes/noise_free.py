"""Recipe of the shipped denoiser: noise-free images learned from noisy targets, over all doses and kernels at once."""

from lowdose.methods.supervised import NoiseFree
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import DENOISERS
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe

RECIPE = DenoiserRecipe(
    paper="Moran et al., Noisier2Noise, CVPR 2020, with simulated doses; the project's own weighting",
    network=DENOISERS["shuffle_unet"].network,
    method=lambda denoiser, *_: NoiseFree(denoiser, MSE()),
    scale=DENOISERS["shuffle_unet"].scale,
    hyperparameters=DenoiserHyperparameters(
        steps=20_000, batch=8, patch=96, final_learning_rate=1e-5, warmup=200, flux_low=0.7, flux_high=1.0,
        dose_high=0.7, full_dose_share=0.0, kernel_conversion_share=0.3, validate_every=1000, checkpoint_every=500,
    ),
    accepts_any_network=True,
    needs_dose=True,
)  # fmt: skip
