"""Training loop for every method: zero_grad, backward, averaging of gradients, clipping, optimiser step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from lowdose.batch import split_batch
from lowdose.errors import InvalidSetting, TrainingDiverged
from lowdose.methods.base import Method, Update
from lowdose.training.hooks import TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.optimised_module import OptimisedModule, optimised_modules
from lowdose.training.phase_plan import PhasePlan
from lowdose.training.run_state import RunState, load_state, save_state
from lowdose.training.schedule import EMA, averaged_weights
from lowdose.training.throughput import ThroughputMeter
from lowdose.training.time_limit import OPEN_END, Overhead, TimeLimit
from lowdose.training.training_log import TrainingLog
from lowdose.training.updates import Updates

T = TypeVar("T")
STATE_FILE = "state.pt"
LOG_EVERY = 50


class Trainer:
    """Training of one method in the folder ``run``, to which only the process of rank 0 writes.

    checkpoint_minutes: minutes between checkpoints besides those of ``hyperparameters.checkpoint_every``; None = none.
    limit: time limit, which sets the number of steps instead of ``hyperparameters.steps``; for one process only.
    Raises InvalidSetting for gradient accumulation with a method that does not support it.

    Attributes
    ----------
    step : int
        Training steps done.
    modules : dict[str, OptimisedModule]
        Each trained module with its optimiser by name.
    ema : EMA
        Moving average of the model's weights.
    """

    def __init__(
        self,
        fabric: Fabric,
        method: Method[Any],
        hyperparameters: Hyperparameters,
        run: Path,
        checkpoint_minutes: float | None = None,
        limit: TimeLimit | None = None,
    ) -> None:
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
        self.modules, self._decay = optimised_modules(method, hyperparameters)
        self._plan = PhasePlan(method, OPEN_END if limit is not None else hyperparameters.steps)
        self.ema = EMA(method.model, self._decay)
        self.step = 0
        self._finished = False
        self._losses: dict[str, Tensor] = {}
        self.throughput = ThroughputMeter(fabric.world_size)
        self._updates = Updates(fabric)
        self._checkpoint_interval_s = math.inf if checkpoint_minutes is None else 60 * checkpoint_minutes
        self._last_checkpoint = time.monotonic()
        self._limit, self._latest_end = limit, math.inf
        if limit is not None:
            self.hyperparameters = replace(hyperparameters, steps=OPEN_END)

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.hyperparameters.steps

    def resume(self, settings: Mapping[str, object]) -> None:
        """Continue from the saved state; raises InvalidSetting when there is none or it had other settings."""
        self.step = load_state(self.run / STATE_FILE, self._state(), settings)

    def _state(self) -> RunState:
        """Return what changes in training."""
        return RunState(
            self.method.checkpointed_modules(),
            {name: module.optimiser for name, module in self.modules.items()},
            self.ema,
            {name: module.average for name, module in self.modules.items() if module.average is not None},
            self.method.own_state(),
            self._losses,
        )

    def fit(self, settings: dict[str, object], hooks: TrainerHooks) -> bool:
        """Train to the end, or until ``hooks.stopped``; True when the run is complete.

        With a time limit, ``settings["steps"]`` is set to the number of steps that fits it.
        """
        log = TrainingLog(self.run, self.step) if self.fabric.is_global_zero else None
        started, first = time.monotonic(), self.step
        self._last_checkpoint = started
        self.method.train()
        for batch in self.throughput.batches(hooks.batches(self.step, self.steps)):
            self._enter_phase()
            self._losses |= self._update(batch)
            self.step += 1
            self._update_averages()
            if self._limit is not None and log is not None:
                self._keep_time(self._limit, settings, hooks, log)
            done = self.step == self.steps
            stop = not done and self._any_process(hooks.stopped())
            checkpoint = done or stop or self._checkpoint_due()
            if checkpoint or self.step % LOG_EVERY == 0:
                self._check_finite()
            if log is not None:
                self._log_step(log, hooks, done, started, first)
            if self._validation_due() and self._any_process(self._finished):
                done = checkpoint = True
                self._set_steps(self.step, settings, hooks)
            if log is not None and checkpoint:
                with self.throughput.excluded():
                    self._save(settings, hooks)
            if stop or done:
                break
        if log is not None:
            log.close()
        return self.step == self.steps

    def _enter_phase(self) -> None:
        """Say to the method which phase the step is in; where one begins, its optimisers start anew."""
        phase = self._plan.phases[self._plan.number(self.step)]
        self.method.phase = phase.name
        if self._plan.begins(self.step):
            for name, module in self.modules.items():
                if phase.modules is None or name in phase.modules:
                    module.restart()

    def _update_averages(self) -> None:
        self.ema.update(self.method.model, self.step)
        for module in self.modules.values():
            if module.average is not None:
                module.average.update(module.module, self.step)

    def _keep_time(self, limit: TimeLimit, settings: dict[str, object], hooks: TrainerHooks, log: TrainingLog) -> None:
        """Set the number of steps once the pace is known, and end the run when it would take longer than it may."""
        if self.steps == OPEN_END and limit.measured(self.step):
            self._check_finite()  # this also waits for the GPU, which may be many steps behind
            reached = time.monotonic()
            with self.throughput.excluded():
                overhead = self._measure_overhead(settings, hooks, log)
            steps = limit.fit_steps(self.step, reached, overhead)
            self._latest_end = limit.end - overhead.final_s
        elif time.monotonic() > self._latest_end and self.step < self.steps:
            steps = self.step
        else:
            return
        self._set_steps(steps, settings, hooks)

    def _set_steps(self, steps: int, settings: dict[str, object], hooks: TrainerHooks) -> None:
        self.hyperparameters = replace(self.hyperparameters, steps=steps)
        settings["steps"] = steps
        if self.fabric.is_global_zero:
            hooks.steps_fitted()

    def _measure_overhead(self, settings: dict[str, object], hooks: TrainerHooks, log: TrainingLog) -> Overhead:
        """Validate and save once, and return how long each took."""
        h, marks = self.hyperparameters, [time.monotonic()]
        log.write(self.step - 1, self._with_average(hooks.validate))
        marks.append(time.monotonic())
        self._save(settings, hooks)
        marks.append(time.monotonic())
        validation_s, checkpoint_s = marks[1] - marks[0], marks[2] - marks[1]
        return Overhead(validation_s, checkpoint_s, h.validate_every, h.checkpoint_every, self._checkpoint_interval_s)

    def _checkpoint_due(self) -> bool:
        """Return whether a checkpoint is due after this step, by the number of steps or by the clock of this process.

        Saving changes nothing in the training, so the clocks of several processes need not agree.
        """
        late = time.monotonic() - self._last_checkpoint >= self._checkpoint_interval_s
        return late or self.step % self.hyperparameters.checkpoint_every == 0

    def _validation_due(self) -> bool:
        return self.step % self.hyperparameters.validate_every == 0

    def _any_process(self, condition: bool) -> bool:
        """Return whether the condition holds in any process.

        All processes must stop at the same step, since the others would wait for one that has stopped.
        """
        if self.fabric.world_size == 1:
            return condition
        count = self.fabric.all_reduce(torch.tensor(float(condition), device=self.fabric.device), reduce_op="sum")
        return float(count) > 0  # type: ignore[arg-type]

    def _update(self, batch: tuple[Tensor, ...]) -> dict[str, torch.Tensor]:
        """Make all updates of the method for one batch, and return the losses by name.

        A loss of several updates, such as the turns of a critic, is their mean.
        The batch is split into ``accumulate`` equal parts, which are processed one after the other to save memory.
        """
        moved = type(batch)(*(self.fabric.to_device(part) for part in batch))
        updates = [self.method.updates(part) for part in split_batch(moved, self.hyperparameters.accumulate)]
        return self._updates.make(updates, self._prepare_module)

    def _prepare_module(self, update: Update) -> OptimisedModule:
        """Return the module to update, with this step's learning rate and zeroed gradients."""
        module, phase = self.modules[update.module], self._plan.phases[self._plan.number(self.step)]
        if phase.modules is not None and update.module not in phase.modules:
            raise ValueError(f"{update.module} is updated in the phase '{phase.name}', which does not name it")
        if update.reset_optimiser:
            module.reset()
            self.ema = EMA(self.method.model, self._decay)
        module.prepare(*self._plan.schedule(self.step, self.hyperparameters))
        return module

    def _log_step(
        self,
        log: TrainingLog,
        hooks: TrainerHooks,
        done: bool,
        started: float,
        first: int,
    ) -> None:
        if self.step % LOG_EVERY == 0 or done or self._plan.ends(self.step):  # no row is of two phases
            seconds_per_step = (time.monotonic() - started) / (self.step - first)
            values = {name: float(value) for name, value in self._losses.items()}
            self._losses.clear()  # modules that take part in some steps only are in the log with their latest losses
            if self.steps != OPEN_END:
                hooks.progress(self.step, self.steps, sum(values.values()), seconds_per_step * (self.steps - self.step))
            log.write(
                self.step - 1,
                {
                    **values,
                    **self.method.extra_metrics(),
                    **self._plan.metrics(self.step - 1),
                    "seconds_per_step": seconds_per_step,
                    **self.throughput.read_and_reset(),
                },
            )
        if self._validation_due() or done:
            with self.throughput.excluded():
                figures = self._with_average(hooks.validate)
                log.write(self.step - 1, figures)
                self._finished = self.method.finished(figures)

    def _check_finite(self) -> None:
        """Raise TrainingDiverged if any loss so far was not finite.

        Called before anything is saved, so that a state with NaN never replaces the last good one.
        """
        if not bool(self._updates.finite):
            raise TrainingDiverged(
                f"{self.run}: the loss is no longer a number by step {self.step}; resume from the last good state, or "
                f"start again with less than learning_rate={self.hyperparameters.learning_rate:g}"
            )

    def _save(self, settings: dict[str, object], hooks: TrainerHooks) -> None:
        save_state(self.run / STATE_FILE, self.step, self._state(), dict(settings))
        self._with_average(hooks.export)
        self._last_checkpoint = time.monotonic()

    def _with_average(self, action: Callable[[], T]) -> T:
        """Run ``action`` with averaged weights in all that has them and the method in eval mode, then restore both."""
        averages = [(m.module, m.average) for m in self.modules.values() if m.average is not None]
        self.method.eval()
        try:
            with averaged_weights([*averages, (self.method.model, self.ema)]):
                return action()
        finally:
            self.method.train()
