"""Photon counting: what a scan measures at full dose and would have measured at a fraction of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting

Array = NDArray[np.float64]


def check_dose(dose: float) -> None:
    """Raises InvalidSetting unless the dose fraction is in (0, 1]."""
    if not 0.0 < dose <= 1.0:
        raise InvalidSetting(f"dose {dose}: must be above 0 and at most 1 (1 = the dose of the input)")


def draw_counts(
    expected: Array, air: Array, dose: float, electronic: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """(low, full): logarithms of air over counts, drawn for one scan at ``dose`` and at full dose, as ``expected``.

    expected, air: photons at full dose behind the body and without it. Full-dose counts are Poisson and low-dose counts
    a binomial share of them; drawn the other way round, since kept and lost photons are independent Poisson numbers.
    electronic: variance in photons squared, the same at every dose. Its part common to both scans is such that they
    differ by the variance that low dose adds, (1 - a^2) electronic / (a expected)^2 (Yu et al., JCAT 2012).
    Raises InvalidSetting for a dose outside (0, 1].
    """
    check_dose(dose)
    kept = rng.poisson(dose * expected).astype(np.float64)
    full = kept + rng.poisson((1.0 - dose) * expected)
    if electronic > 0.0:
        shared = rng.normal(0.0, np.sqrt(electronic), expected.shape)
        full += shared
        kept += dose * shared
        if dose < 1.0:
            kept += rng.normal(0.0, np.sqrt(electronic * (1.0 - dose**2)), expected.shape)
    # A detector that saw no photon still reports one: there is no logarithm of less.
    return np.log(dose * air / np.maximum(kept, 1.0)), np.log(air / np.maximum(full, 1.0))
