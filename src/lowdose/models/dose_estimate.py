"""Estimate of the dose of a scan, as a fraction of what is usual, from its noise, its slices and the body."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

OFFSET, PER_METRE, PER_RATIO = 0.351, 1.254, 1.314
"""log10 of the usual noise SD (HU) in the band of 0.5 to 0.8 mm: offset, slope by water-equivalent diameter (1/m), and
slope by the log10 ratio of this band to the next coarser one, less half the log10 of the slice thickness (mm).

Fitted to 127 normal-dose series of 85 patients, every patient with the same weight (``experiments.noise_level``).
"""

ERROR_LOG10 = 0.133
"""Standard error of that logarithm for a patient who was left out of the fit."""

USUAL_DIAMETER_MM, USUAL_THICKNESS_MM = 275.0, 3.0
"""Assumed where the body is cut off by the edge of the image, or the slice thickness is not known."""


@dataclass(frozen=True)
class DoseEstimate:
    """Dose of a scan as a fraction of the usual dose.

    Attributes
    ----------
    fraction : float
        Best estimate; above 1 for a scan with less noise than usual.
    factor : float
        Uncertainty: in two of three scans the truth lies between ``fraction / factor`` and ``fraction * factor``.
    """

    fraction: float
    factor: float

    @property
    def text(self) -> str:
        """The estimate in words, in percent of the usual dose."""
        ends = (self.fraction, self.fraction / self.factor, self.fraction * self.factor)
        best, low, high = (f"{float(f'{100 * end:.2g}'):g}" for end in ends)  # two digits, and no exponent
        return f"{best}% of the usual dose ({low} to {high}%)"


def estimate_dose(
    bands: Sequence[float] | None, diameter_mm: float | None, thickness_mm: float | None
) -> DoseEstimate | None:
    """Estimate the dose from the noise of a scan.

    The variance of the noise is inversely proportional to the dose, so the fraction is the square of usual over
    measured SD. What is usual depends on the body's diameter, on the slice thickness, and on the kernel, which the
    ratio of two bands tells.

    Parameters
    ----------
    bands : sequence of float or None
        SD in HU of the noise in each band, as ``lowdose.metrics.noise_bands`` gives them.
    diameter_mm : float or None
        Water-equivalent diameter of the body; None = not known.
    thickness_mm : float or None
        Slice thickness; None = not known.

    Returns
    -------
    DoseEstimate or None
        None where there is no noise to judge by.
    """
    if bands is None or min(bands[1], bands[2]) <= 0:
        return None
    diameter = (diameter_mm or USUAL_DIAMETER_MM) / 1000
    own, ratio = math.log10(bands[1]), math.log10(bands[1] / bands[2])
    usual = OFFSET + PER_METRE * diameter + PER_RATIO * ratio - 0.5 * math.log10(thickness_mm or USUAL_THICKNESS_MM)
    return DoseEstimate(float(10 ** (2 * (usual - own))), float(10 ** (2 * ERROR_LOG10)))
