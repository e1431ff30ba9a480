"""Simulated scan of a phantom at full dose and at a fraction of it, with the same photons in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lowdose.physics.dose_simulator import expected_counts, noise_generator, reconstruct
from lowdose.physics.kernels import Kernel
from lowdose.physics.photon_counts import check_dose, draw_counts
from lowdose.physics.scanner import Scanner
from lowdose.volume import Volume

STORED = (-1024.0, 3071.0)
"""Range of HU that scanners store in 12 bits."""


class Scans(NamedTuple):
    """One body scanned at a fraction of the dose (``low``) and at full dose (``full``)."""

    low: Volume
    full: Volume


def acquire(
    body: Volume,
    scanner: Scanner,
    kernel: Kernel,
    *,
    mas: float,
    dose: float,
    seed: int,
    device: str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> Scans:
    """Simulate a scan of a noise-free volume at full dose and at the fraction ``dose``, slice by slice.

    Each slice is projected to line integrals, photon counts are drawn, and their logarithm is reconstructed by filtered
    back-projection. ``mas`` is the effective mAs at full dose, ``dose`` a fraction of it in (0, 1]; slices are as thick
    as the spacing of the body along z. Pixels outside the measured field (``scanner.rays.radius_mm``) become air. The
    noise of slice z depends on (seed, z) only. ``progress`` is called with the number of finished slices. Raises
    InvalidSetting for a dose or mAs out of range.
    """
    check_dose(dose)
    thickness, dy, dx = body.geometry.spacing
    low, full = np.empty_like(body.hu), np.empty_like(body.hu)
    for z, plane in enumerate(body.hu):
        expected = expected_counts(scanner, plane, (dy, dx), mas * thickness)
        measured = draw_counts(
            expected.photons, expected.air, dose, scanner.electronic, noise_generator(seed, f"slice {z}")
        )
        for scan, lines in zip((low, full), measured, strict=True):
            scan[z] = reconstruct(scanner, kernel, scanner.correct(lines), expected.grid, device) - 1000
        progress(z + 1)
    return Scans(*(body.with_hu(np.clip(hu, *STORED)) for hu in (low, full)))
