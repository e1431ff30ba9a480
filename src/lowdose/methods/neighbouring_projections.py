"""Training on projections of low dose alone: each is predicted from its neighbours in angle (Noise2NoiseTD)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.methods.base import Method, Update
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.full_precision import full_precision
from lowdose.networks.noise2noise_td import Noise2NoiseTD, around
from lowdose.physics.photon_counts import draw_counts
from lowdose.physics.scanner import Scanner
from lowdose.sample_draws import uniform_draws

LEAST_VARIANCE = 1e-20
"""Smallest variance of a transmission that the likelihood counts with."""


class NeighbouringProjections(Method[PairedBatch]):
    """Training of ``networks.noise2noise_td`` on projections of low dose alone.

    The likelihood of what was measured is maximised, under a normal distribution with the variances of the prediction
    and of the noise model. What was measured is no input of its own prediction, so that noise cannot be copied, as
    long as it is independent in projections ``Noise2NoiseTD.step`` apart.

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train; it is marked as one that estimates the noise-free image.
    photons : float
        Photons of each ray through air that are drawn, for slices of normal dose; 0 = the noise of the slices
        themselves is learned, for slices of low dose.
    crop : int
        Projections and detector columns of a window.
    windows : int
        Windows of each slice of a batch, since to project a slice takes longer than to learn from a window.
    noise_weight : float
        Weight with which more noise and less uncertainty is preferred.

    Raises
    ------
    InvalidSetting
        For a network that predicts no projections.
    """

    accumulates: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, photons: float, crop: int, windows: int, noise_weight: float) -> None:
        super().__init__()
        if not isinstance(denoiser.network, Noise2NoiseTD):
            raise InvalidSetting(
                f"--network {denoiser.spec.name}: predicts no projections, which this recipe trains; take "
                "noise2noise_td, or a smaller one, noise2noise_td:width=16"
            )
        self.denoiser, self.network = denoiser, denoiser.network
        self.photons, self.crop, self.windows, self.noise_weight = photons, crop, windows, noise_weight
        denoiser.noise_free = True

    @property
    def fields(self) -> Sequence[str]:
        """Low dose alone."""
        return ("low",)

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser by name."""
        return {"denoiser": self.denoiser}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield one update of the denoiser."""
        scale = self.denoiser.scale
        with full_precision(batch.low):
            units = scale.encode(batch.low.clamp(scale.low, scale.high))
            with torch.no_grad():
                measured = self.network.project(units)
                if self.photons > 0:
                    measured = with_photon_noise(measured, self.photons, batch.number)
            yield Update("denoiser", self.likelihood(measured, batch.number))

    def likelihood(self, measured: Tensor, number: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss for windows of transmissions (B, slices, views, detectors)."""
        reach, (views, detectors) = self.network.reach, measured.shape[-2:]
        height, width = min(self.crop, views), min(self.crop, detectors)
        places = (number.cpu()[:, None] * self.windows + torch.arange(self.windows)).flatten()
        first = (uniform_draws(places, 2) * torch.tensor([views - height + 1, detectors - width + 1])).long()
        whole = around(measured, reach).repeat_interleave(self.windows, dim=0)
        windows = torch.stack([
            one[:, row : row + height + 2 * reach, column : column + width]
            for one, (row, column) in zip(whole, first.tolist(), strict=True)
        ])  # fmt: skip
        mean, sd = self.network.predict(windows)
        noise = self.network.noise(mean, first[:, 1].to(mean.device), detectors)
        own = windows[:, self.network.slices // 2, reach : reach + height]
        error = functional.gaussian_nll_loss(mean, own, sd.square() + noise, eps=LEAST_VARIANCE)
        return {"likelihood": error, "noise": -self.noise_weight * noise.sqrt().mean()}


def with_photon_noise(transmissions: Tensor, photons: float, number: Tensor) -> Tensor:
    """Draw transmissions (B, ...) as counts of photons with electronic noise, over the photons through air.

    number: (B,), number of each sample in the training, which seeds the draws.
    """
    drawn = []
    for one, seed in zip(transmissions.double().cpu().numpy(), number.tolist(), strict=True):
        air, rng = np.float64(photons), np.random.default_rng(seed)
        drawn.append(draw_counts(air * one, np.asarray(air), 1.0, Scanner().electronic, rng)[1])
    return torch.exp(-torch.from_numpy(np.stack(drawn)).to(transmissions))
