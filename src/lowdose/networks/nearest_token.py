"""Search for the nearest token of many points, and the softmax over all distances, in one pass over the vocabulary.

The matrix of distances (points x vocabulary) is never stored as a whole: it is computed in pieces of ``CELLS`` entries.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowdose.errors import InvalidSetting

CELLS = 2**22
"""Number of scores in memory at a time: 16 MB in float32.

Smaller pieces waste time on overhead, such as synchronising threads on a busy CPU or launching kernels on a GPU; larger
pieces gain nothing.
"""

BLOCK = 16
"""Number of tokens of which only the best score is kept; blocks that rounding leaves in doubt are computed again."""

PAIRS = 128
"""Number of (block, point) pairs computed again at a time: 128 x 16 tokens x 512 channels are 8 MB in float64."""

_INPUT_ROUNDING = {"tf32": 2.0**-10, "bf16": 2.0**-8}
"""Relative rounding of the inputs of a matrix product where PyTorch is allowed to use a fast float32 mode."""


class Nearest(NamedTuple):
    """Result of a search for N points of C channels.

    Attributes
    ----------
    token : (N,) int64
        Row of the nearest token; the first one of several at exactly the same distance.
    distance : (N,) float64
        Squared Euclidean distance to that token.
    log_sum : (N,) or None
        Logarithm of the sum over the vocabulary of exp(distance - squared distance to token k); None if not requested.
    expected : (N, C) or None
        Sum over the vocabulary of softmax_k(-squared distance) times token k; None if not requested.
    """

    token: Tensor
    distance: Tensor
    log_sum: Tensor | None
    expected: Tensor | None


class _OnlineSoftmax:
    """Log-sum-exp of scores that arrive in pieces, and the mean token under their softmax."""

    def __init__(self, points: Tensor, expectation: bool) -> None:
        self.highest = points.new_full((len(points),), -torch.inf)
        self.total = torch.zeros_like(self.highest)
        self.weighted = torch.zeros_like(points) if expectation else None

    def add(self, scores: Tensor, peak: Tensor, tokens: Tensor) -> None:
        """Add the scores (k, N) of k tokens (k, C); peak: (N,) the largest scores. ``scores`` is overwritten."""
        highest = torch.maximum(self.highest, peak)
        rescale = torch.exp(self.highest - highest)
        weights = scores.sub_(highest).exp_()
        self.total = self.total * rescale + weights.sum(0)
        if self.weighted is not None:
            self.weighted.mul_(rescale[:, None]).addmm_(weights.t(), tokens)
        self.highest = highest


def squared_lengths(table: Tensor) -> Tensor:
    """Return the squared length of every row of a table: (V, C) -> (V,), without a squared copy of the table."""
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
    """Find the nearest token, a row of ``table`` (V, C), to each of ``points`` (N, C).

    |z - e|^2 = |z|^2 - (2 z.e - |e|^2): the token with the highest score 2 z.e - |e|^2 is the nearest one, and the
    scores are logits of the softmax of -|z - e|^2. Scores are rounded, so the distance to every token that could be the
    nearest within rounding is computed again in float64. The result is the nearest token by exact distances, whatever
    the size of the pieces and the precision mode of PyTorch's matrix products. Gradients are not computed.

    Points and table are both float32 or both float64. squares: (V,) ``squared_lengths(table)``; softmax: return
    ``log_sum`` too; expectation: return ``expected`` too, at the cost of another matrix product; cells: number of
    scores in memory at a time. Raises InvalidSetting for points that are NaN, infinite, or so large that their scores
    would be infinite.
    """
    largest_score = _score_bound(points, squares)
    online = _OnlineSoftmax(points, expectation) if softmax or expectation else None
    peaks = _block_peaks(points, table, squares, online, cells)
    # Rounding of a sum of C products, in any order, for both of the two tokens that are compared.
    tolerance = ((points.shape[1] + 4) * torch.finfo(points.dtype).eps + 4 * _input_rounding(points)) * largest_score
    token, distance = _exact_nearest(points, table, peaks, tolerance)
    if online is None:
        return Nearest(token, distance, None, None)
    expected = None if online.weighted is None else online.weighted / online.total[:, None]
    return Nearest(token, distance, online.total.log(), expected)


def _score_bound(points: Tensor, squares: Tensor) -> Tensor:
    """Return (N,) upper bounds of |2 z.e| + |e|^2 over the vocabulary. Raises InvalidSetting for infinity or NaN."""
    longest = squares.max()
    bound = 2 * squared_lengths(points).sqrt() * longest.sqrt() + longest
    broken = int((~bound.isfinite()).sum())
    if broken:
        raise InvalidSetting(
            f"{broken} of {len(points)} latent positions hold NaN, infinity or numbers too large to square: look for "
            "such values in the image and in the encoder's weights; a training that got here has diverged"
        )
    return bound


def _block_peaks(points: Tensor, table: Tensor, squares: Tensor, online: _OnlineSoftmax | None, cells: int) -> Tensor:
    """Return the best score of each block of tokens for each point, (V / BLOCK, N).

    All scores are added to ``online``, if given.
    """
    words = len(table)
    rows = BLOCK * max(1, min(cells // len(points), words) // BLOCK)
    buffer = points.new_empty(rows, len(points))
    peaks = points.new_empty(-(-words // BLOCK), len(points))
    for start in range(0, words, rows):
        tokens = table[start : start + rows]
        scores = buffer[: len(tokens)]
        torch.addmm(squares[start : start + rows, None], tokens, points.t(), beta=-1, alpha=2, out=scores)
        blocks = -(-len(tokens) // BLOCK)
        buffer[len(tokens) : blocks * BLOCK] = -torch.inf
        piece_peaks = peaks[start // BLOCK :][:blocks]
        torch.amax(buffer[: blocks * BLOCK].view(blocks, BLOCK, -1), dim=1, out=piece_peaks)
        if online is not None:
            online.add(scores, piece_peaks.amax(0), tokens)
    return peaks


def _input_rounding(points: Tensor) -> float:
    backend = torch.backends.cuda if points.is_cuda else torch.backends.mkldnn
    return _INPUT_ROUNDING.get(str(backend.matmul.fp32_precision), 0.0)


def _exact_nearest(points: Tensor, table: Tensor, peaks: Tensor, tolerance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest token (N,) and the squared distance to it (N,), computed in float64.

    Only blocks whose best score is within the tolerance of the overall best are considered. peaks: (V / BLOCK, N);
    tolerance: (N,) two scores that differ by less may be in the wrong order.
    """
    block, point = torch.nonzero(peaks >= peaks.amax(0) - tolerance, as_tuple=True)
    offsets = torch.arange(BLOCK, device=points.device)
    first_tokens, least_distances = [], []
    for start in range(0, len(block), PAIRS):
        pairs = slice(start, start + PAIRS)
        tokens = (block[pairs, None] * BLOCK + offsets).clamp(max=len(table) - 1)
        exact = (table[tokens].double() - points[point[pairs], None].double()).square_().sum(-1)
        least_distances.append(exact.amin(1))
        first_tokens.append(tokens.where(exact == least_distances[-1][:, None], len(table)).amin(1))
    first, least = torch.cat(first_tokens), torch.cat(least_distances)
    # Minima do not depend on the order in which they are taken, so this is deterministic on a GPU too.
    distance = least.new_full((len(points),), torch.inf).scatter_reduce(0, point, least, "amin")
    tied = first.where(least == distance[point], len(table))
    return first.new_full((len(points),), len(table)).scatter_reduce(0, point, tied, "amin"), distance
