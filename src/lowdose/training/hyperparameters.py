"""The numbers of a run that can be set from outside."""

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
    """What every training has. batch is per process, and of it accumulate are seen in turns before an update: what
    an update learns from is batch * accumulate * processes. The rate falls by a cosine to final_learning_rate."""

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
    """Closed range of each number; NaN lies in none."""

    def __post_init__(self) -> None:
        for name, (low, high) in self.LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidSetting(f"{name}={value}: must be from {low:g} to {high:g}")

    def with_values(self, settings: Mapping[str, str]) -> Self:
        """With numbers given as text. Raises InvalidSetting for an unknown name or a value that is no number."""
        kinds = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        values: dict[str, int | float] = {}
        for given, text in settings.items():
            name = HYPERPARAMETERS.get(given, given)
            if name != given:
                warn_deprecated(f"--set {given}=", f"--set {name}=")
            if name not in kinds:
                raise InvalidSetting(f"no setting '{name}'; there are {', '.join(sorted(kinds))}")
            try:
                values[name] = kinds[name](text)
            except ValueError:
                kind = "whole number" if kinds[name] is int else "number"
                raise InvalidSetting(f"{name}={text}: not a {kind}") from None
        return replace(self, **values)  # type: ignore[arg-type]  # names and types are checked just above
