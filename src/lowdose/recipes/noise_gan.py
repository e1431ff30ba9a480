"""Noise model of TDDL's adversarial variant (Chen K. et al., ICONIP 2020): samples of noise are judged by a critic.

A reconstruction: the abstract says that the distribution of the noise is estimated and that a GAN makes samples of it.
"""

from lowdose.training.learned_noise.recipe import NoiseHyperparameters, NoiseRecipe

RECIPE = NoiseRecipe(
    paper="Chen K. et al., Low-dose CT image blind denoising with graph convolutional networks, ICONIP 2020 (a "
    "reconstruction from the abstract)",
    adversarial=True,
    hyperparameters=NoiseHyperparameters(
        steps=3000, batch=16, learning_rate=5e-3, final_learning_rate=1e-5, warmup=50, ema=0.99, weight_decay=1e-4,
        validate_every=500, checkpoint_every=500,
    ),
)  # fmt: skip
