"""The training loop, once for every method: zero_grad, backward, average gradients, clip, step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from lowdose.errors import InvalidSetting, TrainingDiverged
from lowdose.methods.base import Method, Update
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.run_state import load_state, save_state
from lowdose.training.schedule import EMA, count_updates, learning_rate
from lowdose.training.throughput import ThroughputMeter
from lowdose.training.training_log import TrainingLog

T = TypeVar("T")
STATE_FILE = "state.pt"
LOG_EVERY = 50


@dataclass
class TrainerHooks:
    """What a caller hangs on the loop: where batches come from, and what happens along the way.

    batches(first, last): one batch a step, a NamedTuple of tensors. validate(): numbers to log, called with averaged
    weights in place. export(): write the model, likewise. progress(step, loss, seconds_left). stopped(): a wish to end
    early.
    """

    batches: Callable[[int, int], Iterator[tuple[Tensor, ...]]]
    validate: Callable[[], Mapping[str, float]]
    export: Callable[[], None]
    progress: Callable[[int, float, float], None]
    stopped: Callable[[], bool]


class Trainer:
    """One method being trained in the folder ``run``; rank 0 alone writes."""

    def __init__(self, fabric: Fabric, method: Method[Any], hyperparameters: Hyperparameters, run: Path) -> None:
        if hyperparameters.accumulate > 1 and not method.accumulates:
            raise InvalidSetting(
                f"accumulate={hyperparameters.accumulate}: {type(method).__name__} learns from whole batches, the mean "
                "over their parts is not the same; leave it at 1, with a larger batch or more devices"
            )
        self.fabric, self.method, self.hyperparameters, self.run = (
            fabric,
            method.to(fabric.device),
            hyperparameters,
            run,
        )
        self.optimisers: dict[str, Optimizer] = {
            name: AdamW(
                [p for p in player.parameters() if p.requires_grad],
                lr=hyperparameters.learning_rate,
                betas=(hyperparameters.beta1, hyperparameters.beta2),
                weight_decay=hyperparameters.weight_decay,
            )
            for name, player in method.trained_modules().items()
        }
        self.ema = EMA(method.model, hyperparameters.ema)
        self.step = 0
        self.throughput = ThroughputMeter(fabric.world_size)
        self._finite = torch.tensor(True, device=fabric.device)

    def resume(self, settings: Mapping[str, object]) -> None:
        """Continue from the saved state. Raises InvalidSetting when there is none or it had other settings."""
        self.step = load_state(
            self.run / STATE_FILE, self.method.checkpointed_modules(), self.optimisers, self.ema, settings
        )

    def fit(self, settings: Mapping[str, object], hooks: TrainerHooks) -> bool:
        """Train to the end, or until ``hooks.stopped``; True when the run is complete."""
        book = TrainingLog(self.run, self.step) if self.fabric.is_global_zero else None
        started, first = time.monotonic(), self.step
        self.method.train()
        for batch in self.throughput.batches(hooks.batches(self.step, self.hyperparameters.steps)):
            losses = self._update(batch)
            self.step += 1
            self.ema.update(self.method.model, self.step)
            done = self.step == self.hyperparameters.steps
            stop = not done and self._agreed(hooks.stopped())
            if done or stop or self.step % LOG_EVERY == 0 or self.step % self.hyperparameters.checkpoint_every == 0:
                self._check()
            if self.fabric.is_global_zero and book is not None:
                self._record(book, losses, hooks, done, started, first)
                if done or stop or self.step % self.hyperparameters.checkpoint_every == 0:
                    with self.throughput.excluded():
                        self._save(settings, hooks)
            if stop:
                break
        if book is not None:
            book.close()
        return self.step == self.hyperparameters.steps

    def _agreed(self, wish: bool) -> bool:
        """One process that wants to stop stops all at the same step; otherwise the others would wait for it."""
        if self.fabric.world_size == 1:
            return wish
        wishes = self.fabric.all_reduce(torch.tensor(float(wish), device=self.fabric.device), reduce_op="sum")
        return float(wishes) > 0  # type: ignore[arg-type]

    def _update(self, batch: tuple[Tensor, ...]) -> dict[str, torch.Tensor]:
        """Every player's turn on one batch, of which ``accumulate`` equal parts are in memory one after the other."""
        parts = [part.chunk(self.hyperparameters.accumulate) for part in batch]
        turns = [self.method.updates(type(batch)(*part)) for part in zip(*map(self._moved, parts), strict=True)]
        losses: dict[str, torch.Tensor] = {}
        while terms := self._turn(turns):
            losses |= terms
        return losses

    def _moved(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        return (self.fabric.to_device(part) for part in parts)

    def _turn(self, parts: Sequence[Iterator[Update]]) -> dict[str, torch.Tensor]:
        """One player's update by the mean over all parts, and its losses; none when no turn is left."""
        losses: dict[str, torch.Tensor] = {}
        parameters: list[nn.Parameter] = []
        optimiser: Optimizer | None = None
        for part in parts:
            with self.fabric.autocast():
                turn = next(part, None)
            if turn is None:
                return {}
            if optimiser is None:
                optimiser, parameters = self._ready(turn)
            total = torch.stack(list(turn.terms.values())).sum() / len(parts)
            torch.autograd.backward(total, inputs=parameters)
            self._finite &= total.detach().isfinite()
            for name, value in turn.terms.items():
                key = f"{turn.module}/{name}"
                losses[key] = losses.get(key, torch.zeros_like(value)) + value.detach() / len(parts)
        assert optimiser is not None
        average_gradients(self.fabric, parameters)
        nn.utils.clip_grad_norm_(parameters, self.hyperparameters.clip)
        optimiser.step()
        return losses

    def _ready(self, turn: Update) -> tuple[Optimizer, list[nn.Parameter]]:
        """The player's optimiser at the rate of this step, without gradients; and what it moves."""
        player, optimiser = self.method.trained_modules()[turn.module], self.optimisers[turn.module]
        if turn.reset_optimiser:
            optimiser.state.clear()
            self.ema = EMA(self.method.model, self.hyperparameters.ema)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(self.hyperparameters, self.step, count_updates(optimiser))
        optimiser.zero_grad()
        return optimiser, [p for p in player.parameters() if p.requires_grad]

    def _record(
        self,
        book: TrainingLog,
        losses: Mapping[str, torch.Tensor],
        hooks: TrainerHooks,
        done: bool,
        started: float,
        first: int,
    ) -> None:
        if self.step % LOG_EVERY == 0 or done:
            pace = (time.monotonic() - started) / (self.step - first)
            values = {name: float(value) for name, value in losses.items()}
            hooks.progress(self.step, sum(values.values()), pace * (self.hyperparameters.steps - self.step))
            book.write(
                self.step - 1,
                {**values, **self.method.extra_metrics(), "seconds_per_step": pace, **self.throughput.read_and_reset()},
            )
        if self.step % self.hyperparameters.validate_every == 0 or done:
            with self.throughput.excluded():
                book.write(self.step - 1, self._with_average(hooks.validate))

    def _check(self) -> None:
        """Before anything is kept: one NaN would spoil the state to resume from. Raises TrainingDiverged."""
        if not bool(self._finite):
            raise TrainingDiverged(
                f"{self.run}: the loss is no longer a number by step {self.step}; resume from the last good state, or "
                f"start again with less than learning_rate={self.hyperparameters.learning_rate:g}"
            )

    def _save(self, settings: Mapping[str, object], hooks: TrainerHooks) -> None:
        save_state(
            self.run / STATE_FILE,
            self.step,
            self.method.checkpointed_modules(),
            self.optimisers,
            self.ema,
            dict(settings),
        )
        self._with_average(hooks.export)

    def _with_average(self, action: Callable[[], T]) -> T:
        """Run ``action`` with the averaged weights in the model, then put the trained ones back."""
        network = self.method.model
        trained = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.ema.weights)
        self.method.eval()
        try:
            return action()
        finally:
            network.load_state_dict(trained)
            self.method.train()


def average_gradients(fabric: Fabric, parameters: list[nn.Parameter]) -> None:
    """Mean of the gradients over all processes, in one message: N processes equal one with an N times larger batch."""
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    mean = fabric.all_reduce(torch.cat([g.reshape(-1) for g in gradients]), reduce_op="mean")
    assert isinstance(mean, torch.Tensor)
    for gradient, part in zip(gradients, torch.split(mean, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
