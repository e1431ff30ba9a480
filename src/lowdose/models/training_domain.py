"""Comparison of a series, as measured in its pixels, with the training domain of a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from lowdose.io.source import Source
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.checkpoint import TrainingDomain

SAMPLED_SLICES = 5
"""Number of slices of a series that are measured."""

TOLERANCE = 0.05
"""Relative distance outside the training range that causes no warning."""


@dataclass(frozen=True)
class SeriesMeasurements:
    """Properties measured in a series; None if unknown.

    Attributes
    ----------
    noise_sd : float or None, HU
        Standard deviation of the noise.
    noise_f_av : float or None, 1/mm
        Mean frequency of the noise power spectrum, 1-D radial weighting.
    pixel_mm : float or None, mm
        Pixel size.
    thickness_mm : float or None, mm
        Slice thickness.
    """

    noise_sd: float | None
    noise_f_av: float | None
    pixel_mm: float | None
    thickness_mm: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Return the properties by name, rounded to four decimals."""
        return {key: None if value is None else round(value, 4) for key, value in asdict(self).items()}


def measure_series(source: Source) -> SeriesMeasurements:
    """Measure a few evenly spaced slices of a series and return the medians over them."""
    count = len(source)
    chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(SAMPLED_SLICES, count) + 2)[1:-1].round()} or {0})
    sds, frequencies, pixels = [], [], []
    for index in chosen:
        item = source.read(index)
        pixel = item.mean_pixel_mm
        pixels += [pixel] if pixel is not None else []
        level = noise_level(item.hu, item.valid, pixel or 1.0)
        if level is not None:
            sds.append(level.sd)
            if pixel is not None:
                frequencies.append(level.f_av)
    return SeriesMeasurements(_median(sds), _median(frequencies), _median(pixels), source.acquisition.thickness_mm)


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


QUANTITIES = {
    "noise_sd": ("noise SD", "HU"),
    "noise_f_av": ("mean noise frequency", "1/mm"),
    "pixel_mm": ("pixel size", "mm"),
    "thickness_mm": ("slice thickness", "mm"),
}
"""Name and unit, for messages, of each range of ``TrainingDomain``."""


def domain_warnings(measured: SeriesMeasurements, domain: TrainingDomain) -> list[str]:
    """Return one warning for each quantity that lies outside the training range or is unknown for the series."""
    warnings = []
    for key, (name, unit) in QUANTITIES.items():
        value, allowed = getattr(measured, key), getattr(domain, key)
        if allowed is None:
            continue
        if value is None:
            warnings.append(f"{name} is not known for this series: cannot tell whether the model is made for it")
        elif not allowed[0] * (1 - TOLERANCE) <= value <= allowed[1] * (1 + TOLERANCE):
            warnings.append(
                f"{name} {value:.3g} {unit} is outside the model's training range "
                f"{allowed[0]:.3g}-{allowed[1]:.3g} {unit}"
            )
    return warnings
