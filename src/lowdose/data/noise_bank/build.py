"""Building of a noise bank slice by slice; an interrupted build can be continued, since slices count once complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy
from scipy.ndimage import gaussian_filter

from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.plan import FULL_DOSE_PLANE, Plan, array_name
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pack.index import Int16Image, round_hu
from lowdose.errors import GeometryMismatch, IncompatiblePack, LowDoseError, NotCT
from lowdose.image import HU
from lowdose.io.atomic import output_errors
from lowdose.io.messages import reason
from lowdose.physics.dose_simulator import DoseSimulator, check_hu, noise_generator

SMOOTH_PX = 8.0
"""Standard deviation of the Gaussian (pixels) that removes most of the noise, but not the bias of the logarithm."""
SEED = 0
"""Seed of the noise, the same for all runs so that they can share a bank."""


class CalibratedSlice(NamedTuple):
    """Simulator and exposure of the scan of one slice.

    Attributes
    ----------
    simulator : DoseSimulator
        Simulator of its scanner and kernel.
    exposure : mAs mm
        Effective tube current-time product times slice thickness.
    """

    simulator: DoseSimulator
    exposure: float


Calibrate = Callable[[Sequence[NormalDoseSlice]], Sequence[CalibratedSlice]]
"""Function that calibrates the slices of one series; it may raise LowDoseError, and the series is then left out."""


def build_noise_bank(
    folder: Path,
    slices: Sequence[NormalDoseSlice],
    calibrate: Calibrate,
    share: tuple[int, int] = (0, 1),
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Build those of ``slices`` that are missing in the bank at ``folder``, one by one, using all cores for each.

    share: (k, n) = this is the k-th, from 0, of n processes that build together. advance: called with (slices done,
    slices to do). A slice that cannot be used is recorded as left out. Raises IncompatiblePack when the images in the
    bank are not those of the slices, OutputRefused when the disk is full.
    """
    bank = NoiseBank(folder)
    _check_images(bank, [item for item in slices if item.key in bank.built])
    mine = [item for place, item in enumerate(slices) if place * share[1] // len(slices) == share[0]]
    missing = {item.key for item in mine if not bank.known(item.key)}
    total = len(missing)
    with output_errors(folder), (folder / f"built-{share[0]}.jsonl").open("a", encoding="utf-8") as log:
        log.write("\n" * bool(missing))  # ends an incomplete line of an interrupted build
        for line in _build_missing(bank, slices, missing, calibrate):
            log.write(json.dumps(line) + "\n")
            log.flush()
            missing.discard(str(line["key"]))
            advance(total - len(missing), total)


def _build_missing(
    bank: NoiseBank, slices: Sequence[NormalDoseSlice], missing: set[str], calibrate: Calibrate
) -> Iterator[dict[str, object]]:
    """Yield the log line of each missing slice, once its images are written."""
    series: dict[str, list[NormalDoseSlice]] = {}
    for item in slices:
        series.setdefault(item.series, []).append(item)
    for items in series.values():
        wanted = [place for place, item in enumerate(items) if item.key in missing]
        if not wanted:
            continue
        try:
            scans = calibrate(items)  # all slices, so that a continued build gets the same calibration
        except (LowDoseError, OSError) as error:
            for place in wanted:
                yield {"key": items[place].key, "left_out": _error_text(error)}
            continue
        for place in wanted:
            yield _build_slice(bank, items[place], scans[place])


def _build_slice(bank: NoiseBank, item: NormalDoseSlice, scan: CalibratedSlice) -> dict[str, object]:
    try:
        planes, scales = _quantise(noise_planes(item, scan, bank.plan))
    except (LowDoseError, OSError) as error:
        return {"key": item.key, "left_out": f"{item.series}: {_error_text(error)}"}
    size = bank.plan.slices[item.key]
    with (bank.folder / array_name(size)).open("r+b") as file:
        npy.read_magic(file)
        npy.read_array_header_1_0(file)
        file.seek(bank.plan.rows[item.key] * planes.nbytes, 1)
        file.write(planes.tobytes())
    simulator = scan.simulator
    physics = {"kernel": str(simulator.kernel), "scanner": repr(simulator.scanner), "exposure": scan.exposure}
    return {"key": item.key, "scales": scales, **physics}


def _error_text(error: LowDoseError | OSError) -> str:
    return str(error) if isinstance(error, LowDoseError) else reason(error)


def noise_planes(item: NormalDoseSlice, scan: CalibratedSlice, plan: Plan) -> Sequence[HU]:
    """Simulate the planes of one slice, (y, x) HU each.

    These are full dose and, for each dose level, the bias and the exact noise realisations minus this bias. Raises
    NotCT or GeometryMismatch for a slice that cannot be simulated.
    """
    hu, pixel_mm = item.read(), item.pixel_mm
    if pixel_mm is None:
        raise NotCT("no pixel size is stated, so no rays can be drawn")
    if hu.shape != plan.slices[item.key]:
        raise GeometryMismatch(f"holds {hu.shape} pixels where its header states {plan.slices[item.key]}")
    check_hu(hu)
    expected = scan.simulator.expected(hu, pixel_mm, scan.exposure)
    planes = [hu]
    for dose in plan.doses:
        noise = [
            scan.simulator.noise(expected, dose, noise_generator(SEED, f"{item.key} {dose:g} {number}"))
            for number in range(plan.realisations)
        ]
        bias = _mean_noise(noise, scan.simulator.dark_bands(expected, dose))
        planes += [bias, *(image - bias for image in noise)]
    return planes


def _mean_noise(noise: Sequence[HU], bands: HU | None) -> HU:
    """Return the bias (y, x) in HU of noise realisations: their smoothed mean, with sharp ``bands`` where known."""
    mean = np.mean(noise, axis=0)
    if bands is None:
        return np.asarray(gaussian_filter(mean, SMOOTH_PX))
    return np.asarray(gaussian_filter(mean - bands, SMOOTH_PX) + bands)


def _quantise(planes: Sequence[HU]) -> tuple[Int16Image, list[float]]:
    """Convert planes in HU to (planes, y, x) int16 and the HU per unit of each plane.

    The unit is 1 HU for the full-dose plane, and for the others the finest that holds their largest value.
    """
    scales = [1.0, *(max(float(np.abs(image).max()) / 32767, 1e-6) for image in planes[1:])]
    return np.stack([round_hu(image / np.float32(s)) for image, s in zip(planes, scales, strict=True)]), scales


def _check_images(bank: NoiseBank, built: Sequence[NormalDoseSlice]) -> None:
    """Check, on the first and the last slice, that the keys still belong to the same images."""
    for item in (*built[:1], *built[-1:]):
        window = (slice(None), slice(None))
        if not np.array_equal(bank[item.key].planes[FULL_DOSE_PLANE][window], round_hu(item.read())):
            raise IncompatiblePack(
                f"{bank.folder}: the image it holds for {item.series} is not the one there now; remove the folder, it "
                "is built again"
            )
