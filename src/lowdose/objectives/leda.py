"""LEDA: the denoised image must have the latents and tokens of the full-dose one (Chen et al. 2024, section 2.2)."""

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
    """LEDA loss: alignment with the target in the latent space and in the token space of a frozen autoencoder.

    It is the bracket of Eq. 3: ``continuous`` times the mean squared error of the latents plus ``discrete`` times that
    of the embeddings of their tokens. The paper's lambda is the weight of the whole,
    ``MSE() + 0.5 * Leda(autoencoder)``. Norms are means over all elements, as in the authors' release. Latents are
    those before quantisation, after the projection to the width of the embeddings. Gradients pass through the quantiser
    unchanged (straight-through estimator) and reach the prediction only. Images whose sides are not multiples of the
    autoencoder's stride are padded by reflection at the bottom and right edges up to the next multiple, prediction and
    target alike.

    Parameters
    ----------
    autoencoder : Autoencoder
        Language-guided autoencoder, for example that of ``lowdose.language.autoencoder_file.load_autoencoder``. It is
        frozen in place, not copied, and stays in eval mode.
    continuous : float
        Weight of the term 'leda_continuous'; a term of weight 0 is neither computed nor returned.
    discrete : float
        Weight of the term 'leda_discrete', likewise.
    source : str
        Identifies the autoencoder in ``fingerprint``, for example by hash.

    Attributes
    ----------
    smallest : int
        Smallest height and width, in pixels, of an image in which every layer of the token pyramid has a position, or
        the stride of the autoencoder when ``discrete`` is 0.

    Raises
    ------
    InvalidSetting
        If a weight is negative or not finite, or both are 0.

    References
    ----------
    Chen et al., "Low-dose CT denoising with language-engaged dual-space alignment", arXiv:2403.06128, 2024, Eq. 3.

    Examples
    --------
    >>> import torch
    >>> from lowdose.networks.autoencoder import Autoencoder
    >>> from lowdose.objectives import MSE, Leda
    >>> autoencoder = Autoencoder("small", codebook=torch.randn(40, 6), layers=1)  # untrained
    >>> objective = MSE() + 0.5 * Leda(autoencoder)
    >>> target = torch.rand(1, 1, 32, 32)
    >>> list(objective.terms(0.9 * target, target))
    ['mse', 'leda_continuous', 'leda_discrete']
    >>> float(objective(target, target))
    0.0
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
        # Latents need an image of one stride; tokens need a position in every layer of the pyramid.
        self.smallest = autoencoder.smallest if discrete else autoencoder.stride

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of this module; the autoencoder stays in eval mode.

        Parameters
        ----------
        mode : bool
            As in ``torch.nn.Module.train``.

        Returns
        -------
        Self
            This objective.
        """
        super().train(mode)
        self.autoencoder.eval()
        return self

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the weighted errors of latents and of token embeddings.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalars 'leda_continuous' and 'leda_discrete', without those of weight 0.

        Raises
        ------
        InvalidSetting
            If the images are smaller than ``smallest``.
        """
        if min(pred.shape[-2:]) < self.smallest:
            height, width = pred.shape[-2:]
            raise InvalidSetting(
                f"an image of {height} x {width} pixels: LEDA needs at least {self.smallest} a side with this "
                "autoencoder; train on larger patches"
            )
        pred_latents = self._latents(pred)
        with torch.no_grad():
            target_latents = self._latents(target)
            target_embedding = self.autoencoder.quantise(target_latents).embedding if self.discrete else None
        # Autocast computes these errors in float32, even from latents in half precision.
        terms: dict[str, Tensor] = {}
        if self.continuous:
            terms["leda_continuous"] = self.continuous * functional.mse_loss(pred_latents, target_latents)
        if target_embedding is not None:
            pred_embedding = self.autoencoder.quantise(pred_latents).embedding
            terms["leda_discrete"] = self.discrete * functional.mse_loss(pred_embedding, target_embedding)
        return terms

    def fingerprint(self) -> Mapping[str, object]:
        """Return the source of the autoencoder.

        Returns
        -------
        Mapping[str, object]
            ``source`` under the name 'autoencoder'.
        """
        return {"autoencoder": self.source}

    def _latents(self, image: Tensor) -> Tensor:
        return self.autoencoder.encode(pad_to_stride(image, self.autoencoder.stride))
