"""What an objective is: a function of (prediction, target) whose weighted terms are logged by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class Objective(nn.Module, ABC):
    """Sees prediction and target as (B, 1, H, W) in one unit, [-1000, 2000] HU -> [0, 1], and nothing else.

    Objectives add and scale: ``MSE() + 0.5 * Other()``. ``smallest``: pixels a side that an image must have.
    """

    smallest: int = 1

    @abstractmethod
    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Every weighted scalar term by name; the objective is their sum."""

    def fingerprint(self) -> Mapping[str, object]:
        """What decides the value besides numbers, by name: a run resumes with the same only."""
        return {}

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        values = list(self.terms(pred, target).values())
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total

    def weighted(self) -> list[tuple[float, Objective]]:
        """The parts of this objective with their weights."""
        return [(1.0, self)]

    def __add__(self, other: Objective) -> Sum:
        return Sum(self.weighted() + other.weighted())

    def __rmul__(self, weight: float) -> Sum:
        return Sum([(weight * w, part) for w, part in self.weighted()])


class Sum(Objective):
    """A weighted sum of objectives; two terms of one name are an error, so that no log line hides another."""

    def __init__(self, parts: list[tuple[float, Objective]]) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in parts]
        self.parts = nn.ModuleList([part for _, part in parts])
        self.smallest = max(part.smallest for _, part in parts)

    def weighted(self) -> list[tuple[float, Objective]]:
        return [(w, p) for w, p in zip(self.weights, self.parts, strict=True) if isinstance(p, Objective)]

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        result: dict[str, Tensor] = {}
        for weight, part in self.weighted():
            for name, value in part.terms(pred, target).items():
                if name in result:
                    raise ValueError(f"two terms of one objective are called '{name}'")
                result[name] = weight * value
        return result

    def fingerprint(self) -> Mapping[str, object]:
        result: dict[str, object] = {}
        for _, part in self.weighted():
            for name, value in part.fingerprint().items():
                if result.setdefault(name, value) != value:
                    raise ValueError(f"two parts of one objective have another '{name}' each: {result[name]}, {value}")
        return result
