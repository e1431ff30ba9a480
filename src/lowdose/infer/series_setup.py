"""Prepare one series for denoising: measure it, fit the model to it, and record what was done."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from lowdose.image import HU
from lowdose.infer.depth_choice import choose_depth
from lowdose.infer.engines.series_accuracy import check_on_series
from lowdose.infer.noise_blend import measure_blend
from lowdose.infer.noise_report import NoiseReport, fit_noise, report_noise
from lowdose.infer.pipeline import SeriesResult
from lowdose.io.provenance import Provenance, denoising_provenance
from lowdose.io.source import Source, stacks_of
from lowdose.models import training_domain
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget
from lowdose.models.training_domain import SeriesMeasurements
from lowdose.version import __version__

PACKAGES = ("torch", "numpy", "pydicom")
"""Packages whose versions a manifest states."""


@dataclass(frozen=True)
class SeriesSetup:
    """A model fitted to one series.

    Attributes
    ----------
    model : LoadedModel
        Keeps as much noise as this series is to keep.
    strength : float
        Blend of the result with the input, 0 to 1.
    measured : SeriesMeasurements
        Noise, pixel size and slice thickness of the series.
    warnings : tuple of str
        Of the series, and where it lies outside the training domain of the model.
    outside : tuple of str
        Those of the warnings that say where the series lies outside the training domain.
    noise : NoiseReport
        Noise before and after.
    provenance : Provenance
        For the headers of the derived series.
    known : dict of int to HU
        Slices that were denoised to measure the noise, by index, with none of it kept.
    stacks : tuple of (Source, SeriesSetup)
        Every stack and what was measured and fitted on it; of a series of several stacks only.
    """

    model: LoadedModel
    strength: float
    measured: SeriesMeasurements
    warnings: tuple[str, ...]
    outside: tuple[str, ...]
    noise: NoiseReport
    provenance: Provenance
    known: Mapping[int, HU] = field(default_factory=dict, repr=False)
    stacks: tuple[tuple[Source, SeriesSetup], ...] = ()

    @property
    def noise_lines(self) -> list[str]:
        """What a user should know of the noise, in sentences."""
        if not self.stacks:
            return self.noise.lines
        return [f"stack {number}: {line}" for number, (_, own) in enumerate(self.stacks, 1) for line in own.noise.lines]


def set_up_stacks(
    source: Source, model: LoadedModel, strength: float, target: NoiseTarget | None = None
) -> SeriesSetup:
    """Do what ``set_up_series`` does for every stack of a series by itself: their noise may differ a lot.

    What the result says of the whole series is true of its first stack, but for warnings, range and provenance.
    """
    parts = stacks_of(source)
    setups = [set_up_series(part, model, strength, target) for part in parts]
    if len(setups) == 1:
        return setups[0]
    numbered = list(enumerate(setups, 1))
    warnings = [f"stack {number}: {text}" for number, setup in numbered for text in setup.warnings]
    noise = "; ".join(f"stack {number}: {setup.noise.change}" for number, setup in numbered if setup.noise.change)
    fitted = setups[0].model
    provenance = denoising_provenance(
        __version__, fitted.name, fitted.sha256, strength, tuple(warnings), noise, fitted.accuracy
    )
    return replace(
        setups[0],
        warnings=(*source.warnings, *warnings),
        outside=tuple(f"stack {number}: {text}" for number, setup in numbered for text in setup.outside),
        provenance=provenance,
        stacks=tuple(zip(parts, setups, strict=True)),
    )


def set_up_series(
    source: Source, model: LoadedModel, strength: float, target: NoiseTarget | None = None
) -> SeriesSetup:
    """Measure a few slices of a series and fit ``model`` to it and to the noise that is wanted.

    Raises what ``Source.read`` raises, and InvalidSetting for a noise SD that cannot be reached.
    """
    target = target or NoiseTarget()
    measured = training_domain.measure_series(source)
    outside = training_domain.domain_warnings(measured, model.domain) if model.domain else []
    at_depth = choose_depth(source, model, measured, target) if strength > 0 else model
    accurate, inaccurate = check_on_series(at_depth, source)
    blend = measure_blend(source, accurate) if strength > 0 or target.noise_sd is not None else None
    fitted = fit_noise(accurate, measured, target, blend)
    noise = report_noise(fitted, measured, target, blend, strength)
    doubts = (*outside, *noise.warnings)
    provenance = denoising_provenance(
        __version__, fitted.name, fitted.sha256, strength, doubts, noise.change, fitted.accuracy
    )
    warnings = (*source.warnings, *doubts, *inaccurate)
    return SeriesSetup(
        fitted, strength, measured, warnings, tuple(outside), noise, provenance, blend.results if blend else {}
    )


def build_manifest(
    source: Source, setup: SeriesSetup, result: SeriesResult, warnings: list[str], seconds: float
) -> dict[str, Any]:
    """Build the run manifest: what was done to which series, with what, and how long it took.

    It holds no names, dates or paths. ``warnings`` are all that the user saw, ``seconds`` the time of the whole run.
    """
    model = setup.model
    return {
        "lowdose": __version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "model": {"name": model.name, "sha256": model.sha256},
        "strength": setup.strength,
        "noise_kept": model.noise_kept,
        "noise": setup.noise.to_dict(),
        "device": str(model.device),
        "engine": ", then ".join(result.engines or [model.engine]),
        **({"at_inference": model.at_inference} if model.at_inference else {}),
        "precision": model.accuracy,
        "input": source.uids,
        "slices": result.slices,
        **({"stacks": [_describe(part, own) for part, own in setup.stacks]} if setup.stacks else {}),
        "skipped_files": len(source.skipped),
        "measured": setup.measured.to_dict(),
        "seconds": {**{step: round(spent, 3) for step, spent in result.seconds.items()}, "total": round(seconds, 3)},
        "warnings": warnings,
        "use": "research use only, not a medical device",
    }


def _describe(part: Source, setup: SeriesSetup) -> dict[str, Any]:
    return {
        "slices": len(part),
        "noise_kept": setup.model.noise_kept,
        **({"at_inference": setup.model.at_inference} if setup.model.at_inference else {}),
        "noise": setup.noise.to_dict(),
        "measured": setup.measured.to_dict(),
    }
