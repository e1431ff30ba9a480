"""The Python interface: one function a task, with the options of the command line as keyword arguments.

Everything here is exported by `lowdose` itself. The command line and the archive workers call these functions only.
The module of a function is imported when the function is first used, so that training needs no package that only
reading a series or writing a report does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowdose.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from lowdose.api.adaptation import Adaptation, adapt
    from lowdose.api.denoised_series import DenoisedSeries
    from lowdose.api.denoising import denoise
    from lowdose.api.detected_lesions import DetectedLesions
    from lowdose.api.detection import detect
    from lowdose.api.evaluation import evaluate
    from lowdose.api.evaluation_report import EvaluationReport
    from lowdose.api.explanation import ExplainedSeries, explain
    from lowdose.api.installation import Installation, info
    from lowdose.api.reading import load_model, read
    from lowdose.api.similarity import SimilarPlaces, similar_places
    from lowdose.api.simulated_series import SimulatedSeries
    from lowdose.api.simulation import simulate_dose, simulate_phantom
    from lowdose.api.training import list_recipes, train
    from lowdose.api.training_run import TrainingRun
    from lowdose.volume import Volume

__all__ = [
    "Adaptation", "DenoisedSeries", "DetectedLesions", "EvaluationReport", "ExplainedSeries", "Installation",
    "SimilarPlaces", "SimulatedSeries", "TrainingRun", "Volume", "adapt", "denoise", "detect", "evaluate",
    "explain", "info", "list_recipes", "load_model", "read", "similar_places", "simulate_dose", "simulate_phantom",
    "train",
]  # fmt: skip

__getattr__, __dir__ = lazy_exports(
    globals(),
    {
        "lowdose.api.adaptation": ("Adaptation", "adapt"),
        "lowdose.api.denoised_series": ("DenoisedSeries",),
        "lowdose.api.denoising": ("denoise",),
        "lowdose.api.detected_lesions": ("DetectedLesions",),
        "lowdose.api.detection": ("detect",),
        "lowdose.api.evaluation": ("evaluate",),
        "lowdose.api.evaluation_report": ("EvaluationReport",),
        "lowdose.api.explanation": ("ExplainedSeries", "explain"),
        "lowdose.api.installation": ("Installation", "info"),
        "lowdose.api.reading": ("load_model", "read"),
        "lowdose.api.similarity": ("SimilarPlaces", "similar_places"),
        "lowdose.api.simulated_series": ("SimulatedSeries",),
        "lowdose.api.simulation": ("simulate_dose", "simulate_phantom"),
        "lowdose.api.training": ("list_recipes", "train"),
        "lowdose.api.training_run": ("TrainingRun",),
        "lowdose.volume": ("Volume",),
    },
)
