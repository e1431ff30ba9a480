"""Noise power spectra of all versions of a slice, in the same flat squares of soft tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lowdose.image import HU
from lowdose.metrics.noise_frequency import Spectrum, radial_average
from lowdose.metrics.noise_power import nps
from lowdose.metrics.rois import cut_squares, flattest_squares

SIDE, MOST, FEWEST = 32, 48, 4
"""Pixels a side of a square, and how many squares of a slice are taken: the flattest ones that do not overlap."""


def noise_spectra(images: Mapping[str, HU], full: HU, pixel_mm: float) -> dict[str, Spectrum]:
    """Return the radial noise power spectrum of each image (y, x), HU, by name.

    All are of the same squares, the flattest ones of ``full``. Anatomy that is left in them is in every spectrum, above
    all at low frequencies, so compare spectra with each other. Empty where ``full`` has fewer than ``FEWEST`` squares.
    """
    corners = flattest_squares(full, SIDE, MOST)
    if len(corners) < FEWEST:
        return {}
    return {
        name: radial_average(nps(cut_squares(hu, corners, SIDE), pixel_mm), pixel_mm) for name, hu in images.items()
    }


def mean_spectrum(spectra: Sequence[Spectrum]) -> Spectrum:
    """Return the mean of the spectra of several slices; their frequencies, which differ with the pixels, too."""
    return Spectrum(*(np.mean([spectrum[part] for spectrum in spectra], axis=0) for part in (0, 1)))
