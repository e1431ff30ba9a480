"""A full simulated scan of a phantom, at full dose and at a fraction of it, with the same photons in both."""

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
"""HU that scanners store, in 12 bits."""


class Scans(NamedTuple):
    """One body scanned at a fraction of the dose and at full dose."""

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
    """Scans a noise-free volume slice by slice: line integrals, photons, logarithm, filtered back-projection.

    mas: effective mAs of the full dose, of which ``dose`` in (0, 1] is the fraction; slices are as thick as the body's
    spacing along z. What lies outside the measured field (``scanner.rays.radius_mm``) comes out as air. The noise of
    slice z depends on (seed, z) only. Raises InvalidSetting for a dose or mAs out of range.
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
