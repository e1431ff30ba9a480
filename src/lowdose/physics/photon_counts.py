"""Photon statistics: draw the counts of a scan at full dose and at a fraction of that dose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting

Array = NDArray[np.float64]


def check_dose(dose: float) -> None:
    """Raise InvalidSetting unless the dose fraction is in (0, 1]."""
    if not 0.0 < dose <= 1.0:
        raise InvalidSetting(f"dose {dose}: must be above 0 and at most 1 (1 = the dose of the input)")


def draw_counts(
    expected: Array, air: Array, dose: float, electronic: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw the noisy line integrals of one scan at ``dose`` and at full dose, from the same photons.

    ``expected`` and ``air`` are the mean photon counts at full dose, behind the body and through air. The result is
    (low, full): log(air / counts) at ``dose`` and at full dose, both with the shape of ``expected``.

    Full-dose counts are Poisson distributed and low-dose counts are a binomial sample of them. They are drawn in the
    opposite order, since the kept and the lost photons are independent Poisson variables.

    ``electronic`` is the variance of the electronic noise in photons squared, the same at every dose. Part of it is
    common to both scans, so that they differ by just the variance that the lower dose a adds,
    (1 - a^2) electronic / (a expected)^2 (Yu et al., JCAT 2012).

    Raises InvalidSetting for a dose outside (0, 1].
    """
    check_dose(dose)
    low = rng.poisson(dose * expected).astype(np.float64)
    full = low + rng.poisson((1.0 - dose) * expected)
    if electronic > 0.0:
        common_noise = rng.normal(0.0, np.sqrt(electronic), expected.shape)
        full += common_noise
        low += dose * common_noise
        if dose < 1.0:
            low += rng.normal(0.0, np.sqrt(electronic * (1.0 - dose**2)), expected.shape)
    # Counts below one are set to one photon, so that the logarithm is defined.
    return np.log(dose * air / np.maximum(low, 1.0)), np.log(air / np.maximum(full, 1.0))
