"""Everything a training run needs: structure is code, numbers can be set from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace

from lowdose.data.patches import Augmentation
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.methods.base import Method
from lowdose.networks.denoiser import Denoiser
from lowdose.spec import Number, Spec


@dataclass(frozen=True)
class Numbers:
    """The numbers of a run. batch is per process; learning rate falls by a cosine to final_learning_rate.

    validation_patients: whole patients held out, -1 = one in five, at least one where there are two or more.
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

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "patch", "learning_rate", "validate_every", "checkpoint_every"):
            if getattr(self, name) <= 0:
                raise InvalidSetting(f"{name}={getattr(self, name)}: must be positive")

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.cutoff_low, self.cutoff_high, self.gain_low, self.gain_high)

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
                raise InvalidSetting(f"{name}={text}: not a {kinds[name].__name__}") from None
        return replace(self, **values)  # type: ignore[arg-type]  # names and types are checked just above

    def to_dict(self) -> dict[str, Number]:
        return asdict(self)


@dataclass(frozen=True)
class Recipe:
    """A published (or own) way to train: ``paper`` says which, ``method`` turns a denoiser into its training."""

    paper: str
    network: Spec
    method: Callable[[Denoiser], Method]
    scale: Scale = field(default_factory=Scale)
    numbers: Numbers = field(default_factory=Numbers)
