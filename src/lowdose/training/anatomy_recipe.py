"""Recipes of the anatomy network, with the hyperparameters that the command line can change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from lowdose.data.transforms.intensity import RandomIntensity
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.errors import InvalidSetting
from lowdose.networks.anatomy import MULTIPLE
from lowdose.training.hyperparameters import LARGE, Hyperparameters, Limits


@dataclass(frozen=True)
class AnatomyHyperparameters(Hyperparameters):
    """Hyperparameters of the anatomy network's training.

    Attributes
    ----------
    size : int
        Height and width of the training slices, in pixels.
    patients : int
        Digital patients of ``PhantomDataset``.
    real_share : float
        Share of the slices that come from the labelled scans, where there are any.
    validation_patients : int
        Further digital patients for validation.
    """

    size: int = 352
    patients: int = 280
    real_share: float = 0.3
    validation_patients: int = 2

    LIMITS: ClassVar[Limits] = {
        **Hyperparameters.LIMITS,
        "size": (2 * MULTIPLE, 2048),
        "patients": (1, LARGE),
        "real_share": (0, 1),
        "validation_patients": (0, LARGE),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % MULTIPLE:
            raise InvalidSetting(f"size={self.size}: must be a multiple of {MULTIPLE}")


@dataclass(frozen=True)
class AnatomyRecipe:
    """How the anatomy network is trained.

    Attributes
    ----------
    paper : str
        The publication that the recipe follows.
    spatial : RandomElasticAffine
        Random deformation of the training slices.
    intensity : RandomIntensity
        Random change of their appearance.
    hyperparameters : AnatomyHyperparameters
        Default hyperparameters, which the command line can change.
    """

    paper: str
    spatial: RandomElasticAffine = field(default_factory=RandomElasticAffine)
    intensity: RandomIntensity = field(default_factory=RandomIntensity)
    hyperparameters: AnatomyHyperparameters = field(default_factory=AnatomyHyperparameters)
