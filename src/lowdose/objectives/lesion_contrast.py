"""Comparison of the contrast of inserted lesions between prediction and target."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def lesion_contrast_terms(pred: Tensor, target: Tensor, template: Tensor) -> Mapping[str, Tensor]:
    """Return the mean squared error of the contrast of lesions, as a matched filter measures it.

    The contrast of an image is its mean over the lesion, weighted by the lesion's own profile, less its mean over a
    ring of the tissue around it: the matched filter of a known lesion on an unknown level in white noise. Squared error
    of single pixels hardly notices a small, faint lesion that is half gone, since the noise of as many pixels counts as
    much; noise averages out in this mean. The difference of the two contrasts is linear in the images, so that the
    estimate that is best for it is the one that is best for squared error: the mean of what the target may be.

    Parameters
    ----------
    pred : Tensor
        Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
    target : Tensor
        Target, of the same shape and unit.
    template : Tensor
        Weights of the pixels, (B, 1, H, W): their sum is 1 over the lesion and -1 over the ring around it
        (``lowdose.batch.PairedBatch``). All 0 for an image without a lesion, which counts as one without error.

    Returns
    -------
    Mapping[str, Tensor]
        The scalar 'lesion_contrast', a mean over the images.

    Raises
    ------
    ValueError
        If the shapes differ, as for a batch whose patches have no templates.

    References
    ----------
    Barrett and Myers, "Foundations of Image Science", Wiley 2004, section 13.2.12 (matched filter).

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import lesion_contrast_terms
    >>> template, lesion = torch.full((1, 1, 8, 8), -1 / 60), torch.zeros(1, 1, 8, 8)
    >>> template[..., 3:5, 3:5], lesion[..., 3:5, 3:5] = 1 / 4, -30 / 3000  # a lesion of -30 HU
    >>> tissue = torch.full((1, 1, 8, 8), 1060 / 3000)
    >>> terms = lesion_contrast_terms(tissue + 0.4 * lesion, tissue + lesion, template)  # 18 HU are lost
    >>> round(3000 * float(terms["lesion_contrast"]) ** 0.5, 3)
    18.0
    """
    if not pred.shape == target.shape == template.shape:
        raise ValueError(
            f"prediction {tuple(pred.shape)}, target {tuple(target.shape)} and template {tuple(template.shape)}: must "
            "have one shape; patches have templates where lesion_share is above 0"
        )
    error = (template * (pred - target)).sum(dim=(1, 2, 3))
    return {"lesion_contrast": error.square().mean()}
