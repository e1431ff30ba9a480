"""Training objectives (loss functions) for denoisers and for the anatomy network.

An objective compares a prediction with its target, images of shape (B, 1, H, W) in which [-1000, 2000] HU is [0, 1].
Objectives add and scale: ``MSE() + 0.1 * Perceptual(features)``. Names are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowdose.objectives.base import Objective, Sum
    from lowdose.objectives.leda import Leda
    from lowdose.objectives.lesion_contrast import lesion_contrast_terms
    from lowdose.objectives.perceptual import Perceptual
    from lowdose.objectives.pixel import MSE
    from lowdose.objectives.segmentation import segmentation_terms
    from lowdose.objectives.spectrum import NoisePowerSpectrumLoss

__all__ = [
    "MSE",
    "Leda",
    "NoisePowerSpectrumLoss",
    "Objective",
    "Perceptual",
    "Sum",
    "lesion_contrast_terms",
    "segmentation_terms",
]

_MODULE_OF = {
    "MSE": "pixel",
    "Leda": "leda",
    "NoisePowerSpectrumLoss": "spectrum",
    "Objective": "base",
    "Perceptual": "perceptual",
    "Sum": "base",
    "lesion_contrast_terms": "lesion_contrast",
    "segmentation_terms": "segmentation",
}


def __getattr__(name: str) -> object:
    """Import an exported name from its module; raises AttributeError for any other name."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the exported names."""
    return list(__all__)
