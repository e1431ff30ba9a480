"""Comparison of a series, as measured in its pixels, with the training domain of a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lowdose.image import Slice
from lowdose.io.orientation import AXIAL, orientation_of
from lowdose.io.source import Source
from lowdose.metrics.band_noise import noise_bands
from lowdose.metrics.body_size import water_equivalent_diameter
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.checkpoint import TrainingDomain

SAMPLED_SLICES = 5
"""Number of slices of a series that are measured."""

ASSUMED_PIXEL_MM = 0.75
"""Pixel size in mm that is assumed if none is stated."""

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
    noise_bands : tuple of float or None, HU
        SD of the noise in bands of spatial frequency, see ``lowdose.metrics.noise_bands``.
    body_mm : float or None, mm
        Water-equivalent diameter of the body.
    orientation : str or None
        Orientation of the slices, "axial", "sagittal", "coronal" or "oblique".
    """

    noise_sd: float | None
    noise_f_av: float | None
    pixel_mm: float | None
    thickness_mm: float | None
    noise_bands: tuple[float, ...] | None = None
    body_mm: float | None = None
    orientation: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the properties by name, rounded to four decimals."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def _rounded(value: float | tuple[float, ...] | str | None) -> Any:
    if isinstance(value, tuple):
        return [round(one, 4) for one in value]
    return value if value is None or isinstance(value, str) else round(value, 4)


def measure_series(source: Source) -> SeriesMeasurements:
    """Measure a few evenly spaced slices of a series and return the medians over them."""
    count = len(source)
    chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(SAMPLED_SLICES, count) + 2)[1:-1].round()} or {0})
    measured = measure_slices((source.read(index) for index in chosen), source.acquisition.thickness_mm)
    return replace(measured, orientation=orientation_of(source.planes))


def measure_slices(items: Iterable[Slice], thickness_mm: float | None) -> SeriesMeasurements:
    """Measure slices of one series and return the medians over them; ``thickness_mm`` is what the series states."""
    sds, frequencies, pixels = list[float](), list[float](), list[float]()
    bands, diameters = list[tuple[float, ...]](), list[float]()
    for item in items:
        pixel = item.mean_pixel_mm
        pixels += [pixel] if pixel is not None else []
        found = noise_bands(item.in_air, item.valid, pixel or ASSUMED_PIXEL_MM)
        bands += [found] if found else []
        diameter = water_equivalent_diameter(item.in_air, item.valid, pixel or ASSUMED_PIXEL_MM)
        diameters += [diameter] if diameter else []
        level = noise_level(item.hu, item.valid, pixel or 1.0)
        if level is not None:
            sds.append(level.sd)
            if pixel is not None:
                frequencies.append(level.f_av)
    typical = tuple(float(value) for value in np.median(bands, axis=0)) if bands else None
    return SeriesMeasurements(
        _median(sds),
        _median(frequencies),
        _median(pixels),
        thickness_mm,
        typical,
        _median(diameters),
    )


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


TRAINED_ON_AXIAL = "the model was trained on axial slices; denoise the axial series and reformat the result"
QUANTITIES = {
    "noise_sd": ("noise SD", "HU"),
    "noise_f_av": ("mean noise frequency", "1/mm"),
    "pixel_mm": ("pixel size", "mm"),
    "thickness_mm": ("slice thickness", "mm"),
}
"""Name and unit, for messages, of each range of ``TrainingDomain``."""


def domain_warnings(measured: SeriesMeasurements, domain: TrainingDomain) -> list[str]:
    """Return one warning for each quantity that lies outside the training range or is unknown for the series.

    Models are trained on axial slices, so another orientation is outside the range of all.
    """
    warnings = []
    if measured.orientation not in (None, AXIAL):
        warnings.append(f"the slices are {measured.orientation}: {TRAINED_ON_AXIAL}")
    for key, (name, unit) in QUANTITIES.items():
        value, allowed = getattr(measured, key), getattr(domain, key)
        if allowed is None:
            continue
        if value is None:
            warnings.append(f"{name} is not known for this series: cannot tell whether the model is made for it")
        elif key == "noise_sd" and value < allowed[0]:
            continue  # most of it is kept, so the model changes little
        elif not allowed[0] * (1 - TOLERANCE) <= value <= allowed[1] * (1 + TOLERANCE):
            warnings.append(
                f"{name} {value:.3g} {unit} is outside the model's training range "
                f"{allowed[0]:.3g}-{allowed[1]:.3g} {unit}"
            )
    return warnings
