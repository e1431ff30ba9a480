"""How each trained module of a method is optimised, where that is not as the hyperparameters of the run say."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lowdose.errors import InvalidSetting

RULES = ("adamw", "adam", "sgd")


@dataclass(frozen=True)
class OptimiserSettings:
    """Optimiser of one module; None = as the hyperparameters of the run say.

    Raises InvalidSetting for an unknown rule and for a value outside its range.

    Attributes
    ----------
    rule : str
        'adamw', 'adam' (whose weight decay is part of the gradient), or 'sgd'.
    learning_rate : float or None
        Largest learning rate; warm-up and cosine are those of the run, in proportion.
    betas : tuple of float or None
        Decay rates of the moments of 'adamw' and 'adam'; of 'sgd', the first one is the momentum.
    weight_decay : float or None
        Weight decay.
    clip : float or None
        Largest norm of the gradient of the module; ``math.inf`` = it is left as it is.
    ema : float or None
        Largest decay per step of the moving average of the module's weights, with which it is validated and exported.
        With None the module that holds the model has the average of the run, any other module none.
    """

    rule: str = "adamw"
    learning_rate: float | None = None
    betas: tuple[float, float] | None = None
    weight_decay: float | None = None
    clip: float | None = None
    ema: float | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InvalidSetting(f"optimiser '{self.rule}': must be one of {', '.join(RULES)}")
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidSetting(f"optimiser with {name}={value}: must be above 0")
        if self.weight_decay is not None and not 0 <= self.weight_decay < math.inf:
            raise InvalidSetting(f"optimiser with weight_decay={self.weight_decay}: must be a number from 0")
        for decay in (*(self.betas or ()), *(() if self.ema is None else (self.ema,))):
            if not 0 <= decay < 1:
                raise InvalidSetting(f"optimiser with betas={self.betas}, ema={self.ema}: must be from 0 to below 1")
