"""Training on normal dose alone, with noise on its wavelets and a loss by frequency (WIA-LD2ND, Zhao et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import ClassVar

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.supervised import denoise_slice
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.frequency_encoder import FrequencyEncoder
from lowdose.networks.haar import haar, inverse_haar
from lowdose.objectives.base import Objective
from lowdose.objectives.frequency_aware import frequency_distance
from lowdose.sample_draws import normal_draws, uniform_draws

MOMENTUM = 0.99
"""Decay per step of the moving average that the target encoder is."""


def add_wavelet_noise(hu: Tensor, sds: Sequence[float], number: Tensor, least: float = 1.0) -> Tensor:
    """Add Gaussian noise to the Haar wavelets of slices.

    hu: (B, S, H, W), HU, with even sides. sds: standard deviation in HU for each of the sub-bands LL, LH, HL and HH.
    number: (B,), number of each sample in the training, which decides the noise. least: smallest of the factors on all
    four, which are uniform up to 1. Returns (B, S, H, W).
    """
    bands = haar(hu)
    drawn = normal_draws(number, tuple(bands.shape[1:])).to(bands)
    strength = (least + (1 - least) * uniform_draws(number, 1)).to(hu)[:, :, None, None]
    return hu + strength * inverse_haar(drawn * torch.tensor(sds, dtype=hu.dtype, device=hu.device)[:, None, None])


class WaveletAlignment(Method[PairedBatch]):
    """Training of any denoiser on normal dose: noise, most of it in high sub-bands, is added and to be taken out again.

    Besides an objective there is the distance of feature maps at low and at high frequencies: those of the denoised
    image by an encoder, those of the normal dose by a moving average of it. Encoder and denoiser both learn from it,
    the encoder first; it cannot make its maps constant (``networks.frequency_encoder``).

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train.
    content : Objective
        Compares denoised and normal-dose images.
    weight : float
        Weight of the distance of feature maps in the denoiser's loss; 0 = there is no encoder.
    sds : sequence of float, HU
        Standard deviation of the noise in the sub-bands LL, LH, HL and HH.
    width : int
        Width of the encoder.
    least : float
        Smallest share of the standard deviations; each sample has one between it and 1.
    """

    makes_low_dose: ClassVar[bool] = True

    def __init__(
        self, denoiser: Denoiser, content: Objective, weight: float, sds: Sequence[float], width: int,
        least: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.denoiser, self.content, self.weight, self.sds = denoiser, content, weight, tuple(sds)
        self.least = least
        self.encoder = FrequencyEncoder(width) if weight > 0 else None
        self.target = deepcopy(self.encoder).requires_grad_(False) if self.encoder else None

    @property
    def fields(self) -> Sequence[str]:
        """Normal dose, with its neighbours where the denoiser sees them."""
        return ("low", "full_context" if self.denoiser.context else "full")

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser and the encoder by name."""
        return {"denoiser": self.denoiser, **({"encoder": self.encoder} if self.encoder else {})}

    def checkpointed_modules(self) -> Mapping[str, nn.Module]:
        """Return the trained modules and the target encoder."""
        return {**self.trained_modules(), **({"target": self.target} if self.target else {})}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return Adam for both."""
        return dict.fromkeys(self.trained_modules(), OptimiserSettings("adam"))

    def fingerprint(self) -> Mapping[str, object]:
        """Return the fingerprint of the objective."""
        return self.content.fingerprint()

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield an update of the encoder, let the target follow it, and yield one of the denoiser."""
        normal = batch.full_context if self.denoiser.context else batch.full
        noisy = add_wavelet_noise(normal, self.sds, batch.number, self.least)
        denoised = OBJECTIVE.encode(denoise_slice(self.denoiser, noisy)[0])
        middle = normal.shape[1] // 2
        full = OBJECTIVE.encode(normal[:, middle, None].clamp(self.denoiser.scale.low, self.denoiser.scale.high))
        if self.encoder is not None:
            yield Update("encoder", self.distance(denoised.detach(), full))
            self._follow()
        terms = self.distance(denoised, full) if self.encoder is not None else {}
        weighted = {name: self.weight * value for name, value in terms.items()}
        yield Update("denoiser", {**self.content.terms(denoised, full), **weighted})

    def distance(self, denoised: Tensor, full: Tensor) -> Mapping[str, Tensor]:
        """Return the distance of the feature maps of images (B, 1, H, W) at low and at high frequencies, scalars."""
        assert self.encoder is not None
        assert self.target is not None
        with torch.no_grad():
            wanted = self.target(full)
        return frequency_distance(self.encoder(denoised), wanted)

    @torch.no_grad()
    def _follow(self) -> None:
        assert self.encoder is not None
        assert self.target is not None
        for ours, theirs in zip(self.target.parameters(), self.encoder.parameters(), strict=True):
            ours.lerp_(theirs, 1 - MOMENTUM)
