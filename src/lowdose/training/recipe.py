"""Recipes of denoisers, with the hyperparameters that the command line can change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from lowdose.data.augmentation import Augmentation
from lowdose.data.simulated import DoseDistribution
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.methods.base import Method
from lowdose.methods.supervised import Supervised
from lowdose.network_spec import NetworkSpec, Number
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.phantom.lesion_kinds import LARGEST_MM, SMALLEST_MM
from lowdose.physics.scanner import MAX_COUNT_FLOOR
from lowdose.training.adversary import Adversary
from lowdose.training.hyperparameters import LARGE, SMALL, Hyperparameters, Limits

NOISY = LEARNED, GAUSSIAN, POISSON = "learned-noise", "gaussian-noise", "poisson-noise"
"""Pairings that add noise to scans of normal dose."""
PAIRINGS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("gain_low", "gain_high"), ("folders", *NOISY)),
    **dict.fromkeys(
        ("kernel_conversion_share", "cutoff_low", "cutoff_high", "pixel_low", "pixel_high"),
        ("folders", "simulated", "none", GAUSSIAN, POISSON),
    ),
    **dict.fromkeys(
        (
            "dose_low",
            "dose_high",
            "flux_low",
            "flux_high",
            "full_dose_share",
            "realisations",
            "bank_slices",
            "count_floor",
        ),
        ("simulated",),
    ),
}
"""Hyperparameters that have an effect with some pairings only, and the names of those."""


@dataclass(frozen=True)
class DenoiserHyperparameters(Hyperparameters):
    """Hyperparameters of a denoiser's training.

    Attributes
    ----------
    patch : int
        Height and width of the training patches, in pixels.
    validation_patients : int
        Whole patients that are held out; -1 = one in five, and at least one where there are two or more.
    kernel_conversion_share, cutoff_low, cutoff_high, pixel_low, pixel_high, gain_low, gain_high : float
        Augmentation, see ``data.patches.Augmentation``: share of the patches that are converted to another kernel, and
        of those converted to another pixel size; ranges of cut-off frequencies in 1/mm, of pixel sizes in mm, and of
        factors on the noise.
    dose_low, dose_high, full_dose_share, flux_low, flux_high : float
        Simulated doses, see ``data.simulated.DoseDistribution``: dose fractions, share of the patches at full dose, and
        factors on the photon number.
    realisations : int
        Noise realisations that are simulated for each slice at each of two doses.
    bank_slices : int
        Most slices whose noise is simulated; 0 = all.
    lesion_share : float
        Share of the patches into which a faint lesion is inserted where there is room, see ``data.patch_lesions``.
    lesion_smallest_mm, lesion_largest_mm : float
        Range of the diameters of these lesions, mm.
    local_means_px : float
        Standard deviation, in pixels, of the Gaussian whose local means the model keeps when it is applied; 0 = none,
        -1 = what is usual, see ``networks.denoiser.Denoiser``. It is no part of the loss.
    count_floor : float
        Count floor of the simulated scanners in photons, which gives the dark bands of few photons, see
        ``physics.scanner.Scanner``; 0 = none.
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
    lesion_share: float = 0.0
    lesion_smallest_mm: float = SMALLEST_MM
    lesion_largest_mm: float = LARGEST_MM
    local_means_px: float = -1.0
    count_floor: float = 0.0

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
        "lesion_share": (0, 1),
        **dict.fromkeys(("lesion_smallest_mm", "lesion_largest_mm"), (1, 100)),
        "local_means_px": (-1, 64),
        "count_floor": (0, MAX_COUNT_FLOOR),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cutoff", "pixel", "gain", "dose", "flux"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise InvalidSetting(f"{name}_low={low}: must not be above {name}_high={high}")
        if self.lesion_smallest_mm > self.lesion_largest_mm:
            raise InvalidSetting(
                f"lesion_smallest_mm={self.lesion_smallest_mm:g}: must not be above "
                f"lesion_largest_mm={self.lesion_largest_mm:g}"
            )
        if -1 < self.local_means_px < 0:
            raise InvalidSetting(f"local_means_px={self.local_means_px}: must be 0 or more pixels, or -1 for the usual")

    @property
    def lesion_diameters_mm(self) -> tuple[float, float]:
        """Diameters of the smallest and the largest lesion that is inserted, mm."""
        return self.lesion_smallest_mm, self.lesion_largest_mm

    @property
    def stated_means_px(self) -> float | None:
        """Width of the local means that the model is to keep; None = what is usual."""
        return self.local_means_px if self.local_means_px >= 0 else None

    @property
    def augmentation(self) -> Augmentation:
        """Augmentation of the training patches."""
        return Augmentation(
            self.cutoff_low, self.cutoff_high, self.gain_low, self.gain_high, self.pixel_low, self.pixel_high,
            self.kernel_conversion_share,
        )  # fmt: skip

    @property
    def doses(self) -> DoseDistribution:
        """Distribution of the simulated doses."""
        return DoseDistribution(self.dose_low, self.dose_high, self.full_dose_share, self.flux_low, self.flux_high)

    def relevant_to(self, pairing: str) -> dict[str, Number]:
        """Return by name the hyperparameters that have an effect with this pairing."""
        return {name: value for name, value in asdict(self).items() if pairing in PAIRINGS_OF.get(name, (pairing,))}


