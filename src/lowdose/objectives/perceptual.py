"""Perceptual loss: images are compared by the feature maps of a frozen network (Johnson et al., ECCV 2016)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.registry import load_identified
from lowdose.objectives.base import Objective


class Perceptual(Objective):
    """Mean over feature layers of the squared difference of the maps, relative to the target's mean square.

    Johnson et al. divide the squared difference of each layer by the size of the layer only. Here it is also divided by
    the mean square of the target's maps. A layer of large values then counts as much as one of small values, and a
    weight means the same for every network and any number of layers.

    Parameters
    ----------
    features : FrozenFeatures
        Frozen feature network, for example ``lowdose.networks.features.registry.load_features("anatomy")``. Gradients
        reach the prediction, never the weights of this network.
    source : str
        Identifies the features in ``fingerprint``, for example by name and hash.

    Attributes
    ----------
    smallest : int
        Smallest height and width, in pixels, that the feature network accepts.

    References
    ----------
    Johnson, Alahi and Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016, Eq. 2
    (feature reconstruction loss).

    Examples
    --------
    >>> import torch
    >>> from lowdose.networks.features.registry import load_features
    >>> from lowdose.objectives import MSE, Perceptual
    >>> objective = MSE() + 0.1 * Perceptual(load_features("anatomy-random"))
    >>> target = torch.rand(1, 1, 32, 32)
    >>> list(objective.terms(0.9 * target, target))
    ['mse', 'perceptual']
    >>> float(objective(target, target))
    0.0
    """

    def __init__(self, features: FrozenFeatures, source: str = "") -> None:
        super().__init__()
        self.features = features
        self.source = source
        self.smallest = features.smallest

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the mean relative error over the feature layers as the term 'perceptual'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'perceptual'.

        Raises
        ------
        ValueError
            If the images are smaller than ``smallest``.
        """
        pred_maps = self.features(pred)
        with torch.no_grad():
            target_maps = self.features(target)
        # In float32 even if autocast gave maps in half precision.
        errors = [_relative_error(pred_maps[name].float(), target_maps[name].float()) for name in target_maps]
        return {"perceptual": torch.stack(errors).mean()}

    def fingerprint(self) -> Mapping[str, object]:
        """Return the source of the features.

        Returns
        -------
        Mapping[str, object]
            ``source`` under the name 'features'.
        """
        return {"features": self.source}


def perceptual_with(features: str) -> Perceptual:
    """Return the perceptual loss with features by name, whose weights are part of its fingerprint.

    Parameters
    ----------
    features : str
        'NAME' of ``networks.features.registry``, or 'NAME:WEIGHTS' with a file, folder or hub name.

    Returns
    -------
    Perceptual
        With the name of the features and the hash of their weights as its source.

    Raises
    ------
    InvalidSetting
        For an unknown name, and for features that need the user's weights.
    """
    return Perceptual(*load_identified(features))


def _relative_error(pred: Tensor, target: Tensor) -> Tensor:
    return functional.mse_loss(pred, target) / target.square().mean().clamp(min=torch.finfo(target.dtype).tiny)
