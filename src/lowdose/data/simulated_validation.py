"""Validation pairs from normal-dose slices alone: low dose is simulated once and exactly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

from lowdose.data.noise_bank.build import CalibratedSlice
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pairs import PairedSlice
from lowdose.data.simulated import SimulatedSlice
from lowdose.errors import LowDoseError
from lowdose.image import HU
from lowdose.io.messages import reason

VALIDATION_DOSES = (0.05, 0.1, 0.25, 0.5)
"""Dose fractions of the validation pairs, used in turn."""


def validation_pairs(
    around: Sequence[Sequence[tuple[SimulatedSlice, CalibratedSlice]]], seed: int
) -> tuple[list[list[PairedSlice]], list[str]]:
    """Simulate validation pairs with the exact simulator.

    around: for each pair, its slice with its neighbours, in the order of ``context_indices``. Returns (pairs, each with
    its neighbours at the same dose; warnings about those left out). The doses are those of ``VALIDATION_DOSES`` in
    turn; the noise depends on (seed, key) only. Every pair is simulated here, once, and kept in memory.
    """
    found, warnings = list[list[PairedSlice]](), list[str]()
    for number, context in enumerate(around):
        dose = VALIDATION_DOSES[number % len(VALIDATION_DOSES)]
        pairs = {item.key: _exact_pair(item, scan, dose, seed) for item, scan in context}
        try:
            for pair in pairs.values():
                pair.read()
        except (LowDoseError, OSError) as error:
            why = str(error) if isinstance(error, LowDoseError) else reason(error)
            warnings.append(f"{context[0][0].normal.series}: {why} (left out of validation)")
            continue
        found.append([pairs[item.key] for item, _ in context])
    return found, warnings


def _exact_pair(item: SimulatedSlice, scan: CalibratedSlice, dose: float, seed: int) -> PairedSlice:
    read = cache(partial(_simulate_exactly, item.normal, scan, dose, seed))
    return PairedSlice(item.patient, item.key, item.pixel_mm, item.thickness_mm, read, item.case)


def _simulate_exactly(item: NormalDoseSlice, scan: CalibratedSlice, dose: float, seed: int) -> tuple[HU, HU]:
    hu, pixel_mm = item.read(), item.pixel_mm
    assert pixel_mm is not None  # simulated_slices leaves such out
    return scan.simulator.simulate(hu, pixel_mm, exposure=scan.exposure, dose=dose, seed=seed, key=item.key), hu
