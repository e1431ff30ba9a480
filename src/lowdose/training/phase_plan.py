"""Which phase a training step belongs to, and the learning-rate schedule of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from lowdose.errors import InvalidSetting
from lowdose.methods.base import Method
from lowdose.methods.phases import Phase
from lowdose.training.hyperparameters import Hyperparameters


class PhasePlan:
    """Phases of a method in a run; a method without phases has one, which has no name.

    Raises InvalidSetting when the run has no step left for the last phase, and ValueError for a phase with a module
    that is not trained.

    Attributes
    ----------
    phases : sequence of Phase
        The phases in order.
    """

    def __init__(self, method: Method[Any], steps: int) -> None:
        self.phases: Sequence[Phase] = method.phases() or (Phase(""),)
        self._first = [0, *accumulate(phase.steps for phase in self.phases[:-1])]
        if self._first[-1] >= steps:
            named = " + ".join(f"{phase.steps} of {phase.name}" for phase in self.phases[:-1])
            raise InvalidSetting(
                f"steps={steps}: none is left for the phase {self.phases[-1].name} after {named}; take more steps"
            )
        trained = method.trained_modules()
        for phase in self.phases:
            if unknown := set(phase.modules or ()) - set(trained):
                raise ValueError(f"phase '{phase.name}' names {', '.join(unknown)}, which is not trained")

    def metrics(self, step: int) -> dict[str, float]:
        """Return the number of the phase of a step, from 1, for the log; nothing for a method without phases."""
        return {"phase": self.number(step) + 1.0} if self.phases[0].name else {}

    def number(self, step: int) -> int:
        """Return the number of the phase of a step, from 0."""
        return max(number for number, first in enumerate(self._first) if first <= step)

    def begins(self, step: int) -> bool:
        """Return whether a phase after the first one begins with this step."""
        return step > 0 and step in self._first

    def ends(self, steps_done: int) -> bool:
        """Return whether a phase has just ended."""
        return self.begins(steps_done)

    def schedule(self, step: int, hyperparameters: Hyperparameters) -> tuple[Hyperparameters, int]:
        """Return the hyperparameters of the phase of a step, with its own number of steps, and the step within it."""
        number = self.number(step)
        phase, first = self.phases[number], self._first[number]
        if len(self.phases) == 1 and phase.learning_rate is None:
            return hyperparameters, step
        last = hyperparameters.steps if number == len(self.phases) - 1 else self._first[number + 1]
        rate = hyperparameters.learning_rate if phase.learning_rate is None else phase.learning_rate
        return replace(hyperparameters, steps=max(last - first, 1), learning_rate=rate), step - first
