"""Simulation of a whole series at a fraction of its dose, slice by slice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lowdose.errors import InvalidSetting
from lowdose.image import HU, Slice
from lowdose.io.source import Plane, Sink, Source
from lowdose.physics.photon_counts import check_dose
from lowdose.simulation.calibration import Calibration

HIGHEST_CORRELATION = 0.7
"""Largest noise correlation of neighbouring slices that ``neighbour_weights`` can produce, rounded down."""
NO_NOISE = np.float32(0)


def simulate_series(
    source: Source,
    sink: Sink,
    calibration: Calibration,
    *,
    dose: float,
    seed: int,
    z_correlation: float = 0.0,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Simulate every slice of ``source`` at ``dose`` and write it to ``sink``; padding is left unchanged.

    z_correlation: correlation of the noise of neighbouring slices, up to 0.7, as in overlapping slices; each slice gets
    a share of its neighbours' noise, within its stack. With 0, the noise of a slice depends on (seed, SOPInstanceUID)
    only. Raises InvalidSetting for a dose or correlation out of range, NotCT for slices that are not in HU.
    """
    check_dose(dose)
    own_weight, neighbour_weight = neighbour_weights(z_correlation)
    keys = slice_keys(source)
    previous_noise: HU | np.float32 = NO_NOISE
    item = source.read(0)
    own_noise = _added_noise(item, calibration, 0, dose, seed, keys[0])
    for index in range(len(source)):
        next_item = source.read(index + 1) if index + 1 < len(source) else None
        next_noise = (
            NO_NOISE
            if next_item is None
            else _added_noise(next_item, calibration, index + 1, dose, seed, keys[index + 1])
        )
        stacked = next_item is not None and _of_one_stack(source.planes[index], source.planes[index + 1])
        noise = (
            own_weight * own_noise + neighbour_weight * (previous_noise + (next_noise if stacked else NO_NOISE))
            if neighbour_weight > 0
            else own_noise
        )
        sink.write(item, np.where(item.valid, item.hu + noise, item.hu))
        progress(index + 1)
        if next_item is not None:
            previous_noise = own_noise if stacked else NO_NOISE
            own_noise, item = np.asarray(next_noise), next_item


def _of_one_stack(one: Plane, other: Plane) -> bool:
    return (one.stack, one.shape) == (other.stack, other.shape)


def slice_keys(source: Source) -> list[str]:
    """Return a unique key of each slice.

    That is its SOPInstanceUID or, for frames and slices without one, series, stack after the first, and index.
    """
    instances = source.uids.get("instances")
    if isinstance(instances, list) and len(instances) == len(source):
        return [str(uid) for uid in instances]
    stacks = [f" stack {plane.stack}" if plane.stack else "" for plane in source.planes]
    return [f"{source.uids.get('series', '')}{stack} {index}" for index, stack in enumerate(stacks)]


def neighbour_weights(correlation: float) -> tuple[np.float32, np.float32]:
    """Compute the weights (a, b) of a slice's own noise and of the noise of either neighbour.

    They fulfil a^2 + 2 b^2 = 1 and 2 a b = ``correlation``. Raises InvalidSetting for a correlation out of range.
    """
    if not 0.0 <= correlation <= HIGHEST_CORRELATION:
        raise InvalidSetting(f"correlation along z {correlation}: must be between 0 and {HIGHEST_CORRELATION}")
    squared = 0.5 * (1 + np.sqrt(1 - 2 * correlation**2))
    return np.float32(np.sqrt(squared)), np.float32(np.sqrt((1 - squared) / 2))


def _added_noise(item: Slice, calibration: Calibration, index: int, dose: float, seed: int, key: str) -> HU:
    """Simulate the noise that the dose adds to one slice, (y, x) HU."""
    hu = item.in_air
    low = calibration.simulator.simulate(
        hu,
        item.pixel_mm or (1.0, 1.0),
        exposure=calibration.exposures[index],
        dose=dose,
        seed=seed,
        key=key,
    )
    return low - hu
