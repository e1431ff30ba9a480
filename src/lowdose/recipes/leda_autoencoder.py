"""Language-guided CT autoencoder of LEDA (Chen et al. 2024, section 2.1), which the recipe ``leda`` needs."""

from lowdose.training.leda_autoencoder.recipe import AutoencoderHyperparameters, AutoencoderRecipe

RECIPE = AutoencoderRecipe(
    paper="Chen et al., Low-dose CT denoising with language-engaged dual-space alignment, arXiv 2403.06128",
    # The batch of 4, the betas (0.5, 0.9) and the start of the discriminator are those of VQGAN, which the paper
    # follows. The learning rate is not: VQGAN's 4.5e-6 per image is meant for several hundred thousand steps.
    hyperparameters=AutoencoderHyperparameters(
        steps=160_000, batch=4, learning_rate=2e-4, final_learning_rate=1e-5, beta1=0.5, beta2=0.9, warmup=500,
        ema=0.999, validate_every=2000, checkpoint_every=1000,
    ),
)  # fmt: skip
