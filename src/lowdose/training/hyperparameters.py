"""Hyperparameters that every training run has, with their permitted ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

from lowdose.deprecations import HYPERPARAMETERS, warn_deprecated
from lowdose.errors import InvalidSetting

SMALL, LARGE = 1e-12, 1e12
Limits = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of every training run. Raises InvalidSetting for a value outside its range.

    Attributes
    ----------
    steps : int
        Training steps, each with one update of every trained module that takes part in it.
    batch : int
        Images that each process handles at once.
    accumulate : int
        Batches over which gradients are accumulated, so that an update uses batch * accumulate * processes images.
    learning_rate : float
        Largest learning rate, reached after the warm-up.
    final_learning_rate : float
        Learning rate of the last step, to which it falls by half a cosine.
    beta1, beta2 : float
        Decay rates of AdamW's moments.
    weight_decay : float
        Weight decay of AdamW.
    warmup : int
        Updates over which the learning rate rises linearly.
    clip : float
        Largest norm of the gradient of a module; larger gradients are scaled down to it.
    ema : float
        Largest decay per step of the exponential moving average of the weights.
    seed : int
        Seed of all random numbers.
    validate_every : int
        Steps between validations.
    checkpoint_every : int
        Steps between checkpoints.
    """

    steps: int = 2500
    batch: int = 16
    accumulate: int = 1
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 1e-9
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    validate_every: int = 500
    checkpoint_every: int = 250

    LIMITS: ClassVar[Limits] = {
        **dict.fromkeys(("steps", "batch", "accumulate", "validate_every", "checkpoint_every"), (1, LARGE)),
        **dict.fromkeys(("learning_rate", "clip"), (SMALL, LARGE)),
        **dict.fromkeys(("final_learning_rate", "weight_decay", "warmup", "seed"), (0, LARGE)),
        **dict.fromkeys(("beta1", "beta2", "ema"), (0, 1 - SMALL)),
    }
    """Closed range of each hyperparameter; NaN lies in none."""

    def __post_init__(self) -> None:
        for name, (low, high) in self.LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidSetting(f"{name}={value}: must be from {low:g} to {high:g}")

    def with_values(self, settings: Mapping[str, str]) -> Self:
        """Return a copy with the given values, which are text.

        Raises InvalidSetting for an unknown name, a value that is not a number, or one outside its range.
        """
        types = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        values: dict[str, int | float] = {}
        for given, text in settings.items():
            name = HYPERPARAMETERS.get(given, given)
            if name != given:
                warn_deprecated(f"--set {given}=", f"--set {name}=")
            if name not in types:
                raise InvalidSetting(f"no setting '{name}'; there are {', '.join(sorted(types))}")
            try:
                values[name] = types[name](text)
            except ValueError:
                kind = "whole number" if types[name] is int else "number"
                raise InvalidSetting(f"{name}={text}: not a {kind}") from None
        return replace(self, **values)  # type: ignore[arg-type]  # names and types are checked just above
