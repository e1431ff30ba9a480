"""Mean, spread and confidence interval of per-slice values; slices of one patient are not independent."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch

FEWEST_PATIENTS = 5
"""Below this, resampling patients has too few distinct outcomes to give a 95 % interval."""

RESAMPLES = 2000
_BLOCK = 100
Unit = Literal["patients", "slices"]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """What a column of per-slice values says.

    mean: of the patients' means where ``interval_of`` is "patients", else of the slices: what ``interval`` encloses.
    sd: over slices (n - 1); None for one slice. interval: 95 % percentile bootstrap; None for one slice or for values
    that are not all finite. ``interval_of = "slices"`` takes slices as independent and is too narrow for new patients.
    """

    mean: float
    sd: float | None
    n_slices: int
    n_patients: int
    interval: tuple[float, float] | None
    interval_of: Unit | None

    def __str__(self) -> str:
        spread = "" if self.sd is None else f" ± {self.sd:.4g}"
        counts = f"{self.n_slices} slices of {self.n_patients} patients"
        if self.interval is None:
            return f"{self.mean:.4g}{spread} ({counts}; no interval)"
        low, high = self.interval
        return f"{self.mean:.4g}{spread} (95 % CI {low:.4g} to {high:.4g} over {self.interval_of}; {counts})"


def summarise(values: Sequence[float] | Values, patients: Sequence[Hashable], seed: int) -> Summary:
    """Summarise per-slice ``values`` whose patients are named by ``patients``; the same seed gives the same interval.

    With 5 patients or more whole patients are resampled (cluster bootstrap of the mean of patient means), so that a
    patient with many slices counts no more than one with few; with fewer, slices are.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0 or len(patients) != data.size:
        raise GeometryMismatch(f"{data.size} values and {len(patients)} patients: need one patient for each value")
    per_patient = _patient_means(data, patients)
    unit: Unit = "patients" if per_patient.size >= FEWEST_PATIENTS else "slices"
    units = per_patient if unit == "patients" else data
    usable = data.size > 1 and bool(np.isfinite(data).all())
    return Summary(
        mean=float(units.mean()),
        sd=float(data.std(ddof=1)) if usable else None,
        n_slices=data.size,
        n_patients=per_patient.size,
        interval=_bootstrap(units, seed) if usable else None,
        interval_of=unit if usable else None,
    )


def paired_difference(
    a: Sequence[float] | Values, b: Sequence[float] | Values, patients: Sequence[Hashable], seed: int
) -> Summary:
    """Summary of a - b slice by slice: an interval without 0 in it is a difference of its units at the 5 % level."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise GeometryMismatch(f"{first.size} and {second.size} values: a paired difference needs the same slices")
    # Equal values differ by 0 even where both are infinite (the PSNR of identical images).
    with np.errstate(invalid="ignore"):
        return summarise(np.where(first == second, 0.0, first - second), patients, seed)


def _patient_means(data: Values, patients: Sequence[Hashable]) -> Values:
    """One mean per patient, in order of first appearance."""
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(patient, len(number)) for patient in patients])
    return np.bincount(index, data) / np.bincount(index)


def _bootstrap(units: Values, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of ``units`` (n,), drawn with replacement."""
    rng = np.random.default_rng(seed)
    # In blocks: 2000 resamples of 20 000 slices at once would take 640 MB.
    means = [
        units[rng.integers(units.size, size=(_BLOCK, units.size))].mean(axis=1) for _ in range(RESAMPLES // _BLOCK)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)
