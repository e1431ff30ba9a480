"""A CT scanner as its noise sees it: rays, photons behind the bow-tie filter, hardening of the beam, electronics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.physics.geometry import FanBeam, ParallelBeam
from lowdose.physics.kernels import B30, D45, Kernel

Array = NDArray[np.float64]

WATER = 0.0206
"""Linear attenuation of water at about 60 keV, 1/mm (FDA LCD_CT)."""

MOST_EXPOSURE = 1e9
"""mAs mm: a thousand times what any tube gives; beyond it there is nothing left to draw counts from."""


@dataclass(frozen=True)
class Scanner:
    """fan: where the rays run. mu_water: 1/mm.

    flux: photons that reach a detector through air on the central ray, for 1 mAs and 1 mm of slice.
    electronic: variance of the electronic noise, in photons squared (Zeng et al., IEEE TNS 2015: 10).
    bowtie_mm, bowtie_share: the bow-tie filter evens out this share of the attenuation of a water cylinder of this
    diameter, so that rays beside the central one get fewer photons. Share 0 = no filter.
    hardening: a polychromatic beam measures p - hardening p^2 where a beam of one energy measures p, and the scanner
    corrects it; so thick bodies let more photons through than their HU say. 0 = one energy.

    Scanners of the third generation sort fan rays into parallel ones before they filter them, and the noise of real
    pairs falls towards the skin as that predicts, not as direct fan-beam reconstruction does (docs/results.md); hence
    ``rays``. The defaults are fitted to ten D45f slices of one patient (LDCT grand challenge L096).
    """

    fan: FanBeam = field(default_factory=FanBeam)
    mu_water: float = WATER
    flux: float = 980.0
    electronic: float = 10.0
    bowtie_mm: float = 205.0
    bowtie_share: float = 0.325
    hardening: float = 0.0094

    def __post_init__(self) -> None:
        if not (self.flux > 0 and np.isfinite(self.flux)):
            raise InvalidSetting(f"flux {self.flux}: must be a positive number of photons per mAs and mm")
        if not 0.005 <= self.mu_water <= 0.1:
            raise InvalidSetting(
                f"attenuation of water {self.mu_water} 1/mm: must be between 0.005 and 0.1 (0.019 to 0.021 in CT)"
            )
        if not (0 <= self.electronic < np.inf and 0 < self.bowtie_mm < np.inf and 0 <= self.bowtie_share <= 1):
            raise InvalidSetting(
                f"electronic noise {self.electronic}, bow-tie {self.bowtie_mm} mm x {self.bowtie_share}: none may be "
                "negative, the share at most 1"
            )
        if not 0 <= self.hardening <= 0.02:
            raise InvalidSetting(f"beam hardening {self.hardening}: must be between 0 (one energy) and 0.02")

    @property
    def rays(self) -> ParallelBeam:
        """The fan's rays in parallel order: as many views over half a turn, as far apart as at the axis."""
        return ParallelBeam(self.fan.views, int(2 * self.fan.radius_mm / self.fan.sample_mm), self.fan.sample_mm)

    def air(self, exposure: float) -> Array:
        """(detectors,): photons expected on parallel rays through air; exposure: mAs times mm of slice.

        Away from the axis the fan's rays lie closer together, so more of them are averaged into a parallel one.
        Raises InvalidSetting unless the exposure is positive and of this world.
        """
        if not 0 < exposure <= MOST_EXPOSURE:
            raise InvalidSetting(f"exposure {exposure} mAs mm: must be above 0 and at most {MOST_EXPOSURE:g}")
        away = np.abs(self.rays.positions())
        radius = self.bowtie_mm / 2
        spared = radius - np.sqrt(np.maximum(radius**2 - away**2, 0.0))
        filtered = np.exp(-2 * self.bowtie_share * self.mu_water * spared)
        return np.asarray(self.flux * exposure * filtered / np.sqrt(1 - (away / self.fan.source_mm) ** 2))

    def harden(self, integrals: Array) -> Array:
        """What the beam measures behind these line integrals of one energy; rises up to 1 / (2 hardening)."""
        if self.hardening == 0:
            return integrals
        limited = np.minimum(integrals, 0.5 / self.hardening)
        return limited - self.hardening * limited**2

    def correct(self, measured: Array) -> Array:
        """The inverse of ``harden``, as a scanner's water correction does it."""
        if self.hardening == 0:
            return measured
        return np.asarray((1 - np.sqrt(np.maximum(1 - 4 * self.hardening * measured, 0.0))) / (2 * self.hardening))

    def attenuation(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """HU -> 1/mm; what is below air is air."""
        return np.asarray(np.maximum(self.mu_water * (1 + hu / np.float32(1000)), 0), np.float32)


FITTED: dict[str, tuple[Kernel, Scanner]] = {"D45": (D45, Scanner()), "B30": (B30, Scanner(flux=1365.0))}
"""Kernels of Siemens scanners at 120 kVp, with the flux that gives the noise of real quarter-dose slices."""
