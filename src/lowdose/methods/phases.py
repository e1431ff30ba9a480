"""Phases of a training, such as pretraining and fine-tuning, one after the other in one run."""

from __future__ import annotations

from dataclasses import dataclass

from lowdose.errors import InvalidSetting


@dataclass(frozen=True)
class Phase:
    """One part of a training. Raises InvalidSetting for a value outside its range.

    At its beginning the optimisers of its modules start anew, and so do warm-up and cosine of the learning rate, which
    last as long as the phase. The moving average goes on.

    Attributes
    ----------
    name : str
        What it is called; ``Method.phase`` holds it. Phases that alternate may share a name.
    steps : int
        Training steps. The last phase has those that the run has left, whatever it states.
    modules : tuple of str or None
        Names in ``Method.trained_modules`` of those that are updated in it; None = any.
    learning_rate : float or None
        Largest learning rate of the phase, in place of that of the hyperparameters.
    """

    name: str
    steps: int = 0
    modules: tuple[str, ...] | None = None
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise InvalidSetting(f"phase '{self.name}' of {self.steps} steps: must be 0 or more")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise InvalidSetting(f"phase '{self.name}' with learning_rate={self.learning_rate}: must be above 0")
