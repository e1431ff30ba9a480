"""Adversarial training of a denoiser with one critic: order of turns, and what both sides see."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.supervised import denoise_batch
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.full_precision import full_precision
from lowdose.objectives.base import Objective


class CriticGAN(Method[PairedBatch]):
    """Training of any denoiser against a critic that tells denoised from full-dose images.

    The critic has a turn in every step, on the step's own batch; the denoiser has one in every ``critic_turns``-th. The
    critic computes in float32 whatever the precision of the run. A subclass says what each side learns from scores.

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train.
    critic : nn.Module
        Maps images (B, 1, H, W), in ``unit``, to scores (B, 1); without batch normalisation.
    content : Objective or None
        What the denoiser is trained with besides the critic's score.
    critic_turns : int
        Turns of the critic for each of the denoiser.
    unit : Scale
        Unit of the images that critic and objective see; objectives that look with a network need the usual one.
    """

    turn: Tensor

    def __init__(
        self, denoiser: Denoiser, critic: nn.Module, content: Objective | None, critic_turns: int,
        unit: Scale = OBJECTIVE,
    ) -> None:  # fmt: skip
        super().__init__()
        self.denoiser, self.critic, self.content = denoiser, critic, content
        self.critic_turns, self.unit = critic_turns, unit
        self.register_buffer("turn", torch.tensor(0))

    @abstractmethod
    def critic_terms(self, real: Tensor, fake: Tensor, number: Tensor) -> Mapping[str, Tensor]:
        """Return the weighted terms that the critic learns from, of images (B, 1, H, W) as it sees them.

        number: (B,), number of each sample in the training, on which alone random draws depend.
        """

    @abstractmethod
    def adversarial(self, scores: Tensor) -> Tensor:
        """Return what the denoiser learns from the scores (B, 1) of denoised images, a weighted scalar."""

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser and the critic by name."""
        return {"denoiser": self.denoiser, "critic": self.critic}

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Return the critic, with which another training can start."""
        return {"critic": self.critic}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return Adam for both."""
        return dict.fromkeys(self.trained_modules(), OptimiserSettings("adam"))

    def fingerprint(self) -> Mapping[str, object]:
        """Return the fingerprint of the objective."""
        return self.content.fingerprint() if self.content else {}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield an update of the critic and, in every ``critic_turns``-th step, one of the denoiser."""
        self.turn += 1
        with torch.no_grad():
            fake, _, full = denoise_batch(self.denoiser, batch)
        real = self.unit.encode(full)
        with full_precision(real):
            terms = self.critic_terms(real, self.unit.encode(fake), batch.number)
        yield Update("critic", terms)
        if int(self.turn) % self.critic_turns == 0:
            denoised, low, full = (self.unit.encode(image) for image in denoise_batch(self.denoiser, batch))
            with full_precision(real):
                judged = {"adversarial": self.adversarial(self.critic(denoised))}
            yield Update("denoiser", {**judged, **self.content_terms(denoised, low, full, batch)})

    def content_terms(self, denoised: Tensor, low: Tensor, full: Tensor, batch: PairedBatch) -> Mapping[str, Tensor]:
        """Return what the denoiser learns from besides the critic; here the terms of ``content``.

        Images are (B, 1, H, W), in ``unit``; ``batch`` is what they were made of.
        """
        return self.content.terms_with_low_dose(denoised, full, low) if self.content else {}
