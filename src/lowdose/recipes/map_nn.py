"""MAP-NN (Shan et al. 2019): one unit applied again and again, against a critic, with the error of image and edges.

Weights of the losses are stated in the unit of the paper, in which a display window is [0, 1]. The paper clips images
to that window, which is one for the abdomen and another for the chest; here nothing is clipped, so that the model keeps
the HU of its whole range, whatever the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.wasserstein_gan import WassersteinGAN
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.pixel import MSE
from lowdose.objectives.sobel import SobelError
from lowdose.training.adversarial import WassersteinHyperparameters, wasserstein
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserRecipe


@dataclass(frozen=True)
class MAPNNHyperparameters(WassersteinHyperparameters):
    """Hyperparameters of the adversarial training.

    Attributes
    ----------
    mse_weight, sobel_weight : float
        Weights of the mean squared error of the image, and of both components of its gradient.
    window_low, window_high : float, HU
        What is 0 and 1 for critic and losses: -160 and 240 for the abdomen, -1350 and 150 for the chest.
    """

    mse_weight: float = 50.0
    sobel_weight: float = 50.0
    window_low: float = -160.0
    window_high: float = 240.0

    LIMITS: ClassVar[Limits] = {
        **WassersteinHyperparameters.LIMITS,
        **dict.fromkeys(("mse_weight", "sobel_weight"), (0, LARGE)),
        **dict.fromkeys(("window_low", "window_high"), (-10_000, 10_000)),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window_low >= self.window_high:
            raise InvalidSetting(f"window_low={self.window_low:g}: must be below window_high={self.window_high:g}")


def _method(denoiser: Denoiser, h: MAPNNHyperparameters, _: Mapping[str, str]) -> WassersteinGAN:
    content = h.mse_weight * MSE() + h.sobel_weight * SobelError()
    return wasserstein(denoiser, h, content, Scale(OBJECTIVE.low, OBJECTIVE.high, h.window_low, h.window_high))


RECIPE = DenoiserRecipe(
    paper="Shan et al., Competitive performance of a modularized deep neural network compared to commercial algorithms "
    "for low-dose CT image reconstruction, Nature Machine Intelligence 2019",
    network=default_denoiser("map_nn").network,
    method=_method,
    scale=default_denoiser("map_nn").scale,
    # Adam and batches of 128 patches of 64 x 64 pixels as in the authors' release. Its learning rate falls with the
    # root of the epoch, to 1/9 of 1e-4 in the last of 80; half a cosine leads there here. The number of steps and the
    # moving average of the weights are the project's. The critic is that of WGAN-VGG with one score for each patch,
    # whereas the release applies its dense layers to every location.
    hyperparameters=MAPNNHyperparameters(
        steps=100_000, batch=128, patch=64, learning_rate=1e-4, final_learning_rate=1.1e-5, beta1=0.9, beta2=0.999,
        weight_decay=0.0, clip=LARGE,
    ),
    accepts_any_network=True,
)  # fmt: skip
