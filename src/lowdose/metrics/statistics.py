"""Mean, standard deviation and bootstrap confidence interval of per-slice values of several patients."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch
from lowdose.io.messages import counted

FEWEST_PATIENTS = 5
"""With fewer patients, resampling them has too few distinct outcomes for a 95 % interval."""

RESAMPLES = 2000
"""Number of bootstrap samples."""

_BLOCK = 100
Unit = Literal["patients", "slices"]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation and confidence interval of per-slice values.

    Attributes
    ----------
    mean : float
        Mean of the patient means with 5 patients or more, else mean over slices; ``interval`` is the interval of this
        mean. In the unit of the values, as ``sd`` and ``interval``.
    sd : float or None
        Standard deviation over slices (n - 1); None for a single slice or for values that are not all finite.
    n_slices, n_patients : int
        Numbers of slices and of patients.
    interval : tuple of float or None
        Lower and upper limit of the 95 % percentile bootstrap interval; None where ``sd`` is None.
    interval_of : {"patients", "slices"} or None
        What was resampled. "slices" treats slices as independent, which they are not within one patient, so that the
        interval is too narrow for new patients. None without an interval.

    Examples
    --------
    >>> from lowdose.metrics import summarise
    >>> summary = summarise([30.0], ["patient 1"], seed=0)
    >>> summary.mean, summary.sd, summary.n_slices
    (30.0, None, 1)
    >>> print(summary)
    30 (1 slice of 1 patient; no interval)
    """

    mean: float
    sd: float | None
    n_slices: int
    n_patients: int
    interval: tuple[float, float] | None
    interval_of: Unit | None

    def __str__(self) -> str:
        spread = "" if self.sd is None else f" ± {self.sd:.4g}"
        counts = f"{counted(self.n_slices, 'slice')} of {counted(self.n_patients, 'patient')}"
        if self.interval is None:
            return f"{self.mean:.4g}{spread} ({counts}; no interval)"
        low, high = self.interval
        return f"{self.mean:.4g}{spread} (95 % CI {low:.4g} to {high:.4g} over {self.interval_of}; {counts})"


def summarise(values: Sequence[float] | Values, patients: Sequence[Hashable], seed: int) -> Summary:
    """Summarise per-slice values of several patients by their mean, standard deviation and confidence interval.

    With 5 patients or more, whole patients are resampled (cluster bootstrap of the mean of the patient means), because
    slices of one patient are not independent; a patient with many slices counts no more than one with few. With fewer
    patients, slices are resampled.

    Parameters
    ----------
    values : sequence of float, length n
        One value per slice, in any unit.
    patients : sequence of hashable, length n
        Patient of each slice.
    seed : int
        Seed of the bootstrap; the same seed gives the same interval.

    Returns
    -------
    Summary
        Mean, standard deviation and 95 % interval in the unit of the values.

    Raises
    ------
    GeometryMismatch
        If there are no values, or not one patient for each value.

    Examples
    --------
    >>> from lowdose.metrics import summarise
    >>> summary = summarise([1.0, 2.0, 6.0], ["a", "a", "b"], seed=0)
    >>> summary.mean, summary.interval, summary.interval_of
    (3.0, (1.0, 6.0), 'slices')
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
    """Summarise the difference a - b of two methods slice by slice.

    If the interval does not contain 0, the methods differ at the 5 % level over its units, patients or slices.

    Parameters
    ----------
    a, b : sequence of float, length n
        Values of the two methods for the same slices in the same order. Equal values differ by 0 even where both are
        infinite, as the PSNR of identical images.
    patients : sequence of hashable, length n
        Patient of each slice.
    seed : int
        Seed of the bootstrap; the same seed gives the same interval.

    Returns
    -------
    Summary
        Mean, standard deviation and 95 % interval of the differences.

    Raises
    ------
    GeometryMismatch
        If ``a`` and ``b`` differ in length, if they are empty, or if there is not one patient for each value.

    Examples
    --------
    >>> from lowdose.metrics import paired_difference
    >>> round(paired_difference([30.1, 31.2], [29.6, 30.9], ["a", "b"], seed=0).mean, 3)
    0.4
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise GeometryMismatch(f"{first.size} and {second.size} values: a paired difference needs the same slices")
    # inf - inf would be NaN: the PSNR of identical images is infinite for both methods.
    with np.errstate(invalid="ignore"):
        return summarise(np.where(first == second, 0.0, first - second), patients, seed)


def _patient_means(data: Values, patients: Sequence[Hashable]) -> Values:
    """Compute one mean per patient, in the order in which the patients first appear."""
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(patient, len(number)) for patient in patients])
    return np.bincount(index, data) / np.bincount(index)


def _bootstrap(units: Values, seed: int) -> tuple[float, float]:
    """Compute the 95 % percentile interval of the mean of ``units`` (n,), drawn with replacement."""
    rng = np.random.default_rng(seed)
    # In blocks, because 2000 resamples of 20 000 slices at once would take 640 MB.
    means = [
        units[rng.integers(units.size, size=(_BLOCK, units.size))].mean(axis=1) for _ in range(RESAMPLES // _BLOCK)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)
