"""Number of steps of a run that is given minutes instead of steps."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lowdose.training.hyperparameters import LARGE

OPEN_END = int(LARGE)
"""Number of steps until the pace is known: so many that the learning rate stays at its largest after the warm-up."""
WARM_UP_S = 5.0
"""Seconds of the first steps that do not count: processes start, and libraries choose their algorithms."""
MEASURED_S = 20.0
"""Seconds over which the pace is measured, or a tenth of the time that is left, if that is less."""
RESERVE = 0.03
"""Share of the time left free, since the pace varies."""


@dataclass(frozen=True)
class Overhead:
    """Time that a run spends on other things than steps.

    Attributes
    ----------
    validation_s, checkpoint_s : seconds
        Duration of one validation and of one checkpoint.
    validate_every, checkpoint_every : steps
        Steps between them.
    checkpoint_interval_s : seconds
        Time between further checkpoints; infinity = there are none.
    """

    validation_s: float
    checkpoint_s: float
    validate_every: int
    checkpoint_every: int
    checkpoint_interval_s: float

    @property
    def final_s(self) -> float:
        """Duration of the last validation and the last checkpoint."""
        return self.validation_s + self.checkpoint_s


class TimeLimit:
    """Measures the pace of the first steps, and fits the number of steps to the time.

    Attributes
    ----------
    minutes : float
        Minutes of the whole run.
    end : seconds
        Time on the clock ``time.monotonic`` at which the run is to be finished.
    """

    def __init__(self, minutes: float, started: float) -> None:
        self.minutes, self.end = minutes, started + 60 * minutes
        self._begin: float | None = None
        self._mark: tuple[int, float] | None = None

    def measured(self, step: int) -> bool:
        """Return whether the pace is known; must be called after each step. step: steps done."""
        now = time.monotonic()
        self._begin = now if self._begin is None else self._begin
        scale = min(1.0, max(0.0, self.end - self._begin) / (10 * (WARM_UP_S + MEASURED_S)))
        if self._mark is None:
            if now - self._begin >= scale * WARM_UP_S:
                self._mark = step, now
            return False
        return step > self._mark[0] and now - self._mark[1] >= scale * MEASURED_S

    def fit_steps(self, step: int, measured_at: float, overhead: Overhead) -> int:
        """Return the number of steps of the run, at least one more than ``step``.

        measured_at: time at which ``step`` was reached. overhead: measured since then.
        """
        assert self._mark is not None
        pace_s = (measured_at - self._mark[1]) / (step - self._mark[0])
        per_step_s = (
            pace_s + overhead.validation_s / overhead.validate_every + overhead.checkpoint_s / overhead.checkpoint_every
        )
        left_s = (self.end - time.monotonic() - overhead.final_s) * (1 - RESERVE)
        left_s /= 1 + overhead.checkpoint_s / overhead.checkpoint_interval_s
        return step + max(1, int(left_s / per_step_s))
