"""Base class of training objectives, and their weighted sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn


class Objective(nn.Module, ABC):
    """Base class of objectives: a function of prediction and target whose weighted terms are logged by name.

    Prediction and target are images of shape (B, 1, H, W) in one unit, in which [-1000, 2000] HU is [0, 1]
    (``lowdose.hounsfield.OBJECTIVE``). A subclass implements ``terms``. Objectives can
    be added and multiplied by a number, which gives a ``Sum``: ``MSE() + 0.5 * Other()``.

    Attributes
    ----------
    smallest : int
        Smallest height and width, in pixels, of the images that the objective accepts.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import MSE, Objective
    >>> class MeanError(Objective):
    ...     def terms(self, pred, target):
    ...         return {"mean_error": (pred - target).mean().abs()}
    >>> objective = MSE() + 2.0 * MeanError()
    >>> pred, target = torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)
    >>> {name: float(value) for name, value in objective.terms(pred, target).items()}
    {'mse': 0.25, 'mean_error': 1.0}
    >>> float(objective(pred, target))
    1.25
    """

    smallest: int = 1

    @abstractmethod
    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return every weighted scalar term by name; the objective is their sum.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            Scalar tensors by the name under which they are logged.
        """

    def terms_with_low_dose(self, pred: Tensor, target: Tensor, low: Tensor) -> Mapping[str, Tensor]:
        """Return the terms where the low-dose image is known too; an objective that looks at it overrides this.

        Parameters
        ----------
        pred, target, low : Tensor
            Prediction, full dose and low dose, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].

        Returns
        -------
        Mapping[str, Tensor]
            As ``terms`` returns it.
        """
        return self.terms(pred, target)

    def fingerprint(self) -> Mapping[str, object]:
        """Return by name what determines the value besides hyperparameters, such as the hash of a frozen network.

        A training run can only be resumed with the same fingerprint.

        Returns
        -------
        Mapping[str, object]
            Empty for an objective that is determined by its hyperparameters.
        """
        return {}

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the sum of all terms.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Tensor
            The value to minimise, a scalar.
        """
        values = list(self.terms(pred, target).values())
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total

    def weighted(self) -> list[tuple[float, Objective]]:
        """Return the parts of this objective with their weights.

        Returns
        -------
        list[tuple[float, Objective]]
            (weight, part); the objective itself with weight 1 unless it is a ``Sum``.
        """
        return [(1.0, self)]

    def __add__(self, other: Objective) -> Sum:
        return Sum(self.weighted() + other.weighted())

    def __rmul__(self, weight: float) -> Sum:
        return Sum([(weight * w, part) for w, part in self.weighted()])


class Sum(Objective):
    """Weighted sum of objectives, as ``+`` and ``*`` make it.

    Parameters
    ----------
    parts : list[tuple[float, Objective]]
        (weight, objective) of each part.

    Attributes
    ----------
    weights : list[float]
        Weight of each part.
    parts : torch.nn.ModuleList
        The objectives.
    smallest : int
        Smallest height and width, in pixels, that all parts accept.

    Examples
    --------
    >>> from lowdose.objectives import MSE, Sum
    >>> objective = 0.5 * (2.0 * MSE())
    >>> isinstance(objective, Sum)
    True
    >>> objective.weighted()
    [(1.0, MSE())]
    """

    def __init__(self, parts: list[tuple[float, Objective]]) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in parts]
        self.parts = nn.ModuleList([part for _, part in parts])
        self.smallest = max(part.smallest for _, part in parts)

    def weighted(self) -> list[tuple[float, Objective]]:
        """Return the parts of this objective with their weights.

        Returns
        -------
        list[tuple[float, Objective]]
            (weight, part) of each part.
        """
        return [(w, p) for w, p in zip(self.weights, self.parts, strict=True) if isinstance(p, Objective)]

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the terms of all parts by name, each multiplied by the weight of its part.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            Scalar tensors by name.

        Raises
        ------
        ValueError
            If two parts have a term of the same name, since one would hide the other in the log.
        """
        return self._weighted_terms(lambda part: part.terms(pred, target))

    def terms_with_low_dose(self, pred: Tensor, target: Tensor, low: Tensor) -> Mapping[str, Tensor]:
        """Return the terms of all parts, of which some look at the low-dose image; otherwise as ``terms``.

        Parameters
        ----------
        pred, target, low : Tensor
            Prediction, full dose and low dose, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].

        Returns
        -------
        Mapping[str, Tensor]
            Scalar tensors by name.
        """
        return self._weighted_terms(lambda part: part.terms_with_low_dose(pred, target, low))

    def _weighted_terms(self, terms_of: Callable[[Objective], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        result: dict[str, Tensor] = {}
        for weight, part in self.weighted():
            for name, value in terms_of(part).items():
                if name in result:
                    raise ValueError(f"two terms of one objective are called '{name}'")
                result[name] = weight * value
        return result

    def fingerprint(self) -> Mapping[str, object]:
        """Return the fingerprints of all parts in one mapping.

        Returns
        -------
        Mapping[str, object]
            Entries of all parts by name.

        Raises
        ------
        ValueError
            If two parts have different values under the same name.
        """
        result: dict[str, object] = {}
        for _, part in self.weighted():
            for name, value in part.fingerprint().items():
                if result.setdefault(name, value) != value:
                    raise ValueError(f"two parts of one objective have another '{name}' each: {result[name]}, {value}")
        return result
