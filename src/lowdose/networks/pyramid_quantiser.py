"""The token pyramid of LEDA (Chen et al. 2024, section 2.1; SPAE, Yu et al. 2023): latents become words.

Layer l holds a sub-grid P(l) of the latent positions, each contained in the next, the last one all of them. With e(t)
the embedding of token t, at every position of P(l):

    residual         z_l  = z + sum over i < l with the position in P(i) of (z - e(t_i))
    token            t_l  = the nearest to z_l in Euclidean distance
    running average  q_l  = mean of e(t_i) over i <= l with the position in P(i)

The decoder sees q_D. What a coarse layer missed is added on for the finer ones, and the error telescopes:
q_l - z = (e(t_l) - z_l) / n, with n the number of tokens averaged. So a position in n layers is n times as near to z as
its last token is to the last residual.

The authors' release divides by the final n at every layer, and takes the mean of the commitment over all positions of
the grid; ``compat="released"`` does so too. The last average and all indices are the same. Its semantic loss, which
sums over positions in the denominator only, is not offered: it is no distribution.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.networks.nearest_token import nearest, squared_lengths
from lowdose.networks.semantic_loss import Pools, check_pools, pool_moments, semantic_loss

COMPAT = ("paper", "released")
RATIO = 4
"""Down-sampling from one layer to the next coarser one, along rows and along columns (LEDA, Fig. S1)."""


class Quantised(NamedTuple):
    """A batch of B latents (C, H, W) as tokens; layer l has the rows and columns ``positions(D)[l]``, h_l x w_l.

    embedding: (B, C, H, W) the last average, through which gradients pass straight to the latents.
    indices: one (B, h_l, w_l) int64 a layer. averages: one (B, C, h_l, w_l) a layer, constants.
    commitment: (D,) mean over a layer's positions and channels of (z - q_l)^2; its gradient goes to the latents only,
    and its sum is the beta term of LEDA's Eq. 2.
    semantic: LEDA's Eq. 1, a scalar, or None without candidate pools.
    codebook: (D,) the numbers of ``commitment`` with the gradient to the codebook only; None for a frozen one.
    """

    embedding: Tensor
    indices: tuple[Tensor, ...]
    averages: tuple[Tensor, ...]
    commitment: Tensor
    semantic: Tensor | None
    codebook: Tensor | None


def positions(layers: int) -> list[slice]:
    """Rows (and columns) of each layer, coarsest first: on 32 x 32 from 7 by 16, from 3 by 4, all.

    Above the full grid lies every fourth row from the fourth; above that, every fourth of those from the second.
    Raises InvalidSetting for fewer than one layer.
    """
    if layers < 1:
        raise InvalidSetting(f"a pyramid of {layers} layers: it needs at least 1, which is plain vector quantisation")
    first, step, parts = 0, 1, [slice(0, None, 1)]
    for above in range(layers - 1):
        first += step * (1 if above else RATIO - 1)
        step *= RATIO
        parts.insert(0, slice(first, None, step))
    return parts


class PyramidQuantiser(nn.Module):
    """Quantises latents against ``codebook`` (V, C), which is copied and kept as float32.

    Frozen, it is a buffer: no optimiser can find it, and no gradient is made for it. ``learned=True`` makes it a
    parameter, moved by the ``codebook`` loss alone; with one layer that is the quantiser of a plain VQGAN (LEDA,
    Table 4). compat: of ``COMPAT``. Raises InvalidSetting for another one, and for a codebook that is no table of
    finite numbers.
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
            # Given by the vocabulary, so neither state nor weights: a checkpoint holds what training can move.
            self.register_buffer("codebook", table, persistent=False)

    @property
    def smallest(self) -> int:
        """Rows and columns of the smallest latent in which every layer has a position."""
        return int(self.parts[0].start) + 1

    def forward(self, latents: Tensor, pools: Pools | None = None) -> Quantised:
        """latents: (B, C, H, W); works in float32 also under autocast, the result is float32.

        pools: candidate tokens ``pools[image][layer]``; with them Eq. 1 is computed: the mean over a pool's candidates,
        then over the layer's positions and the images, then over the layers, as its three expectations are nested; so
        4 coarse tokens weigh as much as 1024 fine ones. It can be differentiated once.
        Raises InvalidSetting for another number of channels, latents smaller than ``smallest``, NaN, or pools that do
        not fit.
        """
        self._check(latents, pools)
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantised(latents.to(self.codebook.dtype), pools)

    def _check(self, latents: Tensor, pools: Pools | None) -> None:
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

    def _quantised(self, z: Tensor, pools: Pools | None) -> Quantised:
        table = self.codebook.detach()
        squares = squared_lengths(table)
        total = torch.zeros_like(z)
        count, final = z.new_zeros(z.shape[2:]), z.new_zeros(z.shape[2:])
        for part in self.parts:
            final[part, part] += 1
        indices, averages, semantic = [], [], []
        for layer, part in enumerate(self.parts):
            here = (..., part, part)
            number = count[here] + 1
            residual = number * z[here] - total[here]
            points = residual.movedim(1, -1).flatten(0, 2)
            wanted = pools is not None
            found = nearest(points, table, squares, softmax=wanted, expectation=wanted and points.requires_grad)
            if pools is not None:
                moments = pool_moments([per_layer[layer] for per_layer in pools], table, squares)
                semantic.append(semantic_loss(points, found, moments))
            index = found.token.view(len(z), *residual.shape[2:])
            total[here] += functional.embedding(index, self.codebook).movedim(-1, 1)
            count[here] = number
            indices.append(index)
            averages.append(total[here] / (final[here] if self.released else number))
        seen = [z[..., part, part] for part in self.parts]
        fixed = tuple(average.detach() for average in averages)
        return Quantised(
            # Adding what is exactly zero keeps the value an average of tokens to the last bit.
            embedding=fixed[-1] + (z - z.detach()),
            indices=tuple(indices),
            averages=fixed,
            commitment=_mean_squares(seen, fixed) * (self._shares(z) if self.released else 1.0),
            semantic=torch.stack(semantic).mean() if semantic else None,
            codebook=_mean_squares([part.detach() for part in seen], averages) if self.learned else None,
        )

    def _shares(self, z: Tensor) -> Tensor:
        """(D,) of the positions of (B, C, H, W) that each layer has."""
        return torch.stack([torch.tensor(z[..., part, part].numel() / z.numel()) for part in self.parts]).to(z)


def _mean_squares(first: list[Tensor], second: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    return torch.stack([(a - b).square().mean() for a, b in zip(first, second, strict=True)])
