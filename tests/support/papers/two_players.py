"""A toy paper: a denoiser and a critic with an optimiser each, looking with a frozen filter of a kind of its own."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.supervised import denoise_batch
from lowdose.network_spec import NetworkSpec, register_network
from lowdose.networks.denoiser import Denoiser
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe

FILTERS = {"edges": [-1.0, 2.0, -1.0], "means": [0.25, 0.5, 0.25]}


@register_network("toy_player")
class ToyPlayer(nn.Module):
    """One convolution that predicts the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised image."""
        return x - self.noise(x)


class TwoPlayers(Method[PairedBatch]):
    """Least squares between a critic, with two turns a step, and a denoiser, with one in every second step."""

    turn: Tensor

    def __init__(self, denoiser: Denoiser, taps: list[float], kind: str) -> None:
        super().__init__()
        self.denoiser, self.kind = denoiser, kind
        self.critic = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.ReLU(), nn.Conv2d(2, 1, 3))
        self.taps = torch.tensor(taps)[None, None, None]
        self.register_buffer("turn", torch.tensor(0))

    @property
    def model(self) -> nn.Module:
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser, "critic": self.critic}

    def artefacts(self) -> Mapping[str, nn.Module]:
        return {"critic": self.critic}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        return {"critic": OptimiserSettings("sgd", learning_rate=0.01, betas=(0.5, 0.0), ema=0.5)}

    def fingerprint(self) -> Mapping[str, object]:
        return {"filter": self.kind}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        self.turn += 1
        for _ in range(2):
            with torch.no_grad():
                fake, _, real = (self._seen(image) for image in denoise_batch(self.denoiser, batch))
            judged = (self.critic(real) - 1).square().mean() + self.critic(fake).square().mean()
            yield Update("critic", {"least_squares": judged})
        if int(self.turn) % 2 == 0:
            fake = self._seen(denoise_batch(self.denoiser, batch)[0])
            yield Update("denoiser", {"adversarial": (self.critic(fake) - 1).square().mean()})

    def _seen(self, image: Tensor) -> Tensor:
        return nn.functional.conv2d(OBJECTIVE.encode(image), self.taps)


def _method(denoiser: Denoiser, _: DenoiserHyperparameters, teachers: Mapping[str, str]) -> TwoPlayers:
    name = teachers["filter"]
    if name not in FILTERS:
        raise InvalidSetting(f"filter '{name}' is not known; known are {', '.join(FILTERS)}")
    return TwoPlayers(denoiser, FILTERS[name], name)


RECIPE = DenoiserRecipe("none: a toy", NetworkSpec("toy_player"), _method, teachers={"filter": "edges"})
