"""Adversarial training of a denoiser with a discriminator that knows the anatomy of the full-dose image (ALDEN)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.supervised import denoise_batch
from lowdose.networks.anatomy_discriminator import ARTEFACT, UNIT, AnatomyDiscriminator
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.discriminator import hinge
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.semantic import semantic_maps
from lowdose.objectives.base import Objective


class AnatomyAwareGAN(Method[PairedBatch]):
    """Training of any denoiser against a discriminator that judges each place by what tissue it is.

    In every step the discriminator has a turn and then the denoiser, both with the hinge loss. Real and denoised images
    are judged with the same semantic maps, those of the full-dose image, which inference does not need.

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train.
    discriminator : AnatomyDiscriminator
        Judges images in ``anatomy_discriminator.UNIT``; without semantic maps it is an ordinary PatchGAN.
    features : FrozenFeatures
        Pretrained vision model that makes the semantic maps; never trained.
    source : str
        Identifies the features in ``fingerprint``.
    content : Objective
        What the denoiser is trained with besides the discriminator's judgement; it sees the low-dose image too.
    adversarial_weight : float
        Weight of that judgement.
    learning_rate : float
        Learning rate of the discriminator.
    content_unit : Scale
        Unit of the images that ``content`` compares; objectives that look with a network need the usual one.
    """

    def __init__(
        self, denoiser: Denoiser, discriminator: AnatomyDiscriminator, features: FrozenFeatures, source: str,
        content: Objective, adversarial_weight: float, learning_rate: float, content_unit: Scale = OBJECTIVE,
    ) -> None:  # fmt: skip
        super().__init__()
        self.denoiser, self.discriminator, self.features, self.content = denoiser, discriminator, features, content
        self.source, self.adversarial_weight, self._learning_rate = source, adversarial_weight, learning_rate
        self.content_unit = content_unit

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser and the discriminator by name."""
        return {"denoiser": self.denoiser, "discriminator": self.discriminator}

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Return the discriminator, whose attention can be looked at."""
        return {ARTEFACT: self.discriminator}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return Adam for both, with a learning rate of its own for the discriminator."""
        return {"denoiser": OptimiserSettings("adam"), "discriminator": OptimiserSettings("adam", self._learning_rate)}

    def fingerprint(self) -> Mapping[str, object]:
        """Return the fingerprint of the objective, and the features."""
        return {**self.content.fingerprint(), "features": self.source}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield an update of the discriminator, then one of the denoiser."""
        denoised, low, full = denoise_batch(self.denoiser, batch)
        semantic = self.semantic(OBJECTIVE.encode(full))
        real, fake = (UNIT.encode(image) for image in (full, denoised))
        both = self.discriminator(torch.cat([real, fake.detach()]), [torch.cat([map_, map_]) for map_ in semantic])
        yield Update("discriminator", {"hinge": hinge(*both.float().chunk(2))})
        self.discriminator.eval()  # or the estimates of its spectral norms would change in a turn that is not its own
        judged = self.discriminator(fake, semantic).float()
        self.discriminator.train()
        terms = {"adversarial": -self.adversarial_weight * judged.mean()}
        content = self.content.terms_with_low_dose(
            *(self.content_unit.encode(image) for image in (denoised, full, low))
        )
        yield Update("denoiser", {**content, **terms})

    @torch.no_grad()
    def semantic(self, full: Tensor) -> Sequence[Tensor]:
        """Return the semantic maps that the discriminator fuses, of images in the unit of objectives."""
        return semantic_maps(self.features, full) if self.discriminator.fusions else []
