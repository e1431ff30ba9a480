"""Language-guided CT autoencoder of LEDA (Chen et al. 2024, section 2.1), which the recipe ``leda`` needs."""

from lowdose.training.leda_autoencoder.recipe import AutoencoderHyperparameters, AutoencoderRecipe

# The batch of 4, the betas (0.5, 0.9) and the start of the discriminator are those of VQGAN, which the paper follows.
# The learning rate is not: VQGAN's 4.5e-6 per image is meant for several hundred thousand steps.
_PUBLISHED = AutoencoderHyperparameters(
    steps=160_000, batch=4, learning_rate=2e-4, final_learning_rate=1e-5, beta1=0.5, beta2=0.9, warmup=500, ema=0.999,
    validate_every=2000, checkpoint_every=1000,
)  # fmt: skip

RECIPE = AutoencoderRecipe(
    paper="Chen et al., Low-dose CT denoising with language-engaged dual-space alignment, arXiv 2403.06128",
    size="local",
    published=_PUBLISHED,
    # Trained as the paper has it, the latents are blind to noise (docs/leda.md). The terms from 'noisy' on are not the
    # paper's; their weights balance the gradients of a training of minutes.
    hyperparameters=AutoencoderHyperparameters(
        steps=60_000, batch=4, side=192, learning_rate=5e-4, final_learning_rate=1e-5, beta1=0.9, beta2=0.99,
        warmup=100, weight_decay=1e-4, ema=0.999, validate_every=2000, checkpoint_every=1000, patients=60,
        digital_share=0.2, sharpness=50, soft_steps=1500, semantic_weight=0.1, commitment_weight=0.25,
        perceptual_weight=0.02, discriminator_width=32, adversarial_start=40_000, noisy=1, cell_words=1, balanced=0,
        image_weight=20, window_weight=0.1, texture_weight=0.25, invariance_weight=0.25, entropy_weight=0.1,
        organs_weight=0.2,
    ),
)  # fmt: skip
