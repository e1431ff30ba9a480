"""Interface of a training method: which modules are trained, by which loss terms, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.phases import Phase

B = TypeVar("B", bound=tuple[Tensor, ...])
"""Type of a batch: a NamedTuple of tensors, see ``lowdose.batch``."""


class Update(NamedTuple):
    """One optimiser step of one module.

    Attributes
    ----------
    module : str
        Name in ``Method.trained_modules`` of the module that is updated.
    terms : Mapping[str, Tensor]
        Weighted scalar loss terms by name. Their sum is minimised, and each is logged under its name.
    reset_optimiser : bool
        Whether the weights were just set by other means than the optimiser. The state of the optimiser and the moving
        average of the weights are then out of date, and are reset before the step.
    """

    module: str
    terms: Mapping[str, Tensor]
    reset_optimiser: bool = False


class Method(nn.Module, ABC, Generic[B]):
    """A way to train ``model``: it yields losses, while the trainer owns optimisers and gradients.

    A count of steps, or anything else that changes in training, is a buffer of the method (``register_buffer``), which
    is saved and resumed.

    Attributes
    ----------
    accumulates : bool
        Whether gradients may be accumulated over parts of a batch: true if every term is a mean over the images of the
        batch and depends on nothing else of it, so that the gradient of a batch is the mean of those of its parts.
    makes_low_dose : bool
        Whether low dose is made from full dose here, so that single scans of normal dose (``--pairing none``) will do.
    held_out_patches : int
        Patches of patients held out, with lesions, that ``held_out_figures`` wants at each validation.
    """

    accumulates: ClassVar[bool] = False
    makes_low_dose: ClassVar[bool] = False
    held_out_patches: ClassVar[int] = 0

    @property
    def fields(self) -> Sequence[str]:
        """Names of the fields of ``lowdose.batch.PairedBatch`` that a batch must have; ``number`` it has always."""
        return ("low", "full", "dose")

    @property
    def neighbours(self) -> int:
        """Slices on each side that images of a batch must have as context, where a denoiser sees fewer."""
        return 0

    phase: str = ""
    """Name of the phase that the training is in; the trainer sets it before every step."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The network that the training is for: its weights are averaged over time, validated and exported."""

    @abstractmethod
    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return by name the modules that are trained, each with an optimiser of its own."""

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return by name how trained modules are optimised; the hyperparameters of the run apply to those left out."""
        return {}

    def phases(self) -> Sequence[Phase]:
        """Return the phases of the training, one after the other; none = it is one."""
        return ()

    def checkpointed_modules(self) -> Mapping[str, nn.Module]:
        """Return by name the modules whose state a checkpoint holds.

        These are the trained modules and any that hold running statistics, but never a frozen network.
        """
        return self.trained_modules()

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Return by name the modules that are worth keeping beside the model, such as a critic or a noise model.

        Each is written as NAME.safetensors when the model is, and ``--start`` takes it. None is called 'model'.
        """
        return {}

    def own_state(self) -> dict[str, Tensor]:
        """Return the method's own buffers by name, which a checkpoint holds too; not those of the modules in it."""
        return {name: value for name, value in self.state_dict().items() if "." not in name}

    def fingerprint(self) -> Mapping[str, object]:
        """Return by name what determines the updates besides hyperparameters, such as the hash of a frozen network.

        A run can only be resumed with the same fingerprint.
        """
        return {}

    def extra_metrics(self) -> Mapping[str, float]:
        """Return metrics to log besides the losses.

        Raises TrainingDiverged when the training can no longer succeed.
        """
        return {}

    def held_out_figures(self, batches: Iterator[B]) -> Mapping[str, float]:
        """Return figures to log of patients held out; each begins with 'validation/'."""
        return {}

    def finished(self, figures: Mapping[str, float]) -> bool:
        """Return whether the training shall end, given those of a validation; called once after each."""
        return False

    @abstractmethod
    def updates(self, batch: B) -> Iterator[Update]:
        """Yield the updates for one batch; when the generator is resumed, the yielded update has been made."""
