"""A series at a fraction of its dose: slice by slice through the simulator, into a new series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lowdose.errors import InvalidSetting
from lowdose.image import HU, Slice
from lowdose.io.source import Sink, Source
from lowdose.physics.photon_counts import check_dose
from lowdose.simulation.calibration import Calibration

HIGHEST_CORRELATION = 0.7
NONE = np.float32(0)


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
    """Every slice of ``source`` at ``dose`` into ``sink``; padding keeps what is stored there.

    z_correlation: of the noise of neighbouring slices, up to 0.7, as overlapping slices have it: each slice gets a
    share of its neighbours' noise. With 0 the noise of a slice depends on (seed, SOPInstanceUID) only.
    Raises InvalidSetting for a dose or correlation out of range, NotCT for slices that are not HU.
    """
    check_dose(dose)
    own, beside = neighbour_weights(z_correlation)
    names = slice_keys(source)
    before: HU | np.float32 = NONE
    item = source.read(0)
    here = _noise(item, calibration, 0, dose, seed, names[0])
    for index in range(len(source)):
        following = source.read(index + 1) if index + 1 < len(source) else None
        after = NONE if following is None else _noise(following, calibration, index + 1, dose, seed, names[index + 1])
        noise = own * here + beside * (before + after) if beside > 0 else here
        sink.write(item, np.where(item.valid, item.hu + noise, item.hu))
        progress(index + 1)
        if following is not None:
            before, here, item = here, np.asarray(after), following


def slice_keys(source: Source) -> list[str]:
    """What tells the slices apart: SOPInstanceUIDs; frames and slices without one by series and number."""
    instances = source.uids.get("instances")
    if isinstance(instances, list) and len(instances) == len(source):
        return [str(uid) for uid in instances]
    return [f"{source.uids.get('series', '')} {index}" for index in range(len(source))]


def neighbour_weights(correlation: float) -> tuple[np.float32, np.float32]:
    """(a, b) with a^2 + 2 b^2 = 1 and 2 a b = ``correlation``: the shares of a slice's own and neighbours' noise."""
    if not 0.0 <= correlation <= HIGHEST_CORRELATION:
        raise InvalidSetting(f"correlation along z {correlation}: must be between 0 and {HIGHEST_CORRELATION}")
    squared = 0.5 * (1 + np.sqrt(1 - 2 * correlation**2))
    return np.float32(np.sqrt(squared)), np.float32(np.sqrt((1 - squared) / 2))


def _noise(item: Slice, calibration: Calibration, index: int, dose: float, seed: int, key: str) -> HU:
    """What the dose adds to one slice, (y, x) HU."""
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
