"""Semantic-guided contrast of ALDEN (Wang et al., MICCAI 2025): features of a vision model, and two kinds of negatives.

Only the abstract of the paper is public. It says that features of low-dose, denoised and full-dose images are
contrasted, that positive pairs preserve the patterns of tissues, and that dual negative pairs suppress artefacts. What
the negatives are is read out of that sentence, and is this project's choice.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.semantic import semantic_maps
from lowdose.objectives.base import Objective
from lowdose.objectives.info_nce import info_nce

MOST_PLACES = 256
"""Most places of a map that are contrasted, evenly spaced."""
NEGATIVES = 16
"""Places of other tissues for each place: those of the full-dose image whose features are least similar to its own."""
TISSUES_HU, APART_HU = (-950.0, -250.0, -20.0, 90.0, 200.0), 40.0
"""Limits between air, lung, fat, soft tissue, enhanced tissue and bone, and how far apart the means of two places are
at least, for both to count as different tissues. Features alone took one negative in 30 from the tissue itself."""
TEMPERATURE = 0.1


def semantic_contrast(
    pred: Tensor, target: Tensor, full: Tensor, low: Tensor | None = None, negatives: int = NEGATIVES,
    temperature: float = TEMPERATURE,
) -> Tensor:  # fmt: skip
    """Return InfoNCE of one feature map: each place of the denoised image must look like the same place at full dose.

    For the denoised features at a place, the positive is full dose there. Negatives are the low-dose input there, whose
    noise and artefacts are to go, and full dose at up to ``negatives`` places of other tissues, those whose features
    are least similar to the positive's. Features are brought to length 1.

    Parameters
    ----------
    pred, target : Tensor
        Feature maps of the denoised and the full-dose image, (B, C, h, w).
    full : Tensor
        The full-dose image itself, (B, 1, H, W), with [-1000, 2000] HU as [0, 1], which tells tissues apart.
    low : Tensor, optional
        Feature map of the low-dose image; without it there are negatives of other tissues alone.
    negatives : int
        Places of other tissues; at most a quarter of all places.
    temperature : float
        What cosines are divided by.

    Returns
    -------
    Tensor
        Mean over places and images, a scalar.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.semantic_contrast import semantic_contrast
    >>> full, low = torch.randn(2, 1, 8, 4, 4)
    >>> image = torch.rand(1, 1, 64, 64)
    >>> bool(semantic_contrast(full, full, image, low) < semantic_contrast(low, full, image, low))
    True
    """
    anchor, positive = _places(pred), _places(target)
    with torch.no_grad():
        places, valid = other_tissues(target, full, negatives)
    others = torch.stack([one[chosen] for one, chosen in zip(positive, places, strict=True)])
    if low is not None:
        others = torch.cat([others, _places(low)[:, :, None]], dim=2)
        valid = functional.pad(valid, (0, 1), value=True)
    query, partner, strangers, counts = (values.flatten(0, 1) for values in (anchor, positive, others, valid))
    return info_nce(query, partner, strangers, temperature, counts).mean()


def other_tissues(target: Tensor, full: Tensor, count: int = NEGATIVES) -> tuple[Tensor, Tensor]:
    """Return for each place the ``count`` least similar places, (B, N, K), and whether they are of another tissue."""
    positive = _places(target)
    hu = OBJECTIVE.decode(functional.adaptive_avg_pool2d(full.float(), (target.shape[-2], target.shape[-1])))
    mean = _thinned(hu).flatten(1)
    tissue = torch.bucketize(mean, torch.tensor(TISSUES_HU, device=mean.device))
    same = (tissue[:, :, None] == tissue[:, None]) | ((mean[:, :, None] - mean[:, None]).abs() < APART_HU)
    similarity = (positive @ positive.transpose(1, 2)).masked_fill(same, torch.inf)
    found = similarity.topk(max(1, min(count, positive.shape[1] // 4)), dim=2, largest=False)
    return found.indices, found.values.isfinite()


def _thinned(map_: Tensor) -> Tensor:
    step = 1
    while -(-map_.shape[-2] // step) * -(-map_.shape[-1] // step) > MOST_PLACES:
        step += 1
    return map_[..., ::step, ::step]


def _places(map_: Tensor) -> Tensor:
    """Return features of length 1 at evenly spaced places, (B, N, C), in float32."""
    return functional.normalize(_thinned(map_).float().flatten(2).transpose(1, 2), dim=2)


class SemanticContrast(Objective):
    """Mean of ``semantic_contrast`` over the three coarsest maps of a frozen vision model.

    It looks at the low-dose image too, where the training gives it (``Objective.terms_with_low_dose``).

    Parameters
    ----------
    features : FrozenFeatures
        Pretrained vision model with at least three maps, for example
        ``lowdose.networks.features.registry.load_features("anatomy")``.
    source : str
        Identifies the features in ``fingerprint``.
    temperature : float
        What cosines are divided by.

    Attributes
    ----------
    smallest : int
        Smallest height and width, in pixels, of an image whose finest map has places of other tissues.

    References
    ----------
    R. Wang et al., Anatomy-Aware Low-Dose CT Denoising via Pretrained Vision Models and Semantic-Guided Contrastive
    Learning, MICCAI 2025 (abstract).

    Examples
    --------
    >>> import torch
    >>> from lowdose.networks.features.registry import load_features
    >>> from lowdose.objectives import MSE, SemanticContrast
    >>> objective = MSE() + 0.01 * SemanticContrast(load_features("anatomy-random"))
    >>> low, full = torch.rand(2, 1, 1, 64, 64)
    >>> list(objective.terms_with_low_dose(low, full, low))
    ['mse', 'semantic_contrast']
    """

    def __init__(self, features: FrozenFeatures, source: str = "", temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.features, self.source, self.temperature = features, source, temperature
        self.smallest = 2 * features.smallest

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the term 'semantic_contrast', with negatives of other tissues alone.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            A scalar.
        """
        return self._terms(pred, target, None)

    def terms_with_low_dose(self, pred: Tensor, target: Tensor, low: Tensor) -> Mapping[str, Tensor]:
        """Return the term 'semantic_contrast', with negatives of both kinds.

        Parameters
        ----------
        pred, target, low : Tensor
            Prediction, full dose and low dose, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].

        Returns
        -------
        Mapping[str, Tensor]
            A scalar.
        """
        return self._terms(pred, target, low)

    def _terms(self, pred: Tensor, target: Tensor, low: Tensor | None) -> Mapping[str, Tensor]:
        own = semantic_maps(self.features, pred)
        with torch.no_grad():
            wanted = semantic_maps(self.features, target)
            before = [None] * len(wanted) if low is None else semantic_maps(self.features, low)
        losses = [
            semantic_contrast(mine, theirs, target, input_, temperature=self.temperature)
            for mine, theirs, input_ in zip(own, wanted, before, strict=True)
        ]
        return {"semantic_contrast": torch.stack(losses).mean()}

    def fingerprint(self) -> Mapping[str, object]:
        """Return the source of the features.

        Returns
        -------
        Mapping[str, object]
            ``source`` under the name 'features'.
        """
        return {"features": self.source}
