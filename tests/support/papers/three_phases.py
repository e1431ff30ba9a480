"""A toy paper: a denoiser is pretrained, then a detector of edges learns, then both do, in one run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.methods.phases import Phase
from lowdose.methods.supervised import denoise_batch
from lowdose.network_spec import NetworkSpec, register_network
from lowdose.networks.denoiser import Denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@register_network("toy_residual")
class ToyResidual(nn.Module):
    """One convolution that predicts the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised image."""
        return x - self.noise(x)


@dataclass(frozen=True)
class ToyHyperparameters(DenoiserHyperparameters):
    """Hyperparameters with the lengths of the first phases, in steps."""

    pretraining: int = 2
    detection: int = 2

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("pretraining", "detection"), (0, LARGE)),
    }


class ThreePhases(Method[PairedBatch]):
    """MSE; then what the detector finds in full dose; then both, on denoised images."""

    def __init__(self, denoiser: Denoiser, hyperparameters: ToyHyperparameters) -> None:
        super().__init__()
        self.denoiser, self.detector = denoiser, nn.Conv2d(1, 1, 3, padding=1)
        self._steps = hyperparameters.pretraining, hyperparameters.detection

    @property
    def model(self) -> nn.Module:
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser, "detector": self.detector}

    def artefacts(self) -> Mapping[str, nn.Module]:
        return {"detector": self.detector}

    def phases(self) -> Sequence[Phase]:
        pretraining, detection = self._steps
        return (
            Phase("pretraining", pretraining, ("denoiser",)),
            Phase("detection", detection, ("detector",), learning_rate=0.01),
            Phase("joint", modules=("denoiser", "detector"), learning_rate=1e-4),
        )

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        denoised, _, full = (OBJECTIVE.encode(image) for image in denoise_batch(self.denoiser, batch))
        if self.phase == "pretraining":
            yield Update("denoiser", {"mse": (denoised - full).square().mean()})
            return
        seen = full if self.phase == "detection" else denoised.detach()
        yield Update("detector", {"edges": (self.detector(seen) - _edges(full)).square().mean()})
        if self.phase == "joint":
            found = (self.detector(denoised) - _edges(full)).square().mean()
            yield Update("denoiser", {"mse": (denoised - full).square().mean(), "edges": found})


def _edges(image: Tensor) -> Tensor:
    return image - nn.functional.avg_pool2d(image, 3, 1, 1)


def _method(denoiser: Denoiser, hyperparameters: ToyHyperparameters, _: Mapping[str, str]) -> ThreePhases:
    return ThreePhases(denoiser, hyperparameters)


RECIPE = DenoiserRecipe("none: a toy", NetworkSpec("toy_residual"), _method, hyperparameters=ToyHyperparameters())
