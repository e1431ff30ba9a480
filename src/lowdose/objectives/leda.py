"""LEDA: the denoised image must encode and read as the full-dose one does (Chen et al. 2024, section 2.2, Eq. 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.networks.autoencoder import Autoencoder, pad_to_stride
from lowdose.objectives.base import Objective


class Leda(Objective):
    """``continuous`` times the mean squared error of the latents, ``discrete`` times that of their words' embeddings.

    Terms 'leda_continuous' and 'leda_discrete'; one with the weight 0 is neither there nor computed. The bracket of
    Eq. 3: the paper's lambda is the weight of the whole, ``MSE() + 0.5 * Leda(autoencoder)``. Norms are means over
    all elements, as in the authors' release. Latents are those before quantisation, after the projection to the
    width of the embeddings. Gradients pass the quantiser as if it were not there, and reach the prediction only.

    autoencoder: is frozen, not copied, and stays in eval mode. source: says which one, for ``fingerprint``.
    Images whose sides are no multiples of its stride are mirrored at the far edges up to the next, prediction and
    target alike. Raises InvalidSetting for weights that are negative, not finite or both 0.
    """

    def __init__(
        self, autoencoder: Autoencoder, continuous: float = 1.0, discrete: float = 1.0, source: str = ""
    ) -> None:
        super().__init__()
        for name, weight in (("continuous", continuous), ("discrete", discrete)):
            if not 0 <= weight < math.inf:
                raise InvalidSetting(f"{name}={weight:g}: must be a number from 0, which switches the term off")
        if continuous == discrete == 0:
            raise InvalidSetting("continuous=0 and discrete=0: LEDA has no other term; give its weight as 0 instead")
        self.autoencoder = autoencoder.requires_grad_(False).eval()
        self.continuous, self.discrete, self.source = continuous, discrete, source
        # Latents exist for images of one stride; words need a pyramid of which every layer has a position.
        self.smallest = autoencoder.smallest if discrete else autoencoder.stride

    def train(self, mode: bool = True) -> Self:
        """The autoencoder stays in eval mode whatever ``mode`` is."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """(B, 1, H, W) in the unit of ``hounsfield.OBJECTIVE``. Raises InvalidSetting for images below ``smallest``."""
        if min(pred.shape[-2:]) < self.smallest:
            height, width = pred.shape[-2:]
            raise InvalidSetting(
                f"an image of {height} x {width} pixels: LEDA needs at least {self.smallest} a side with this "
                "autoencoder; train on larger patches"
            )
        latents = self._latents(pred)
        with torch.no_grad():
            wanted = self._latents(target)
            words = self.autoencoder.quantise(wanted).embedding if self.discrete else None
        # Autocast computes these errors in float32, also from latents in half precision.
        found: dict[str, Tensor] = {}
        if self.continuous:
            found["leda_continuous"] = self.continuous * functional.mse_loss(latents, wanted)
        if words is not None:
            read = self.autoencoder.quantise(latents).embedding
            found["leda_discrete"] = self.discrete * functional.mse_loss(read, words)
        return found

    def fingerprint(self) -> Mapping[str, object]:
        return {"autoencoder": self.source}

    def _latents(self, image: Tensor) -> Tensor:
        return self.autoencoder.encode(pad_to_stride(image, self.autoencoder.stride))
