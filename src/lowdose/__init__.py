"""Low-dose CT denoising: DICOM in and out, simulation, training, evaluation.

Hounsfield units (HU) everywhere outside a network; research use only, not a medical device.

Everything is imported when it is first used, so that ``import lowdose`` takes no time and loads no PyTorch.

Examples
--------
>>> import numpy as np
>>> import lowdose
>>> noisy = 40 + 20 * np.random.default_rng(0).standard_normal((2, 64, 64))
>>> lowdose.denoise(noisy, spacing=(3.0, 0.7, 0.7), model="gaussian").slices
2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowdose.lazy_exports import lazy_exports
from lowdose.version import __version__

if TYPE_CHECKING:
    from lowdose import api, errors, metrics, objectives
    from lowdose.api import (
        Adaptation,
        DenoisedSeries,
        DetectedLesions,
        EvaluationReport,
        ExplainedSeries,
        Installation,
        SimilarPlaces,
        SimulatedSeries,
        TrainingRun,
        Volume,
        adapt,
        denoise,
        detect,
        evaluate,
        explain,
        info,
        list_recipes,
        load_model,
        read,
        similar_places,
        simulate_dose,
        simulate_phantom,
        train,
    )

_MODULES = ("api", "errors", "metrics", "objectives")

__all__ = [
    "Adaptation", "DenoisedSeries", "DetectedLesions", "EvaluationReport", "ExplainedSeries", "Installation",
    "SimilarPlaces", "SimulatedSeries", "TrainingRun", "Volume", "__version__", "adapt", "api", "denoise", "detect",
    "errors", "evaluate", "explain", "info", "list_recipes", "load_model", "metrics", "objectives", "read",
    "similar_places", "simulate_dose", "simulate_phantom", "train",
]  # fmt: skip


_exported, __dir__ = lazy_exports(globals(), {"lowdose.api": {*__all__} - {*_MODULES, "__version__"}})


def __getattr__(name: str) -> Any:
    """Import what is exported when it is first asked for."""
    return import_module(f"lowdose.{name}") if name in _MODULES else _exported(name)
