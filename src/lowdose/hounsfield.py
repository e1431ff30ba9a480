"""The one bijection between HU and network units, and the display window. Nowhere else is HU normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowdose.errors import InvalidSetting


@dataclass(frozen=True)
class Scale:
    """Affine map HU -> network units: ``zero`` HU becomes 0, ``one`` HU becomes 1.

    The default puts water at zero, where floating point is finest and where most tissue lies.
    [low, high] in HU is what the network was made for. Values outside are never its business: the denoiser
    returns them untouched, and over ``BLEND`` HU inside each end it fades in.
    """

    low: float = -1150.0
    high: float = 2000.0
    zero: float = 0.0
    one: float = 1000.0

    BLEND = 50.0

    def __post_init__(self) -> None:
        numbers = (self.low, self.high, self.zero, self.one)
        if not np.all(np.isfinite(numbers)) or self.high - self.low <= 2 * self.BLEND or self.one == self.zero:
            raise InvalidSetting(f"scale {numbers}: needs finite low < high ({2 * self.BLEND} HU apart), zero != one")

    def encode(self, hu: Tensor) -> Tensor:
        """HU -> network units, any shape."""
        return (hu - self.zero) / (self.one - self.zero)

    def decode(self, unit: Tensor) -> Tensor:
        """Network units -> HU, any shape."""
        return unit * (self.one - self.zero) + self.zero

    def trust(self, hu: Tensor) -> Tensor:
        """How far the network may change each pixel: 0 outside [low, high], 1 from BLEND inside, linear between."""
        inside = torch.minimum(hu - self.low, self.high - hu)
        return (inside / self.BLEND).clamp(0.0, 1.0)

    def blend(self, hu: Tensor, clean: Tensor) -> Tensor:
        """``clean`` as far as it is trusted; exactly ``hu`` outside the range. Any shape, HU."""
        trust = self.trust(hu)
        return torch.where(trust > 0, hu + trust * (clean - hu), hu)

    def to_dict(self) -> dict[str, float]:
        return {"low": self.low, "high": self.high, "zero": self.zero, "one": self.one}


OBJECTIVE = Scale(low=-1000.0, high=2000.0, zero=-1000.0, one=2000.0)
"""The unit in which every training objective sees prediction and target, whatever the denoiser's own scale."""


@dataclass(frozen=True)
class Window:
    """A grey-scale window [low, high] in HU."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.low) or not np.isfinite(self.high) or self.high <= self.low:
            raise InvalidSetting(f"window [{self.low}, {self.high}] HU: the second number must be the larger")

    @property
    def width(self) -> float:
        return self.high - self.low

    def apply(self, hu: NDArray[np.floating]) -> NDArray[np.float64]:
        """HU -> [0, 1], clipped."""
        return np.clip((np.asarray(hu, dtype=np.float64) - self.low) / self.width, 0.0, 1.0)

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}] HU"


SOFT_TISSUE = Window(-160.0, 240.0)
