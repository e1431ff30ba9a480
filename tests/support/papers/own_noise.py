"""A toy paper: a pairing of its own, which adds noise to single scans, and a method that asks for two fields only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.data.patches import Patches
from lowdose.methods.base import Method, Update
from lowdose.network_spec import NetworkSpec, register_network
from lowdose.networks.denoiser import Denoiser
from lowdose.training.pairing import NoPairing, Pairing
from lowdose.training.pairing_registry import PairingOptions, register_pairing
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@register_network("toy_mean")
class ToyMean(nn.Module):
    """One convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised image."""
        return self.mean(x)


class Noisier:
    """Patch sources whose low-dose image has noise of 20 HU more."""

    def __init__(self, sources: Any) -> None:
        self.items, self.complete, self._sources = sources.items, sources.complete, sources

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return NoisierSource(self._sources[index])


class NoisierSource:
    """One of them."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def crop(self, window: Any, rng: np.random.Generator) -> Any:
        pair = self._source.crop(window, rng)
        return pair._replace(low=pair.full + rng.normal(0, 20, pair.full.shape).astype(np.float32))


class NoisierPairing(NoPairing):
    """Single scans, with noise on top as low dose."""

    name, paired = "noisier", True

    def patches(self, *arguments: Any) -> Patches:
        made = super().patches(*arguments)
        made.slices, made.augmentation = Noisier(made.slices), replace(made.augmentation, gain_low=1.0, gain_high=1.0)
        return made


@register_pairing("noisier")
def _noisier(options: PairingOptions) -> Pairing:
    return NoisierPairing()


class Noisier2Noise(Method[PairedBatch]):
    """Mean squared error against the scan itself."""

    @property
    def fields(self) -> Sequence[str]:
        return ("low", "full")

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    @property
    def model(self) -> nn.Module:
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        scale = self.denoiser.scale
        error = self.denoiser(scale.encode(batch.low)) - scale.encode(batch.full)
        yield Update("denoiser", {"mse": error.square().mean()})


def _method(denoiser: Denoiser, _: DenoiserHyperparameters, __: Mapping[str, str]) -> Noisier2Noise:
    return Noisier2Noise(denoiser)


RECIPE = DenoiserRecipe("none: a toy", NetworkSpec("toy_mean"), _method)
