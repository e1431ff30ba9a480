"""Is this series like what the model was trained on? Measured in the pixels, said in plain sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from lowdose.io.source import Source
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.checkpoint import TrainingDomain

SAMPLED_SLICES = 5
TOLERANCE = 0.05


@dataclass(frozen=True)
class SeriesMeasurements:
    """Noise SD (HU), its mean frequency (1/mm, 1-D radial weights), pixel and slice thickness (mm); None = unknown."""

    noise_sd: float | None
    noise_f_av: float | None
    pixel_mm: float | None
    thickness_mm: float | None

    def to_dict(self) -> dict[str, float | None]:
        return {key: None if value is None else round(value, 4) for key, value in asdict(self).items()}


def measure_series(source: Source) -> SeriesMeasurements:
    """Medians over a few evenly spread slices of the series."""
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


def domain_warnings(measured: SeriesMeasurements, domain: TrainingDomain) -> list[str]:
    """One warning for each quantity that lies outside the training range, or cannot be compared."""
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
