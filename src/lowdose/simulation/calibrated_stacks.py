"""A calibration for each stack of a series: energies and kernels differ in noise."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from lowdose.errors import LowDoseError, NotCT
from lowdose.io.source import Source, stacks_of
from lowdose.physics.kernels import Kernel
from lowdose.physics.scanner import COUNT_FLOOR
from lowdose.simulation.calibration import Calibration, calibrate, describe_scan


def calibrated_stacks(
    source: Source, kernel: Kernel | None, mas: float | None, device: str
) -> list[tuple[Source, Calibration]]:
    """Return every stack of a series with its own calibration.

    A stack whose noise cannot be measured has that of the first one where it can. Raises what ``calibrate`` raises
    when there is none.
    """
    found: list[tuple[Source, Calibration | LowDoseError]] = []
    for part in stacks_of(source):
        try:
            found.append((part, calibrate(describe_scan(part), kernel, mas, device, COUNT_FLOOR)))
        except NotCT as error:
            found.append((part, error))
    known = next((calibration for _, calibration in found if isinstance(calibration, Calibration)), None)
    result = []
    for part, calibration in found:
        if isinstance(calibration, LowDoseError):
            if known is None:
                raise calibration
            calibration = replace(known, exposures=(median(known.exposures),) * len(part))
        result.append((part, calibration))
    return result
