"""Conversion between HU and network units, and display windows; HU are normalised nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowdose.errors import InvalidSetting


@dataclass(frozen=True)
class Scale:
    """Affine map from HU to the units in which a network computes.

    ``zero`` HU becomes 0 and ``one`` HU becomes 1. The default puts water at zero, where floating point is finest
    and where most tissue lies. The network was made for HU between ``low`` and ``high``: a denoiser returns pixels
    outside this range untouched, and over ``BLEND`` HU inside either end its result is faded in linearly.

    Attributes
    ----------
    low : float, HU
        Lower end of the range that the network was made for.
    high : float, HU
        Upper end of this range.
    zero : float, HU
        HU that become 0 in network units.
    one : float, HU
        HU that become 1 in network units.
    BLEND : float, HU
        Width of the transition inside either end of the range. The same for all scales.

    Raises
    ------
    InvalidSetting
        If a number is not finite, if the range is not wider than ``2 * BLEND``, or if ``zero`` equals ``one``.

    Examples
    --------
    >>> import torch
    >>> from lowdose.hounsfield import Scale
    >>> scale = Scale()
    >>> scale.encode(torch.tensor([0.0, 500.0])).tolist()
    [0.0, 0.5]
    >>> scale.decode(torch.tensor([0.5])).tolist()
    [500.0]
    >>> scale.trust(torch.tensor([-1200.0, -1125.0, 40.0])).tolist()
    [0.0, 0.5, 1.0]
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
        """Convert HU to network units, any shape."""
        return (hu - self.zero) / (self.one - self.zero)

    def decode(self, unit: Tensor) -> Tensor:
        """Convert network units to HU, any shape."""
        return unit * (self.one - self.zero) + self.zero

    def trust(self, hu: Tensor) -> Tensor:
        """Return the weight in [0, 1] of the network's result for each pixel, given the input in HU.

        It is 0 outside [low, high], 1 from ``BLEND`` HU inside either end, and linear between. Any shape.
        """
        inside = torch.minimum(hu - self.low, self.high - hu)
        return (inside / self.BLEND).clamp(0.0, 1.0)

    def blend(self, hu: Tensor, clean: Tensor) -> Tensor:
        """Mix the network's result ``clean`` with its input ``hu`` by the weight that ``trust`` gives.

        Both in HU, any shape. Outside the range the result is exactly ``hu``.
        """
        trust = self.trust(hu)
        return torch.where(trust > 0, hu + trust * (clean - hu), hu)

    def to_dict(self) -> dict[str, float]:
        """Return the four numbers by name, as they are stored with the weights."""
        return {"low": self.low, "high": self.high, "zero": self.zero, "one": self.one}


OBJECTIVE = Scale(low=-1000.0, high=2000.0, zero=-1000.0, one=2000.0)
"""Units in which every training objective sees prediction and target, whatever the denoiser's own scale is."""

NON_NEGATIVE = Scale(zero=-1150.0, one=2000.0)
"""Scale for networks that end with a ReLU: every HU of its range maps to a value >= 0."""


@dataclass(frozen=True)
class Window:
    """Grey-scale display window.

    Attributes
    ----------
    low : float, HU
        Value that is shown black, as is everything below.
    high : float, HU
        Value that is shown white, as is everything above.

    Raises
    ------
    InvalidSetting
        If an end is not finite, or if ``high`` is not above ``low``.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.hounsfield import Window
    >>> window = Window(-160.0, 240.0)
    >>> window.apply(np.array([-1000.0, 40.0, 240.0])).tolist()
    [0.0, 0.5, 1.0]
    >>> print(window)
    [-160, 240] HU
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.low) or not np.isfinite(self.high) or self.high <= self.low:
            raise InvalidSetting(f"window [{self.low}, {self.high}] HU: the second number must be the larger")

    @property
    def width(self) -> float:
        """Width of the window in HU."""
        return self.high - self.low

    def apply(self, hu: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map HU linearly from [low, high] to [0, 1] and clip; any shape, float64."""
        return np.clip((np.asarray(hu, dtype=np.float64) - self.low) / self.width, 0.0, 1.0)

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}] HU"


SOFT_TISSUE = Window(-160.0, 240.0)
"""Soft-tissue window: level 40 HU, width 400 HU."""

LUNG, LUNG_BELOW_HU = Window(-1350.0, 150.0), -400.0
"""Lung window, and the mean below which a region is shown in it, since soft tissue's would show black."""

BODY_HU = -300.0
"""HU above which a pixel is taken for the body, or the table; the lungs, which are not above it, lie within."""


def window_for(hu: float) -> Window:
    """Return the window in which a region of this mean or median HU is seen."""
    return LUNG if hu < LUNG_BELOW_HU else SOFT_TISSUE
