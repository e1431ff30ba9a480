"""Training of a denoiser with anatomy-aware contrast (ASCON): patches that agree, pixels told from their neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.supervised import denoise_batch
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.mac_net import ARTEFACT, MACNet, predictor
from lowdose.objectives.base import Objective
from lowdose.objectives.info_nce import info_nce
from lowdose.objectives.similar_neighbours import features_at, most_similar
from lowdose.sample_draws import distinct_draws

PATCHES, PATCH_WINDOW, PATCH_NEIGHBOURS = 32, 3, 4
"""Places of the global map in each image, side of the window around each, and neighbours in it that are averaged."""
PIXELS, PIXEL_WINDOW, NEGATIVES = 512, 7, 24
"""Places of the local map in each image, side of the window around each, and negatives in it."""
MOMENTUM = 0.99
"""Decay per step of the moving average that the momentum network is."""


class AnatomicalContrast(Method[PairedBatch]):
    """Training of any denoiser with an objective, and with the contrast of features of denoised and full-dose images.

    MAC-Net sees the denoised image, a momentum network of the same kind the full-dose image. **Patches**: at places
    of the global map, the mean with the most similar neighbours is projected, and the prediction from the denoised
    image is to have the direction of the full-dose one. **Pixels**: at places of the local map, the projected feature
    of the denoised image is to be told by that of the full-dose image at the same place (InfoNCE), among those of its
    most similar neighbours. Which neighbours are similar is looked up in the maps of full dose.

    In each step MAC-Net is updated with the denoised image as it is, the momentum network follows, and then the
    denoiser is updated.

    Batch normalisation sees all samples of a process together, so two processes are not the same as one with twice the
    batch.

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train.
    width : int
        Width of MAC-Net, see ``networks.mac_net``.
    content : Objective
        Compares denoised and full-dose images.
    weight : float
        Weight of the contrast in the denoiser's loss: of the mean of patches and pixels.
    learning_rate : float
        Learning rate of MAC-Net.
    """

    def __init__(
        self, denoiser: Denoiser, width: int, content: Objective, weight: float, learning_rate: float
    ) -> None:  # fmt: skip
        super().__init__()
        self.denoiser, self.content, self.weight, self._learning_rate = denoiser, content, weight, learning_rate
        self.mac_net, self.predictor = MACNet(width), predictor(width)
        self._online = nn.ModuleDict({"mac_net": self.mac_net, "predictor": self.predictor})
        self.target = deepcopy(self.mac_net).requires_grad_(False)

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser and MAC-Net with its predictor by name."""
        return {"denoiser": self.denoiser, "mac_net": self._online}

    def checkpointed_modules(self) -> Mapping[str, nn.Module]:
        """Return the trained modules and the momentum network."""
        return {**self.trained_modules(), "target": self.target}

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Return MAC-Net, whose local map shows what it takes for similar (``lowdose explain --similarity``)."""
        return {ARTEFACT: self.mac_net}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return gradient descent without momentum for MAC-Net."""
        return {"mac_net": OptimiserSettings("sgd", self._learning_rate, (0.0, 0.0), weight_decay=0.0)}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield an update of MAC-Net, let the momentum network follow it, and yield one of the denoiser."""
        denoised, _, full = denoise_batch(self.denoiser, batch)
        denoised, full = OBJECTIVE.encode(denoised), OBJECTIVE.encode(full)
        terms = self.contrast(denoised.detach(), full, batch.number)
        yield Update("mac_net", {name: value / 2 for name, value in terms.items()})
        self._follow()
        with statistics_kept(self._online), statistics_kept(self.target):
            terms = self.contrast(denoised, full, batch.number)
        contrast = {name: self.weight * value / 2 for name, value in terms.items()}
        yield Update("denoiser", {**self.content.terms(denoised, full), **contrast})

    def contrast(self, denoised: Tensor, full: Tensor, number: Tensor) -> dict[str, Tensor]:
        """Return the contrast of patches and of pixels, scalars.

        Images are (B, 1, H, W), with [-1000, 2000] HU as [0, 1]. number: number of each sample in the training, which
        decides the places, (B,).
        """
        with torch.no_grad():
            wanted_global, wanted_local = self.target(full)
        found_global, found_local = self.mac_net(denoised)
        patches = _places(wanted_global, PATCHES, number)
        pixels = _places(wanted_local, PIXELS, number)
        with torch.no_grad():
            around = most_similar(wanted_global, patches, PATCH_WINDOW, PATCH_NEIGHBOURS)
            negatives = most_similar(wanted_local, pixels, PIXEL_WINDOW, NEGATIVES)
            wanted_patches = self.target.project_global(_mean_at(wanted_global, patches, around))
            wanted = _pixel_features(self.target, wanted_local, torch.cat([pixels[..., None], negatives], dim=2))
        found_patches = self.mac_net.project_global(_mean_at(found_global, patches, around))
        found = _pixel_features(self.mac_net, found_local, pixels[..., None])[:, 0]
        return {
            "patches": direction_error(self.predictor(found_patches), wanted_patches),
            "pixels": info_nce(found, wanted[:, 0], wanted[:, 1:]).mean(),
        }

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the momentum network follow MAC-Net's weights."""
        for ours, theirs in zip(self.target.parameters(), self.mac_net.parameters(), strict=True):
            ours.lerp_(theirs, 1 - MOMENTUM)


def direction_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean of 2 - 2 cos of the angles between features, (N, C) each; 0 where all have one direction."""
    found, wanted = (functional.normalize(features.float(), dim=1) for features in (found, wanted))
    return (2 - 2 * (found * wanted).sum(dim=1)).mean()


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Normalise by the batch without a change of the running statistics, in a turn that is not the module's own."""
    normalisations = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for part in normalisations:
        part.track_running_stats = False
    try:
        yield
    finally:
        for part in normalisations:
            part.track_running_stats = True


def _places(maps: Tensor, most: int, number: Tensor) -> Tensor:
    total = maps.shape[2] * maps.shape[3]
    return distinct_draws(number, min(most, total), total)


def _mean_at(maps: Tensor, places: Tensor, around: Tensor) -> Tensor:
    """Return the mean of the features at each place and around it, (B * N, C)."""
    return features_at(maps, torch.cat([places[..., None], around], dim=2)).mean(dim=2).flatten(0, 1)


def _pixel_features(network: MACNet, maps: Tensor, places: Tensor) -> Tensor:
    """Return the projected features of length 1 at places (B, N, K), as (B * N, K, C)."""
    return functional.normalize(network.project_local(features_at(maps, places).flatten(0, 1)).float(), dim=2)
