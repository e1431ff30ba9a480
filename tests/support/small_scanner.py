"""A coarse scanner and discs of water, so that noise is simulated in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lowdose.data.noise_bank.build import CalibratedSlice
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.physics.dose_simulator import DoseSimulator
from lowdose.physics.geometry import FanBeam
from lowdose.physics.kernels import Kernel
from lowdose.physics.scanner import Scanner

PIXEL = (2.5, 2.5)
SIMULATOR = DoseSimulator(Scanner(FanBeam(views=120, detectors=184, pitch_mm=5.0)), Kernel("hann", 0.2))
EXPOSURE = 600.0


def water(size: int = 96, number: int = 0) -> np.ndarray:
    """(y, x) HU: a disc of 160 mm, with a stripe that tells it from others."""
    y, x = (np.mgrid[:size, :size] - size / 2) * PIXEL[0]
    disc = np.where(np.hypot(y, x) < 80, 0.0, -1000.0)
    disc[size // 2, size // 2 : size // 2 + 4] += number
    return disc.astype(np.float32)


def normal(
    number: int,
    hu: np.ndarray | None = None,
    *,
    size: int = 96,
    patient: int = 1,
    read: Callable[..., object] | None = None,
) -> NormalDoseSlice:
    image = water(size, number) if hu is None else hu
    facts = (
        f"key{number}",
        f"series{patient}",
        (image.shape[0], image.shape[1]),
        PIXEL,
        3.0,
        "B30f",
        120.0,
        200.0,
        "M",
    )
    return NormalDoseSlice(patient, *facts, read or (lambda: image))


def exposed(slices: Sequence[NormalDoseSlice]) -> list[CalibratedSlice]:
    return [CalibratedSlice(SIMULATOR, EXPOSURE) for _ in slices]
