"""Everything a training run needs: structure is code, numbers can be set from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace

from lowdose.data.patches import Augmentation
from lowdose.data.simulated import Doses
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.methods.base import Method
from lowdose.networks.denoiser import Denoiser
from lowdose.spec import Number, Spec

SMALL, LARGE = 1e-12, 1e12
LIMITS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("steps", "batch", "validate_every", "checkpoint_every"), (1, LARGE)),
    "patch": (8, 4096),
    **dict.fromkeys(("learning_rate", "clip", "cutoff_low", "cutoff_high"), (SMALL, LARGE)),
    **dict.fromkeys(("final_learning_rate", "weight_decay", "warmup", "seed", "gain_low", "gain_high"), (0, LARGE)),
    **dict.fromkeys(("beta1", "beta2", "ema"), (0, 1 - SMALL)),
    "validation_patients": (-1, LARGE),
    **dict.fromkeys(("dose_low", "dose_high"), (0.005, 1)),
    **dict.fromkeys(("flux_low", "flux_high"), (0.1, 10)),
    "full_dose_share": (0, 1),
    "realisations": (1, 16),
    "bank_slices": (0, LARGE),
}
"""Closed range of each number; NaN lies in none."""

OF_PAIRING = {
    **dict.fromkeys(("gain_low", "gain_high"), "folders"),
    **dict.fromkeys(
        ("dose_low", "dose_high", "flux_low", "flux_high", "full_dose_share", "realisations", "bank_slices"),
        "simulated",
    ),
}
"""Numbers that mean something with one pairing only."""


@dataclass(frozen=True)
class Numbers:
    """The numbers of a run. batch is per process; learning rate falls by a cosine to final_learning_rate.

    validation_patients: whole patients held out, -1 = one in five, at least one where there are two or more.
    cutoff_low, cutoff_high, gain_low, gain_high: of ``Augmentation``. dose_low, dose_high, full_dose_share, flux_low,
    flux_high: of ``Doses``. realisations: of noise, for each slice and each of two doses. bank_slices: the most slices
    to simulate the noise of, 0 = all.
    """

    steps: int = 2500
    batch: int = 16
    patch: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 1e-9
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    validation_patients: int = -1
    validate_every: int = 500
    checkpoint_every: int = 250
    cutoff_low: float = 0.7
    cutoff_high: float = 1.9
    gain_low: float = 0.5
    gain_high: float = 1.2
    dose_low: float = 0.05
    dose_high: float = 1.0
    full_dose_share: float = 0.05
    flux_low: float = 0.5
    flux_high: float = 2.0
    realisations: int = 2
    bank_slices: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidSetting(f"{name}={value}: must be from {low:g} to {high:g}")
        for name in ("cutoff", "gain", "dose", "flux"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise InvalidSetting(f"{name}_low={low}: must not be above {name}_high={high}")

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.cutoff_low, self.cutoff_high, self.gain_low, self.gain_high)

    @property
    def doses(self) -> Doses:
        return Doses(self.dose_low, self.dose_high, self.full_dose_share, self.flux_low, self.flux_high)

    def changed(self, settings: Mapping[str, str]) -> Numbers:
        """With numbers given as text. Raises InvalidSetting for an unknown name or a value that is no number."""
        kinds = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        values: dict[str, int | float] = {}
        for name, text in settings.items():
            if name not in kinds:
                raise InvalidSetting(f"no setting '{name}'; there are {', '.join(sorted(kinds))}")
            try:
                values[name] = kinds[name](text)
            except ValueError:
                kind = "whole number" if kinds[name] is int else "number"
                raise InvalidSetting(f"{name}={text}: not a {kind}") from None
        return replace(self, **values)  # type: ignore[arg-type]  # names and types are checked just above

    def of_pairing(self, pairing: str) -> dict[str, Number]:
        """Those that mean something with this pairing."""
        return {name: value for name, value in asdict(self).items() if OF_PAIRING.get(name, pairing) == pairing}


@dataclass(frozen=True)
class Recipe:
    """A published (or own) way to train: ``paper`` says which, ``method`` turns a denoiser into its training."""

    paper: str
    network: Spec
    method: Callable[[Denoiser], Method]
    scale: Scale = field(default_factory=Scale)
    numbers: Numbers = field(default_factory=Numbers)
