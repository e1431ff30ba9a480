"""WGAN-VGG (Yang et al. 2018): a denoiser against a critic, with a perceptual loss.

The paper looks with VGG-19, whose weights are not shipped: ``--teacher features:vgg19:WEIGHTS``
takes them, and the maps of the anatomy network stand in for them otherwise. Run and weights name the features.
"""

from __future__ import annotations

from lowdose.training.adversarial import PerceptualWassersteinHyperparameters, perceptual_wasserstein
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE
from lowdose.training.recipe import DenoiserRecipe

RECIPE = DenoiserRecipe(
    paper="Yang et al., Low-dose CT denoising using a GAN with Wasserstein distance and perceptual loss, IEEE TMI 2018",
    network=default_denoiser("wgan_vgg").network,
    method=perceptual_wasserstein,
    scale=default_denoiser("wgan_vgg").scale,
    # Adam (0.5, 0.9), batches of 128 patches of 64 x 64 pixels, and a constant learning rate without clipping or decay,
    # as in the authors' release, whose 1e-4 is ten times that of the paper. The moving average of the weights is the
    # project's addition: brightness swings between the two sides as they learn.
    hyperparameters=PerceptualWassersteinHyperparameters(
        steps=100_000, batch=128, patch=64, learning_rate=1e-4, final_learning_rate=1e-4, beta1=0.5, beta2=0.9,
        weight_decay=0.0, clip=LARGE,
    ),
    teachers={"features": "anatomy"},
    accepts_any_network=True,
)  # fmt: skip