@dataclass(frozen=True)
class DenoiserRecipe:
    """How a denoiser is trained, in a published way or in the project's own.

    Attributes
    ----------
    paper : str
        The publication that the recipe follows.
    network : NetworkSpec
        Network to train.
    method : Callable[[Denoiser, DenoiserHyperparameters, Mapping[str, str]], Method]
        Makes the training method of a denoiser. The mapping is ``teachers``, with the names that the user chose.
    scale : Scale
        Map between HU and the values that the network sees.
    hyperparameters : DenoiserHyperparameters
        Default hyperparameters, which the command line can change.
    teachers : Mapping[str, str]
        Frozen networks that the method looks with: default name by kind, see ``training.teachers``. A kind that is the
        recipe's own is loaded by ``method``. What identifies their weights belongs into ``Method.fingerprint``.
    accepts_any_network : bool
        Whether ``network`` and ``scale`` are only defaults, instead of an essential part of the recipe.
    around : Callable[[DenoiserRecipe], DenoiserRecipe] or None
        Of a recipe that trains another one's denoiser together with something else: makes it of that other recipe,
        which the user chooses.
    base : str or None
        Name of the other recipe that it was made of.
    adversary : Adversary or None
        Discriminator in place of the method's own, or beside a loss that has none; the user chooses it.
    needs_dose : bool
        Whether low dose must be known as a fraction of full dose, as it is for simulated pairs only.
    learns_from_boxes : bool
        Whether the method looks at boxes of lesions, so that annotated findings can be given.
    pairing : str
        Name of the pairing that is used where the user names none, see ``training.pairing_registry``.
    remarks : Callable[[Method, Mapping[str, str]], Sequence[str]]
        Returns what to say of the chosen teachers before the training begins; takes the method that was made, with what
        it loaded of them, and ``teachers``.
    """

    paper: str
    network: NetworkSpec
    method: Callable[[Denoiser, Any, Mapping[str, str]], Method[Any]]
    scale: Scale = field(default_factory=Scale)
    hyperparameters: DenoiserHyperparameters = field(default_factory=DenoiserHyperparameters)
    teachers: Mapping[str, str] = field(default_factory=dict)
    accepts_any_network: bool = False
    around: Callable[[DenoiserRecipe], DenoiserRecipe] | None = None
    base: str | None = None
    adversary: Adversary | None = None
    needs_dose: bool = False
    learns_from_boxes: bool = False
    pairing: str = "folders"
    remarks: Callable[[Method[Any], Mapping[str, str]], Sequence[str]] = lambda _, __: ()

    @property
    def context(self) -> int:
        """Number of neighbours that the network sees on each side of a slice."""
        return int(self.network.settings.get("slices", 1)) // 2


def supervised(denoiser: Denoiser, objective: Objective, patch: int) -> Supervised:
    """Make supervised training with ``objective``; raises InvalidSetting for patches that are too small for it."""
    check_patch(patch, objective)
    return Supervised(denoiser, objective)


def check_patch(patch: int, objective: Objective) -> None:
    """Raise InvalidSetting for patches that are too small for an objective."""
    if patch < objective.smallest:
        raise InvalidSetting(
            f"patch={patch}: the objective needs at least {objective.smallest} pixels a side; take patch="
            f"{objective.smallest} or more"
        )
