"""Digital patients on coarse grids, scanned: noise, texture and anatomy in a fraction of a second."""

from __future__ import annotations

from functools import lru_cache

from lowdose.phantom.patient import digital_patient
from lowdose.physics.acquisition import Scans, acquire
from lowdose.physics.kernels import B30
from lowdose.physics.scanner import Scanner
from lowdose.volume import Volume


@lru_cache(maxsize=32)
def body(seed: int, slices: int = 1, size: int = 128, pixel_mm: float = 3.0) -> Volume:
    """An upper abdomen without noise."""
    return digital_patient(seed, region="abdomen", slices=slices, size=size, pixel_mm=pixel_mm).volume


@lru_cache(maxsize=32)
def scan(seed: int, slices: int = 1, size: int = 128, pixel_mm: float = 3.0, mas: float = 150.0) -> Scans:
    """The same at full and at quarter dose, with a soft kernel."""
    return acquire(body(seed, slices, size, pixel_mm), Scanner(), B30, mas=mas, dose=0.25, seed=seed)
