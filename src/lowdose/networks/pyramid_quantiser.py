"""Quantisation of latents to the token pyramid of LEDA (Chen et al. 2024, section 2.1; after SPAE, Yu et al. 2023).

Layer l has tokens at a sub-grid P(l) of the latent positions. Each sub-grid is contained in the next one, and the last
one holds all positions. With e(t) the embedding of token t, at every position of P(l):

    residual         z_l  = z + sum over i < l with the position in P(i) of (z - e(t_i))
    token            t_l  = the nearest to z_l in Euclidean distance
    running average  q_l  = mean of e(t_i) over i <= l with the position in P(i)

The decoder receives q_D of the last layer D. The error of a coarse layer is added to the residual of the finer ones,
and the errors telescope: q_l - z = (e(t_l) - z_l) / n, with n the number of tokens averaged. So the average at a
position with tokens in n layers is n times as close to z as its last token is to the last residual.

The authors' released code divides by the final n at every layer, and averages the commitment loss over all positions of
the grid; ``compat="released"`` does so too. The last average and all indices are the same. The released semantic loss,
which sums over positions in the denominator only, is not offered, since it is not the likelihood of a distribution.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import Pools
from lowdose.errors import InvalidSetting
from lowdose.networks.nearest_token import Nearest, nearest, squared_lengths
from lowdose.networks.semantic_loss import check_pools, pool_moments, pools_of_layer, semantic_loss

COMPAT = ("paper", "released")
RATIO = 4
"""Down-sampling from one layer to the next coarser one, along rows and along columns (LEDA, Fig. S1)."""


class Quantised(NamedTuple):
    """Batch of B latents (C, H, W), quantised to D layers of tokens.

    Layer l has tokens at the rows and columns ``positions(D)[l]``, h_l x w_l of them.

    Attributes
    ----------
    embedding : (B, C, H, W)
        Running average of the last layer. Its gradient passes straight to the latents.
    indices : one (B, h_l, w_l) int64 a layer
        Numbers of the tokens.
    averages : one (B, C, h_l, w_l) a layer
        Running averages of the layers, without gradient.
    commitment : (D,)
        Mean over a layer's positions and channels of (z - q_l)^2, with a gradient to the latents only. Its sum is the
        beta term of LEDA's Eq. 2.
    semantic : scalar or None
        Semantic loss, LEDA's Eq. 1; None without candidate pools.
    codebook : (D,) or None
        The values of ``commitment``, with a gradient to the codebook only; None for a frozen codebook.
    """

    embedding: Tensor
    indices: tuple[Tensor, ...]
    averages: tuple[Tensor, ...]
    commitment: Tensor
    semantic: Tensor | None
    codebook: Tensor | None


def positions(layers: int) -> list[slice]:
    """Return the rows of the latents at which each layer has tokens, coarsest layer first; columns are the same.

    The last layer has all rows, the one before it every fourth row from the fourth on, and each coarser layer every
    fourth of those rows from the second on. For 3 layers on 32 x 32 latents, these are every 16th row from row 7, every
    4th row from row 3 (both counted from 0), and all rows. Raises InvalidSetting for fewer than one layer.
    """
    if layers < 1:
        raise InvalidSetting(f"a pyramid of {layers} layers: it needs at least 1, which is plain vector quantisation")
    first, step, parts = 0, 1, [slice(0, None, 1)]
    for coarser in range(layers - 1):
        first += step * (1 if coarser else RATIO - 1)
        step *= RATIO
        parts.insert(0, slice(first, None, step))
    return parts


class PyramidQuantiser(nn.Module):
    """Vector quantiser of latents (B, C, H, W) to a pyramid of tokens; see the module for the equations.

    Parameters
    ----------
    codebook : Tensor
        (V, C) embeddings of the tokens, copied and kept as float32. A frozen codebook is a buffer, which no optimiser
        finds and which has no gradient.
    layers : int
        Layers of the pyramid.
    learned : bool
        Make the codebook a parameter, trained by the ``codebook`` loss alone. With one layer this is the quantiser of
        a plain VQGAN (LEDA, Table 4).
    compat : str
        'paper', or 'released' for the averages and the commitment loss of the authors' code.

    Raises
    ------
    InvalidSetting
        For another ``compat``, and for a codebook that is not a table of finite numbers.

    References
    ----------
    Z. Chen et al., Low-dose CT Denoising with Language-engaged Dual-space Alignment, arXiv 2403.06128, 2024 (LEDA).
    L. Yu et al., SPAE: Semantic Pyramid AutoEncoder for Multimodal Generation with Frozen LLMs, NeurIPS 2023.
    """

    codebook: Tensor

    def __init__(self, codebook: Tensor, layers: int = 3, learned: bool = False, compat: str = "paper") -> None:
        super().__init__()
        if codebook.ndim != 2 or not codebook.numel() or not codebook.is_floating_point():
            raise InvalidSetting(
                f"a codebook of {tuple(codebook.shape)} {codebook.dtype}: give (tokens, channels) numbers"
            )
        if not bool(codebook.isfinite().all()):
            raise InvalidSetting("the codebook holds NaN or infinity: read the vocabulary again from its source")
        if compat not in COMPAT:
            raise InvalidSetting(f"compat '{compat}': choose one of {', '.join(COMPAT)}")
        self.parts = positions(layers)
        self.learned, self.released = learned, compat == "released"
        table = codebook.detach().to(torch.float32, copy=True)
        if learned:
            self.codebook = nn.Parameter(table)
        else:
            # Not persistent: the vocabulary determines it, and a checkpoint only holds what training can change.
            self.register_buffer("codebook", table, persistent=False)

    @property
    def smallest(self) -> int:
        """Rows and columns of the smallest latents at which every layer has a token."""
        return int(self.parts[0].start) + 1

    def forward(self, latents: Tensor, pools: Pools | None = None) -> Quantised:
        """Quantise latents (B, C, H, W), in float32 also under autocast.

        pools: candidate tokens ``pools[image][layer]``, for which the semantic loss (Eq. 1) is computed. It is the mean
        over the candidates of a pool, then over the layer's positions and the images, then over the layers, in the
        order of the three nested expectations of Eq. 1; so 4 coarse tokens weigh as much as 1024 fine ones. Layers
        beyond those of the pools, and positions with an empty pool of their own, take no part. The loss can be
        differentiated once.

        Raises InvalidSetting for another number of channels, latents smaller than ``smallest``, NaN, or pools that do
        not fit.
        """
        self._check_inputs(latents, pools)
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantise(latents.to(self.codebook.dtype), pools)

    def _check_inputs(self, latents: Tensor, pools: Pools | None) -> None:
        words, width = self.codebook.shape
        if self.codebook.dtype not in (torch.float32, torch.float64):
            raise InvalidSetting(f"a codebook in {self.codebook.dtype}: keep it in float32 and use autocast instead")
        if latents.ndim != 4 or latents.shape[1] != width or not len(latents):
            raise InvalidSetting(f"latents of shape {tuple(latents.shape)}: this codebook needs (batch, {width}, H, W)")
        if min(latents.shape[2:]) < self.smallest:
            raise InvalidSetting(
                f"latents of {latents.shape[2]} x {latents.shape[3]}: {len(self.parts)} layers need at least "
                f"{self.smallest} x {self.smallest}; give larger images or take fewer layers"
            )
        if pools is not None and self.learned:
            raise InvalidSetting("candidate pools with a learned codebook: its entries are no words; leave pools out")
        if pools is not None:
            check_pools(pools, len(latents), len(self.parts), words)

    def _quantise(self, z: Tensor, pools: Pools | None) -> Quantised:
        table = self.codebook.detach()
        squares = squared_lengths(table)
        total = torch.zeros_like(z)
        count, final = z.new_zeros(z.shape[2:]), z.new_zeros(z.shape[2:])
        for part in self.parts:
            final[part, part] += 1
        indices, averages, semantic = [], [], []
        for layer, part in enumerate(self.parts):
            at = (..., part, part)  # the positions of this layer
            number = count[at] + 1
            residual = number * z[at] - total[at]
            points = residual.movedim(1, -1).flatten(0, 2)
            with_loss = pools is not None and layer < len(pools[0])
            closest = nearest(points, table, squares, softmax=with_loss, expectation=with_loss and points.requires_grad)
            if pools is not None and with_loss:
                semantic += _layer_semantics(points, closest, pools, layer, table, squares)
            index = closest.token.view(len(z), *residual.shape[2:])
            total[at] += functional.embedding(index, self.codebook).movedim(-1, 1)
            count[at] = number
            indices.append(index)
            averages.append(total[at] / (final[at] if self.released else number))
        layer_latents = [z[..., part, part] for part in self.parts]
        detached = tuple(average.detach() for average in averages)
        return Quantised(
            # Straight-through gradient: the added term is exactly zero, so the value stays an average of tokens.
            embedding=detached[-1] + (z - z.detach()),
            indices=tuple(indices),
            averages=detached,
            commitment=_mean_squares(layer_latents, detached) * (self._position_shares(z) if self.released else 1.0),
            semantic=torch.stack(semantic).mean() if semantic else None,
            codebook=_mean_squares([part.detach() for part in layer_latents], averages) if self.learned else None,
        )

    def _position_shares(self, z: Tensor) -> Tensor:
        """Return (D,) the share of the positions of z (B, C, H, W) at which each layer has tokens."""
        return torch.stack([torch.tensor(z[..., part, part].numel() / z.numel()) for part in self.parts]).to(z)


def _layer_semantics(
    points: Tensor, closest: Nearest, pools: Pools, layer: int, table: Tensor, squares: Tensor
) -> list[Tensor]:
    """Return the semantic loss of one layer at the positions that have candidates; empty if none has."""
    chosen, kept = pools_of_layer(pools, layer, len(points))
    if not chosen:
        return []
    if kept is not None:
        at = kept.to(points.device)
        points = points[at]
        closest = Nearest(*(None if part is None else part[at] for part in closest))  # type: ignore[arg-type]
    return [semantic_loss(points, closest, pool_moments(chosen, table, squares))]


def _mean_squares(first: list[Tensor], second: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    return torch.stack([(a - b).square().mean() for a, b in zip(first, second, strict=True)])
