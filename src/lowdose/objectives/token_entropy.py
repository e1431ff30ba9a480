"""Use of a codebook: the entropy of the tokens that latents are near to."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def unused_entropy(latents: Tensor, codebook: Tensor, sharpness: float) -> Tensor:
    """Return how much less than all tokens a set of latents uses, in nats.

    It is ln V - H(mean_i p_i), with p_i the softmax over the V tokens of -sharpness |z_i - e|^2 and H the entropy. If
    all latents are near the same token it is ln V; if each token is nearest to as many latents it is 0. A frozen
    codebook cannot move towards the latents, so a few of its tokens would soon be all that are used. Tokens have no
    gradient.

    Parameters
    ----------
    latents : Tensor
        Latents, (N, C), at least one.
    codebook : Tensor
        Embeddings of the tokens, (V, C).
    sharpness : float
        Factor on the squared distances. High enough that only the nearest tokens count, or latents between all tokens
        would seem to use all of them.

    Returns
    -------
    Tensor
        A scalar from 0 to ln V.

    References
    ----------
    Yu et al., "Language model beats diffusion: tokenizer is key to visual generation" (MAGVIT-v2), ICLR 2024, Eq. 4.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import unused_entropy
    >>> codebook = torch.eye(8)
    >>> round(float(unused_entropy(codebook, codebook, 100.0)), 3)
    0.0
    >>> round(float(unused_entropy(codebook[:1], codebook, 100.0)), 3)  # ln 8
    2.079
    """
    tokens = codebook.detach().to(latents.dtype)
    scores = sharpness * (2 * latents @ tokens.T - tokens.square().sum(1))
    mean = torch.softmax(scores, 1).mean(0)
    return math.log(len(tokens)) + (mean * torch.log(mean.clamp(min=1e-12))).sum()
