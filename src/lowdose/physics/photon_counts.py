"""Photon statistics: draw the counts of a scan at full dose and at a fraction of that dose."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting

Array = NDArray[np.float64]


SMALLEST_DOSE = 0.001
"""Smallest fraction of a dose that is simulated: of a scan of 200 mAs, less than any scanner can give."""


def check_dose(dose: float) -> None:
    """Raise InvalidSetting unless the dose fraction is from SMALLEST_DOSE to 1."""
    if not SMALLEST_DOSE <= dose <= 1.0:
        raise InvalidSetting(f"dose {dose:g}: must be from {SMALLEST_DOSE:g} to 1 (1 = the dose of the input)")


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


def floor_offset(expected: Array, electronic: float, floor: float) -> Array:
    """Return what to add to drawn line integrals so that their mean is that of counts with a smooth floor.

    Where ``expected`` photons are counted, the mean of log(air / counts) becomes log(air / sqrt(expected^2 + floor^2)).
    The mean of the logarithm of ``draw_counts``, which is above log(air / expected) by about half the relative variance
    of the counts, is subtracted. ``electronic`` is the variance of the electronic noise in photons squared.
    """
    counts, excess = _mean_logarithm(electronic)
    drawn = np.interp(np.log(np.maximum(expected, counts[0])), np.log(counts), excess)
    few = expected < counts[-1]
    many = 0.5 * (1 / np.maximum(expected, 1.0) + electronic / np.maximum(expected, 1.0) ** 2)
    return np.asarray(-np.where(few, drawn, many) - 0.5 * np.log1p((floor / np.maximum(expected, 1e-3)) ** 2))


@lru_cache(maxsize=4)
def _mean_logarithm(electronic: float) -> tuple[Array, Array]:
    """Return mean counts n from 0.001 to 400, and log(n) less the mean of log(max(counts, 1)), by summation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    noise, weights = np.sqrt(electronic) * nodes, weights / weights.sum()
    drawn = np.arange(700)
    logarithm = np.log(np.maximum(drawn[:, None] + noise, 1.0)) @ weights
    means = np.geomspace(1e-3, 400, 120)
    from scipy.stats import poisson  # takes longer to import than a slice to denoise

    return means, np.log(means) - poisson.pmf(drawn, means[:, None]) @ logarithm
