"""Noise model of TDDL (Chen K. et al., ISICDM 2020): a variational autoencoder on patches of real low-dose noise.

A reconstruction: that a variational autoencoder learns the noise is all that the abstract says. How noise is separated
from anatomy, the network, its conditions and the losses are this project's.
"""

from lowdose.training.learned_noise.recipe import NoiseHyperparameters, NoiseRecipe

RECIPE = NoiseRecipe(
    paper="Chen K. et al., task-driven deep learning for low-dose CT, ISICDM 2020 (a reconstruction from the abstract)",
    hyperparameters=NoiseHyperparameters(
        steps=3000, batch=16, learning_rate=5e-3, final_learning_rate=1e-5, warmup=50, ema=0.99, weight_decay=1e-4,
        validate_every=500, checkpoint_every=500,
    ),
)  # fmt: skip
