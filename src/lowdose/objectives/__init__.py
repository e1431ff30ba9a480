"""Training objectives (loss functions) for denoisers and for the anatomy network.

An objective compares a prediction with its target, images of shape (B, 1, H, W) in which [-1000, 2000] HU is [0, 1].
Objectives add and scale: ``MSE() + 0.1 * Perceptual(features)``. Names are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowdose.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from lowdose.objectives.base import Objective, Sum
    from lowdose.objectives.leda import Leda
    from lowdose.objectives.lesion_contrast import lesion_contrast_terms
    from lowdose.objectives.local_texture import LocalTexture
    from lowdose.objectives.noise_invariance import noise_realisation_ratio
    from lowdose.objectives.perceptual import Perceptual
    from lowdose.objectives.pixel import L1, MSE
    from lowdose.objectives.segmentation import segmentation_terms
    from lowdose.objectives.semantic_contrast import SemanticContrast
    from lowdose.objectives.spectrum import NoisePowerSpectrumLoss
    from lowdose.objectives.structural_similarity import MultiScaleStructuralSimilarity, StructuralSimilarity
    from lowdose.objectives.token_entropy import unused_entropy
    from lowdose.objectives.wasserstein import gradient_penalty

__all__ = [
    "L1",
    "MSE",
    "Leda",
    "LocalTexture",
    "MultiScaleStructuralSimilarity",
    "NoisePowerSpectrumLoss",
    "Objective",
    "Perceptual",
    "SemanticContrast",
    "StructuralSimilarity",
    "Sum",
    "gradient_penalty",
    "lesion_contrast_terms",
    "noise_realisation_ratio",
    "segmentation_terms",
    "unused_entropy",
]

__getattr__, __dir__ = lazy_exports(
    globals(),
    {
        "lowdose.objectives.base": ("Objective", "Sum"),
        "lowdose.objectives.leda": ("Leda",),
        "lowdose.objectives.lesion_contrast": ("lesion_contrast_terms",),
        "lowdose.objectives.local_texture": ("LocalTexture",),
        "lowdose.objectives.noise_invariance": ("noise_realisation_ratio",),
        "lowdose.objectives.perceptual": ("Perceptual",),
        "lowdose.objectives.pixel": ("L1", "MSE"),
        "lowdose.objectives.segmentation": ("segmentation_terms",),
        "lowdose.objectives.semantic_contrast": ("SemanticContrast",),
        "lowdose.objectives.spectrum": ("NoisePowerSpectrumLoss",),
        "lowdose.objectives.structural_similarity": ("MultiScaleStructuralSimilarity", "StructuralSimilarity"),
        "lowdose.objectives.token_entropy": ("unused_entropy",),
        "lowdose.objectives.wasserstein": ("gradient_penalty",),
    },
)
