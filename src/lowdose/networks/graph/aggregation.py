"""What a pixel takes from its neighbours in a graph: weights predicted from the difference of their features."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

CODE = 8
"""Numbers into which the difference of two features is encoded before weights are predicted from it."""
CHUNK = 1024
"""Nodes whose edges are in memory at a time."""
SLOPE = 0.2
"""Slope of leaky ReLUs for negative values."""
TINY = 1e-8
"""Mean square of a difference of features that counts as none."""


class EdgeAggregation(nn.Module):
    """Edge-conditioned aggregation with weights of low rank, and with attention to similar neighbours.

    From the difference d of the features of a neighbour and of a node, a code e = (leaky ReLU of a linear map of d, 1)
    is made. The neighbour's features f give F(e) f, where F(e) = sum_s a_s(e) b_s(e)^T has the given rank, and all a_s
    and b_s are linear in e (Valsesia, Fracastoro, Magli 2020, with one layer before them). The mean over the neighbours
    is weighted by the softmax of -|d|^2 / m, m being the mean of |d|^2 over the neighbours: the more similar, the
    larger the weight. In the release of Chen et al. (arXiv 2105.07146) the sign is the other one.

    Since they are linear in e, the products of b_s with f are computed once for each node, and a_s is applied once to
    what all edges of a node give: an edge costs 0.5 thousand multiplications in place of 6 thousand at 32 channels.

    Parameters
    ----------
    channels : int
        Features of a node.
    rank : int
        Rank of the predicted weights.

    References
    ----------
    D. Valsesia, G. Fracastoro, E. Magli, Deep Graph-Convolutional Image Denoising, IEEE TIP 2020.
    """

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.encode = nn.Linear(channels, CODE)
        self.project = nn.Linear(channels, rank * (CODE + 1), bias=False)
        self.expand = nn.Linear(rank * (CODE + 1), channels)

    def forward(self, nodes: Tensor, others: Tensor, projected: Tensor) -> Tensor:
        """Return what nodes take from their neighbours, (N, C).

        Parameters
        ----------
        nodes, others : Tensor
            Features of the nodes, (N, C), and of the k neighbours of each, (N, k, C).
        projected : Tensor
            ``project`` of the features of the neighbours, (N, k, rank * (CODE + 1)).
        """
        difference = others - nodes[:, None]
        code = functional.leaky_relu(self.encode(difference), SLOPE)
        code = torch.cat([code, torch.ones_like(code[..., :1])], dim=2)
        inner = (projected.view(*projected.shape[:2], self.rank, CODE + 1) * code[:, :, None]).sum(3)
        weighted = inner * attention(difference)[:, :, None]
        result: Tensor = self.expand((weighted.mT @ code).flatten(1))
        return result

    def over(self, nodes: Tensor, neighbours: Tensor) -> Tensor:
        """Return what all nodes of a graph take from their neighbours, ``CHUNK`` nodes at a time.

        nodes: features, (N, C). neighbours: numbers of the k neighbours of each node, (N, k) int64. Returns (N, C). In
        training, what the edges need is computed again for the gradient instead of kept.
        """
        projected = self.project(nodes)
        parts = [
            self._in_chunk(nodes, projected, neighbours[first : first + CHUNK], first)
            if not torch.is_grad_enabled()
            else cast(
                Tensor,
                checkpoint(
                    self._in_chunk, nodes, projected, neighbours[first : first + CHUNK], first, use_reentrant=False
                ),
            )
            for first in range(0, len(nodes), CHUNK)
        ]
        return torch.cat(parts)

    def _in_chunk(self, nodes: Tensor, projected: Tensor, neighbours: Tensor, first: int) -> Tensor:
        result: Tensor = self(nodes[first : first + len(neighbours)], nodes[neighbours], projected[neighbours])
        return result


def attention(difference: Tensor) -> Tensor:
    """Return the weights of neighbours, (N, k), from the differences of their features, (N, k, C); their sum is 1."""
    distances = difference.float().square().mean(2)
    relative = distances / (distances.mean(1, keepdim=True) + TINY)
    return functional.softmax(-relative, dim=1).to(difference.dtype)
