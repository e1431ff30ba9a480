"""Batches of any data whose item n depends on (seed, n) only: by step, shared out among processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

Item = TypeVar("Item")
B = TypeVar("B", bound=tuple[Tensor, ...], covariant=True)


class NumberedItems(Protocol[Item, B]):
    """Training data: item n is the same on every machine, in every process, and in a resumed run."""

    def __getitem__(self, index: int) -> Item:
        """Return item ``index``."""
        ...

    def join(self, items: Sequence[Item]) -> B:
        """Join items to a batch, a NamedTuple of tensors; where it has a field ``number``, that is filled in later."""
        ...


def batches(
    data: NumberedItems[Any, B], size: int, first: int, last: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[B]:
    """Yield the batches of steps first..last-1 for process ``rank`` of ``world``.

    ``size`` is the batch size of one process; all processes together see size * world items a step. workers: processes
    that make the items; 0 = this one.
    """
    # A generator: the last step may be far away, where a time limit ends the run.
    numbers = (list(item_numbers(step, size, rank, world)) for step in range(first, last))
    loader: DataLoader[Any] = DataLoader(
        data,  # type: ignore[arg-type]  # has what a Dataset is asked for here
        batch_sampler=numbers,
        num_workers=workers,
        collate_fn=data.join,
    )
    for step, batch in enumerate(loader, start=first):
        numbered = "number" in batch._fields
        yield batch._replace(number=torch.tensor(item_numbers(step, size, rank, world))) if numbered else batch


def item_numbers(step: int, size: int, rank: int, world: int) -> range:
    """Return the numbers of the items that process ``rank`` of ``world`` sees in a step."""
    start = (step * world + rank) * size
    return range(start, start + size)
