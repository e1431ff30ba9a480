"""The updates of a training step: backward, averaging of gradients over processes, clipping, optimiser step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor

from lowdose.methods.base import Update
from lowdose.training.gradients import average_gradients
from lowdose.training.optimised_module import OptimisedModule

Prepare = Callable[[Update], OptimisedModule]
"""Returns the module of an update, with the learning rate set and the gradients zeroed."""


class Updates:
    """Makes the updates that a method yields.

    Attributes
    ----------
    finite : Tensor
        Whether every loss so far was a number, a scalar bool on the device.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.finite = torch.tensor(True, device=fabric.device)

    def make(self, parts: Sequence[Iterator[Update]], prepare: Prepare) -> dict[str, Tensor]:
        """Make all updates of a step, and return the losses by name.

        A loss of several updates, such as the turns of a critic, is their mean. parts: the generators of
        ``Method.updates`` for all parts of the batch.
        """
        losses: dict[str, list[Tensor]] = {}
        while terms := self._make_next(parts, prepare):
            for name, value in terms.items():
                losses.setdefault(name, []).append(value)
        return {name: torch.stack(values).mean() for name, values in losses.items()}

    def _make_next(self, parts: Sequence[Iterator[Update]], prepare: Prepare) -> dict[str, Tensor]:
        """Make the next update, with the mean gradient over all parts, and return its losses by name.

        Empty when no update is left.
        """
        losses: dict[str, Tensor] = {}
        module: OptimisedModule | None = None
        for part in parts:
            with self._fabric.autocast():
                update = next(part, None)
            if update is None:
                return {}
            if module is None:
                module = prepare(update)
            total = torch.stack(list(update.terms.values())).sum() / len(parts)
            torch.autograd.backward(total, inputs=module.parameters)
            self.finite &= total.detach().isfinite()
            for name, value in update.terms.items():
                key = f"{update.module}/{name}"
                losses[key] = losses.get(key, torch.zeros_like(value)) + value.detach() / len(parts)
        assert module is not None
        average_gradients(self._fabric, module.parameters)
        module.update()
        return losses
