"""What has to be settled before the first slice of a series is denoised: is it what the model knows, what stays."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import lowdose
from lowdose.infer.engines.series_accuracy import check_on_series
from lowdose.infer.pipeline import SeriesResult
from lowdose.io.provenance import Provenance, denoising_provenance
from lowdose.io.source import Source
from lowdose.models import noise_retention, training_domain
from lowdose.models.load import LoadedModel
from lowdose.models.training_domain import SeriesMeasurements

PACKAGES = ("torch", "numpy", "pydicom")


@dataclass(frozen=True)
class SeriesSetup:
    """A model fitted to one series. warnings: of the series, and of where the model was never trained."""

    model: LoadedModel
    strength: float
    measured: SeriesMeasurements
    warnings: tuple[str, ...]
    provenance: Provenance


def set_up_series(source: Source, model: LoadedModel, strength: float) -> SeriesSetup:
    """Measures a few slices of the series and fits ``model`` to it. Raises what ``Source.read`` raises."""
    measured = training_domain.measure_series(source)
    unlike = training_domain.domain_warnings(measured, model.domain) if model.domain else []
    right, told = check_on_series(model, source)
    fitted = noise_retention.fit_to_series(right, measured)
    provenance = denoising_provenance(
        lowdose.__version__, fitted.name, fitted.sha256, strength, tuple(unlike), fitted.noise_kept, fitted.precision
    )
    return SeriesSetup(fitted, strength, measured, (*source.warnings, *unlike, *told), provenance)


def build_manifest(
    source: Source, prepared: SeriesSetup, outcome: SeriesResult, warnings: list[str], seconds: float
) -> dict[str, Any]:
    """The run manifest: what was done to what, with what, and how long it took. No names, no dates, no paths.

    warnings: all that the user was told. seconds: in all.
    """
    model = prepared.model
    return {
        "lowdose": lowdose.__version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "model": {"name": model.name, "sha256": model.sha256},
        "strength": prepared.strength,
        "noise_kept": model.noise_kept,
        "device": str(model.device),
        "engine": model.engine,
        "precision": model.precision,
        "input": source.uids,
        "slices": outcome.slices,
        "skipped_files": len(source.skipped),
        "measured": prepared.measured.to_dict(),
        "seconds": {**{step: round(spent, 3) for step, spent in outcome.seconds.items()}, "total": round(seconds, 3)},
        "warnings": warnings,
        "use": "research use only, not a medical device",
    }
