"""The perceptual loss (Johnson et al., ECCV 2016): images are compared by what a frozen network sees in them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.networks.features.base import FrozenFeatures
from lowdose.objectives.base import Objective


class Perceptual(Objective):
    """Mean over the layers of ``features`` of the squared difference of their maps, as a share of the target's mean
    square; the term 'perceptual'.

    Johnson et al. divide each layer by its size only. Here a layer of large numbers counts as one of small ones does,
    so that a weight means the same for every network and for any number of layers. source: says which features, for
    ``fingerprint``.
    """

    def __init__(self, features: FrozenFeatures, source: str = "") -> None:
        super().__init__()
        self.features = features
        self.source = source
        self.smallest = features.smallest

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """(B, 1, H, W) in the unit of ``hounsfield.OBJECTIVE``. ValueError for images below ``smallest``."""
        seen = self.features(pred)
        with torch.no_grad():
            wanted = self.features(target)
        # Autocast computes this error in float32, also from maps in half precision.
        layers = [_relative(seen[name].float(), wanted[name].float()) for name in wanted]
        return {"perceptual": torch.stack(layers).mean()}

    def fingerprint(self) -> Mapping[str, object]:
        return {"features": self.source}


def _relative(seen: Tensor, wanted: Tensor) -> Tensor:
    return functional.mse_loss(seen, wanted) / wanted.square().mean().clamp(min=torch.finfo(wanted.dtype).tiny)
