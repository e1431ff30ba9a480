"""The nearest tokens of many points, and the softmax over all distances, in one pass over a large vocabulary.

The matrix of distances (points x vocabulary) is never kept: it passes by in pieces of ``CELLS`` entries.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowdose.errors import InvalidSetting

CELLS = 2**22
"""Scores held at a time: 16 MB in float32. Smaller pieces spend their time on waiting: threads for each other on a busy
CPU, kernels for their launch on a GPU; larger ones gain nothing."""

BLOCK = 16
"""Tokens whose best score is kept as one number; the blocks that rounding leaves in doubt are measured again."""

PAIRS = 128
"""(block, point) pairs measured again at a time: 128 x 16 tokens x 512 channels are 8 MB in float64."""

_INPUT_ROUNDING = {"tf32": 2.0**-10, "bf16": 2.0**-8}
"""Relative rounding of a factor before it is multiplied, where PyTorch was allowed fast float32 products."""


class Nearest(NamedTuple):
    """What one pass finds for N points of C channels.

    token: (N,) int64, the row of the nearest token; of several at exactly one distance the first.
    distance: (N,) float64, squared Euclidean distance to it.
    log_sum: (N,) log of the sum over the vocabulary of exp(distance - distance to token k); None if not asked for.
    expected: (N, C) sum over the vocabulary of softmax_k(-squared distance) times token k; None if not asked for.
    """

    token: Tensor
    distance: Tensor
    log_sum: Tensor | None
    expected: Tensor | None


class _Softmax:
    """Log-sum-exp of scores that arrive in pieces, and the mean token under their softmax."""

    def __init__(self, points: Tensor, expectation: bool) -> None:
        self.highest = points.new_full((len(points),), -torch.inf)
        self.total = torch.zeros_like(self.highest)
        self.weighted = torch.zeros_like(points) if expectation else None

    def add(self, scores: Tensor, peak: Tensor, tokens: Tensor) -> None:
        """scores: (k, N), overwritten; peak: (N,) their largest; tokens: (k, C)."""
        highest = torch.maximum(self.highest, peak)
        fade = torch.exp(self.highest - highest)
        weights = scores.sub_(highest).exp_()
        self.total = self.total * fade + weights.sum(0)
        if self.weighted is not None:
            self.weighted.mul_(fade[:, None]).addmm_(weights.t(), tokens)
        self.highest = highest


def squared_lengths(table: Tensor) -> Tensor:
    """(V, C) -> (V,), without a squared copy of the table."""
    lengths: Tensor = torch.linalg.vector_norm(table, dim=1)
    return lengths.square()


@torch.no_grad()
def nearest(
    points: Tensor,
    table: Tensor,
    squares: Tensor,
    *,
    softmax: bool = False,
    expectation: bool = False,
    cells: int = CELLS,
) -> Nearest:
    """The nearest of the V tokens ``table`` (V, C) to each of ``points`` (N, C); both float32, or both float64.

    |z - e|^2 = |z|^2 - (2 z.e - |e|^2): the token with the highest score 2 z.e - |e|^2 is the nearest one, and the
    scores are logits of the softmax of -|z - e|^2. Scores carry rounding, so every token that rounding could have
    hidden is measured again in float64: the token is that of the exact distances, whatever the size of the pieces
    and however PyTorch was told to multiply. Nothing here is differentiated.

    squares: (V,) ``squared_lengths(table)``; softmax: also ``log_sum``; expectation: also ``expected``, which costs
    another matrix product; cells: scores held at a time.
    Raises InvalidSetting for points that are NaN, infinite or so large that their scores would be.
    """
    reach = _largest_score(points, squares)
    online = _Softmax(points, expectation) if softmax or expectation else None
    peaks = _pass_by(points, table, squares, online, cells)
    # Rounding of a sum of C products, however ordered, for both of the two tokens that are compared.
    doubt = ((points.shape[1] + 4) * torch.finfo(points.dtype).eps + 4 * _input_rounding(points)) * reach
    token, distance = _measured_again(points, table, peaks, doubt)
    if online is None:
        return Nearest(token, distance, None, None)
    expected = None if online.weighted is None else online.weighted / online.total[:, None]
    return Nearest(token, distance, online.total.log(), expected)


def _largest_score(points: Tensor, squares: Tensor) -> Tensor:
    """(N,) bound of |2 z.e| + |e|^2 over the vocabulary. Raises InvalidSetting where it is no finite number."""
    longest = squares.max()
    reach = 2 * squared_lengths(points).sqrt() * longest.sqrt() + longest
    broken = int((~reach.isfinite()).sum())
    if broken:
        raise InvalidSetting(
            f"{broken} of {len(points)} latent positions hold NaN, infinity or numbers too large to square: look for "
            "such values in the image and in the encoder's weights; a training that got here has diverged"
        )
    return reach


def _pass_by(points: Tensor, table: Tensor, squares: Tensor, online: _Softmax | None, cells: int) -> Tensor:
    """Best score of each block of tokens for each point, (V / BLOCK, N); every piece is shown to ``online`` too."""
    words = len(table)
    rows = BLOCK * max(1, min(cells // len(points), words) // BLOCK)
    held = points.new_empty(rows, len(points))
    peaks = points.new_empty(-(-words // BLOCK), len(points))
    for start in range(0, words, rows):
        tokens = table[start : start + rows]
        scores = held[: len(tokens)]
        torch.addmm(squares[start : start + rows, None], tokens, points.t(), beta=-1, alpha=2, out=scores)
        blocks = -(-len(tokens) // BLOCK)
        held[len(tokens) : blocks * BLOCK] = -torch.inf
        part = peaks[start // BLOCK :][:blocks]
        torch.amax(held[: blocks * BLOCK].view(blocks, BLOCK, -1), dim=1, out=part)
        if online is not None:
            online.add(scores, part.amax(0), tokens)
    return peaks


def _input_rounding(points: Tensor) -> float:
    backend = torch.backends.cuda if points.is_cuda else torch.backends.mkldnn
    return _INPUT_ROUNDING.get(str(backend.matmul.fp32_precision), 0.0)


def _measured_again(points: Tensor, table: Tensor, peaks: Tensor, doubt: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest token (N,) and the squared distance to it (N,), in float64.

    peaks: (V / BLOCK, N); doubt: (N,) two scores that differ by less may be in the wrong order.
    """
    block, point = torch.nonzero(peaks >= peaks.amax(0) - doubt, as_tuple=True)
    inside = torch.arange(BLOCK, device=points.device)
    firsts, leasts = [], []
    for start in range(0, len(block), PAIRS):
        some = slice(start, start + PAIRS)
        tokens = (block[some, None] * BLOCK + inside).clamp(max=len(table) - 1)
        exact = (table[tokens].double() - points[point[some], None].double()).square_().sum(-1)
        leasts.append(exact.amin(1))
        firsts.append(tokens.where(exact == leasts[-1][:, None], len(table)).amin(1))
    first, least = torch.cat(firsts), torch.cat(leasts)
    # Minima do not depend on the order in which they are taken, so this is deterministic on a GPU too.
    distance = least.new_full((len(points),), torch.inf).scatter_reduce(0, point, least, "amin")
    tied = first.where(least == distance[point], len(table))
    return first.new_full((len(points),), len(table)).scatter_reduce(0, point, tied, "amin"), distance
