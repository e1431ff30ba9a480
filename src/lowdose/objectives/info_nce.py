"""InfoNCE, a contrastive loss: a feature is to be told by its partner among negatives (van den Oord et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(
    query: Tensor, positive: Tensor, negatives: Tensor, temperature: float = 1.0, valid: Tensor | None = None
) -> Tensor:
    """Return the cross-entropy of finding the positive among positive and negatives, for each query.

    Similarities are scalar products; with features of length 1 they are cosines. The loss is at least 0, and ln(1 + K)
    where all are equal. Computed in float32 under autocast too.

    Parameters
    ----------
    query, positive : Tensor
        Features and those that belong to them, (N, C).
    negatives : Tensor
        Features that do not, (N, K, C).
    temperature : float
        What similarities are divided by.
    valid : Tensor, optional
        Which negatives count, (N, K) bool; all by default.

    Returns
    -------
    Tensor
        (N,).

    References
    ----------
    A. van den Oord, Y. Li, O. Vinyals, Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748,
    Eq. 4.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.info_nce import info_nce
    >>> feature = torch.tensor([[1.0, 0.0]])
    >>> alike, opposite = feature.expand(1, 3, 2), -feature.expand(1, 3, 2)
    >>> [round(float(info_nce(feature, feature, negatives)), 4) for negatives in (alike, opposite)]
    [1.3863, 0.3408]
    """
    query, positive, negatives = query.float(), positive.float(), negatives.float()
    # Written out, since a matrix product would be in half precision under autocast.
    near = (query * positive).sum(dim=1, keepdim=True)
    far = (query[:, None] * negatives).sum(dim=2)
    if valid is not None:
        far = far.masked_fill(~valid, -torch.inf)
    similarities = torch.cat([near, far], dim=1) / temperature
    first = torch.zeros(len(query), dtype=torch.long, device=query.device)
    return functional.cross_entropy(similarities, first, reduction="none")
