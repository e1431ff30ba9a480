"""Everything a training run needs: structure is code, numbers can be set from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

from lowdose.data.patches import Augmentation
from lowdose.data.simulated import DoseDistribution
from lowdose.data.transforms.intensity import RandomIntensity
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.methods.base import Method
from lowdose.methods.supervised import Supervised
from lowdose.network_spec import NetworkSpec, Number
from lowdose.networks.anatomy import MULTIPLE
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.training.hyperparameters import LARGE, SMALL, Hyperparameters, Limits

PAIRING_OF = {
    **dict.fromkeys(("gain_low", "gain_high"), "folders"),
    **dict.fromkeys(
        ("dose_low", "dose_high", "flux_low", "flux_high", "full_dose_share", "realisations", "bank_slices"),
        "simulated",
    ),
}
"""Numbers that mean something with one pairing only."""


@dataclass(frozen=True)
class DenoiserHyperparameters(Hyperparameters):
    """The numbers of a denoiser's training.

    validation_patients: whole patients held out, -1 = one in five, at least one where there are two or more.
    kernel_conversion_share, cutoff_*, pixel_*, gain_*: of ``Augmentation``. dose_low, dose_high, full_dose_share, flux_low,
    flux_high: of ``DoseDistribution``. realisations: of noise, for each slice and each of two doses. bank_slices: the most slices
    to simulate the noise of, 0 = all.
    """

    patch: int = 64
    validation_patients: int = -1
    kernel_conversion_share: float = 0.5
    cutoff_low: float = 0.6
    cutoff_high: float = 2.2
    pixel_low: float = 0.35
    pixel_high: float = 0.98
    gain_low: float = 0.5
    gain_high: float = 1.2
    dose_low: float = 0.05
    dose_high: float = 1.0
    full_dose_share: float = 0.05
    flux_low: float = 0.5
    flux_high: float = 2.0
    realisations: int = 2
    bank_slices: int = 0

    LIMITS: ClassVar[Limits] = {
        **Hyperparameters.LIMITS,
        "patch": (8, 4096),
        **dict.fromkeys(("cutoff_low", "cutoff_high", "pixel_low", "pixel_high"), (SMALL, LARGE)),
        "kernel_conversion_share": (0, 1),
        **dict.fromkeys(("gain_low", "gain_high"), (0, LARGE)),
        "validation_patients": (-1, LARGE),
        **dict.fromkeys(("dose_low", "dose_high"), (0.005, 1)),
        **dict.fromkeys(("flux_low", "flux_high"), (0.1, 10)),
        "full_dose_share": (0, 1),
        "realisations": (1, 16),
        "bank_slices": (0, LARGE),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cutoff", "pixel", "gain", "dose", "flux"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise InvalidSetting(f"{name}_low={low}: must not be above {name}_high={high}")

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(
            self.cutoff_low, self.cutoff_high, self.gain_low, self.gain_high, self.pixel_low, self.pixel_high,
            self.kernel_conversion_share,
        )  # fmt: skip

    @property
    def doses(self) -> DoseDistribution:
        return DoseDistribution(self.dose_low, self.dose_high, self.full_dose_share, self.flux_low, self.flux_high)

    def relevant_to(self, pairing: str) -> dict[str, Number]:
        """Those that mean something with this pairing."""
        return {name: value for name, value in asdict(self).items() if PAIRING_OF.get(name, pairing) == pairing}


@dataclass(frozen=True)
class AnatomyHyperparameters(Hyperparameters):
    """The numbers of an anatomy network's training.

    size: side of the slices it sees, in pixels. patients: digital ones, of ``PhantomDataset``. real_share: of slices
    that come from the labelled scans, where there are any. validation_patients: digital ones besides, to be judged on.
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


class FrozenNetwork(NamedTuple):
    """A frozen network that an objective looks with: ``name`` or path, chosen by ``option`` of the command line."""

    option: str
    name: str


@dataclass(frozen=True)
class DenoiserRecipe:
    """A published (or own) way to train: ``paper`` says which.

    method(denoiser, numbers, teacher): turns a denoiser into its training; teacher is the name of that one, or ''
    where the recipe has none. any_network: ``network`` and ``scale`` are a choice, not what the recipe is about.
    needs_dose: it has to know low dose as a fraction of full dose, which only simulated pairs tell.
    """

    paper: str
    network: NetworkSpec
    method: Callable[[Denoiser, Any, str], Method[Any]]
    scale: Scale = field(default_factory=Scale)
    hyperparameters: DenoiserHyperparameters = field(default_factory=DenoiserHyperparameters)
    teacher: FrozenNetwork | None = None
    accepts_any_network: bool = False
    needs_dose: bool = False

    @property
    def context(self) -> int:
        """Neighbours that the network sees on each side of a slice."""
        return int(self.network.settings.get("slices", 1)) // 2


def supervised(denoiser: Denoiser, objective: Objective, patch: int) -> Supervised:
    """Learning from pairs by ``objective``. Raises InvalidSetting for patches that it cannot judge."""
    if patch < objective.smallest:
        raise InvalidSetting(
            f"patch={patch}: the objective needs at least {objective.smallest} pixels a side; take patch="
            f"{objective.smallest} or more"
        )
    return Supervised(denoiser, objective)


@dataclass(frozen=True)
class AnatomyRecipe:
    """How the anatomy network is trained: on slices bent and made to look as these two say."""

    paper: str
    spatial: RandomElasticAffine = field(default_factory=RandomElasticAffine)
    intensity: RandomIntensity = field(default_factory=RandomIntensity)
    hyperparameters: AnatomyHyperparameters = field(default_factory=AnatomyHyperparameters)
