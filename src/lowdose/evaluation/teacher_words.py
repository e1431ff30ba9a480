"""How right the tokens of the coarse layers are: the words of what lies in their region, or other ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowdose.language.cell_words import Pool

Tokens = Sequence[int]


@dataclass(frozen=True)
class TokenWords:
    """Words of one layer over all slices.

    Attributes
    ----------
    positions : int
        Positions whose region has candidate words.
    right : float
        Share of them whose token is a candidate of its own region.
    shuffled : float
        The same with the candidates of any other region, on average: what words that say nothing about a place reach.
    distinct : int
        Different tokens at these positions.
    """

    positions: int
    right: float
    shuffled: float
    distinct: int


def judge_words(tokens: Tokens, pools: Sequence[Pool]) -> TokenWords:
    """Compare the token of each position with the candidates of its region (``CellWords.pools``).

    Positions without candidates, such as air, do not count.
    """
    judged = [(token, set(pool.tolist())) for token, pool in zip(tokens, pools, strict=True) if len(pool)]
    if not judged:
        return TokenWords(0, float("nan"), float("nan"), 0)
    right = np.array([token in pool for token, pool in judged])
    anywhere = np.array([sum(token in pool for _, pool in judged) for token, _ in judged])
    others = max(1, len(judged) - 1)
    return TokenWords(
        positions=len(judged),
        right=float(right.mean()),
        shuffled=float(((anywhere - right) / others).mean()),
        distinct=len({token for token, _ in judged}),
    )
