"""Pairs of low-dose and full-dose series in folders."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lowdose.io.pairing import PairedSeries, find_pairs, open_pairs


def open_pair_folders(stack: ExitStack, folders: Sequence[Path]) -> list[PairedSeries]:
    """Open all pairs below the folders for as long as ``stack`` lives."""
    found = [pair for folder in folders for pair in find_pairs(folder)]
    return open_pairs(stack, [(pair.name, pair.low, pair.full) for pair in found])
