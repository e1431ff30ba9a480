"""MAP-NN: one small network applied again and again, every image on the way being a result (Shan et al. 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from lowdose.hounsfield import NON_NEGATIVE
from lowdose.network_spec import register_network
from lowdose.networks.cpce import CPCE


@register_network("map_nn")
class MAPNN(nn.Module):
    """MAP-NN: x <- clip(x + unit(x), 0, 1), ``depth`` times with the same weights.

    (B, 1, H, W) -> (B, 1, H, W) for H, W >= 9. The unit is CPCE-2D without its last ReLU, so that it can take away as
    well as add; its number of parameters does not depend on the depth. At depth 0 the image is left as it is.

    The clipping is part of the published network. Here 0 and 1 are the ends of the range of HU that a denoiser accepts,
    -1150 and 2000 HU, beyond which it is the identity anyway, so that no HU are lost; the paper's units end where its
    display windows do, and all beyond them is cut off. Units of the loss are another thing, see the recipe.

    The last layer starts at zero, which is this project's choice: an untrained network is the identity at every depth.
    With random weights there, the repetition drives some of the networks to 0 or 1 everywhere, where clipping has no
    gradient.

    Parameters
    ----------
    channels : int
        Width of the unit. The paper uses 32, which gives 62,016 parameters.
    depth : int
        Repetitions in training, and the largest number of them at inference. The paper uses 5.

    Attributes
    ----------
    at_inference : mapping of str to (int, int)
        Depths that can be chosen when the network is applied: 0 to that of the training.
    depth : int
        Repetitions of ``forward``.
    scale : Scale
        Map from HU to units in which the accepted HU are 0 to 1.
    smallest : int
        Pixels a side of the smallest image.

    References
    ----------
    H. Shan, A. Padole, F. Homayounieh, U. Kruger, R. D. Khera, C. Nitiwarangkul, M. K. Kalra, G. Wang, Competitive
    performance of a modularized deep neural network compared to commercial algorithms for low-dose CT image
    reconstruction, Nature Machine Intelligence 2019.
    """

    scale = NON_NEGATIVE
    smallest = CPCE.smallest

    def __init__(self, channels: int = 32, depth: int = 5) -> None:
        super().__init__()
        self.unit = CPCE(channels)
        nn.init.zeros_(self.unit.decode[-1].weight)  # type: ignore[arg-type]  # a Parameter of a layer made there
        self.depth = depth
        self.at_inference = {"depth": (0, depth)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the image after ``depth`` repetitions. Raises ValueError for images below 9 pixels a side."""
        return self.images(x)[-1]

    def images(self, x: Tensor) -> list[Tensor]:
        """Return the image itself and that after each of ``depth`` repetitions, each (B, 1, H, W)."""
        found = [x]
        for _ in range(self.depth):
            found.append((found[-1] + self.unit.signed(found[-1])).clamp(0, 1))
        return found
