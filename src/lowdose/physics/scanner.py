"""Noise model of a CT scanner: rays, photon flux behind the bow-tie filter, beam hardening, electronic noise."""

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

MAX_EXPOSURE = 1e9
"""Highest accepted exposure in mAs mm: a thousand times what any tube gives, beyond which counts cannot be drawn."""

MAX_COUNT_FLOOR = 1000.0
"""Highest accepted count floor in photons: far above what any scan shows."""

COUNT_FLOOR = 10.0
"""Count floor (photons) of real low dose, fitted to pairs of L096 and L333 (``experiments.physics.low_frequency``)."""


@dataclass(frozen=True)
class Scanner:
    """The geometry and the noise parameters of a CT scanner.

    Third-generation scanners rebin fan rays to parallel rays before filtering. The noise of real full-dose and low-dose
    pairs falls towards the skin as that predicts, not as direct fan-beam reconstruction does (docs/results.md), which
    is why ``rays`` is a parallel beam. The defaults are fitted to ten D45f slices of one patient (LDCT grand challenge
    L096).

    Attributes
    ----------
    fan : FanBeam
        Geometry of the scan.
    mu_water : 1/mm
        Linear attenuation of water.
    flux : photons per mAs and mm
        Photons that reach a detector through air on the central ray, for 1 mAs and 1 mm of slice thickness.
    electronic : photons squared
        Variance of the electronic noise (Zeng et al., IEEE TNS 2015: 10).
    bowtie_mm : mm
        Diameter of the water cylinder whose attenuation the bow-tie filter compensates.
    bowtie_share : 0 to 1
        Share of that attenuation that the filter compensates, so that peripheral rays get fewer photons. 0 = no filter.
    hardening : dimensionless
        Beam hardening: a polychromatic beam measures p - hardening p^2 where a monoenergetic beam measures p. The
        scanner corrects for it, so more photons pass a thick body than its HU suggest. 0 = monoenergetic.
    pitch : 0 to 2
        Spiral pitch: table feed per turn divided by the width of the beam. It shapes where the noise of a slice lies
        (``lowdose.physics.spiral``). The scans that this was fitted to have 0.70 and 0.80. 0 = axial scan.
    count_floor : photons
        Count f below which the logarithm levels off: where n photons are expected, the scanner reads
        sqrt(n^2 + f^2) on average. Few photons then make a ray look too transparent, which gives the dark bands
        of real scans behind shoulders and hips. 0 = the mean of the logarithm of the counts themselves, which errs
        the other way.
    """

    fan: FanBeam = field(default_factory=FanBeam)
    mu_water: float = WATER
    flux: float = 980.0
    electronic: float = 10.0
    bowtie_mm: float = 205.0
    bowtie_share: float = 0.325
    hardening: float = 0.0094
    pitch: float = 0.75
    count_floor: float = 0.0

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
        if not 0 <= self.pitch <= 2:
            raise InvalidSetting(f"spiral pitch {self.pitch}: must be between 0 (axial scan) and 2")
        if not 0 <= self.count_floor <= MAX_COUNT_FLOOR:
            raise InvalidSetting(
                f"count floor {self.count_floor} photons: must be between 0 (none) and {MAX_COUNT_FLOOR:g}"
            )

    @property
    def rays(self) -> ParallelBeam:
        """The fan rebinned to parallel rays: as many views over half a turn, spaced as the fan's rays at the axis."""
        return ParallelBeam(self.fan.views, int(2 * self.fan.radius_mm / self.fan.sample_mm), self.fan.sample_mm)

    def air(self, exposure: float) -> Array:
        """Return the photons (detectors,) expected on each parallel ray through air.

        ``exposure`` is mAs times mm of slice thickness. Away from the axis the rays of the fan lie closer together, so
        more of them are averaged into one parallel ray. Raises InvalidSetting unless the exposure is positive and at
        most the highest accepted one.
        """
        if not 0 < exposure <= MAX_EXPOSURE:
            raise InvalidSetting(f"exposure {exposure} mAs mm: must be above 0 and at most {MAX_EXPOSURE:g}")
        position = np.abs(self.rays.positions())
        radius = self.bowtie_mm / 2
        missing_mm = radius - np.sqrt(np.maximum(radius**2 - position**2, 0.0))
        transmission = np.exp(-2 * self.bowtie_share * self.mu_water * missing_mm)
        return np.asarray(self.flux * exposure * transmission / np.sqrt(1 - (position / self.fan.source_mm) ** 2))

    def harden(self, integrals: Array) -> Array:
        """Return what a polychromatic beam measures for these monoenergetic line integrals.

        Integrals are limited to 1 / (2 hardening), up to which the measured value rises.
        """
        if self.hardening == 0:
            return integrals
        limited = np.minimum(integrals, 0.5 / self.hardening)
        return limited - self.hardening * limited**2

    def correct(self, measured: Array) -> Array:
        """Invert ``harden``, as the water correction of a scanner does."""
        if self.hardening == 0:
            return measured
        return np.asarray((1 - np.sqrt(np.maximum(1 - 4 * self.hardening * measured, 0.0))) / (2 * self.hardening))

    def attenuation(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert HU to linear attenuation in 1/mm; values below that of air become 0."""
        return np.asarray(np.maximum(self.mu_water * (1 + hu / np.float32(1000)), 0), np.float32)


FITTED_SCANNERS: dict[str, tuple[Kernel, Scanner]] = {"D45": (D45, Scanner()), "B30": (B30, Scanner(flux=1365.0))}
"""Siemens kernels at 120 kVp, each with a scanner whose flux reproduces the noise of real quarter-dose slices."""
