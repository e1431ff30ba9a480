"""CPCE (Shan et al. 2018): a denoiser against a critic, with a perceptual loss, of one slice or of several.

CPCE-3D starts from CPCE-2D: train ``cpce``, then go on with neighbouring slices and the larger learning rate of the
authors' release, with 3, 5, 7 or 9 slices:

    lowdose train cpce --data PAIRS --out RUN_2D
    lowdose train cpce --network cpce:slices=9 --start RUN_2D --set learning_rate=5e-4 --data PAIRS --out RUN_3D

The paper looks with VGG-19, whose weights are not shipped: ``--teacher features:vgg19:WEIGHTS`` takes them, and the
maps of the anatomy network stand in for them otherwise. Critic and features see the denoised slice alone.
"""

from __future__ import annotations

from lowdose.training.adversarial import PerceptualWassersteinHyperparameters, perceptual_wasserstein
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE
from lowdose.training.recipe import DenoiserRecipe

RECIPE = DenoiserRecipe(
    paper="Shan et al., 3-D convolutional encoder-decoder network for low-dose CT via transfer learning from a 2-D "
    "trained network, IEEE TMI 2018",
    network=default_denoiser("cpce").network,
    method=perceptual_wasserstein,
    scale=default_denoiser("cpce").scale,
    # Adam (0.9, 0.999), 1e-4, and batches of 128 patches of 64 x 64 pixels, as in the authors' release. It divides the
    # learning rate by the number of the epoch, 40 at the end; here a cosine ends at a fortieth. The number of steps is
    # the project's choice, as is the moving average of the weights. The release clips images to [-300, 300] HU, and
    # takes the norm of the penalty over one axis; neither is done here.
    hyperparameters=PerceptualWassersteinHyperparameters(
        steps=100_000, batch=128, patch=64, learning_rate=1e-4, final_learning_rate=2.5e-6, beta1=0.9, beta2=0.999,
        weight_decay=0.0, clip=LARGE,
    ),
    teachers={"features": "anatomy"},
    accepts_any_network=True,
)  # fmt: skip
