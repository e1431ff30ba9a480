"""Anatomy network of this project: domain randomisation as in SynthSeg (Billot et al., Medical Image Analysis 2023)."""

from lowdose.training.anatomy_recipe import AnatomyHyperparameters, AnatomyRecipe

RECIPE = AnatomyRecipe(
    paper="none: the project's own; domain randomisation as in Billot et al., SynthSeg, Medical Image Analysis 2023",
    hyperparameters=AnatomyHyperparameters(
        steps=6000, batch=8, learning_rate=2e-3, final_learning_rate=1e-5, weight_decay=1e-4, warmup=200, ema=0.998,
        validate_every=1000,
    ),
)  # fmt: skip
