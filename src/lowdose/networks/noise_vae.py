"""Generative model of a scanner's noise (a conditional variational autoencoder), and its weights files.

The decoder makes noise out of white noise: filters of unit energy, whose results are added with gains that depend on
the place in the body. It is linear in the white noise, so noise has the mean 0 HU everywhere. Nothing in it is
decimated, so a field of any size has the same statistics at every pixel, without seams. Where the gains are the same
noise is a stationary Gaussian process, whose power spectrum is the sum of those of the filters. CT noise is close to
that over a few centimetres: filtered back-projection adds up hundreds of detector readings for each pixel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowdose.errors import IncompatibleCheckpoint
from lowdose.weights import files

FORMAT = "lowdose-noise-1"


@dataclass(frozen=True)
class NoiseSettings:
    """Sizes of a noise model.

    Attributes
    ----------
    components : int
        Filters, each with white noise of its own.
    side : int, pixels
        Height and width of a filter, an odd number.
    conditions : int
        Numbers that describe a place in the body.
    width : int
        Channels of the hidden layers.
    """

    components: int = 6
    side: int = 15
    conditions: int = 6
    width: int = 16


class TrainingNoise(NamedTuple):
    """Noise that a model was trained on.

    Attributes
    ----------
    sd : float, HU
        Root mean square of all patches.
    pixel_mm : float, mm
        Median pixel size.
    lowest, highest : (conditions,) float32
        Range of each condition; beyond it the model takes the end of the range.
    """

    sd: float
    pixel_mm: float
    lowest: Tensor
    highest: Tensor


class NoiseDecoder(nn.Module):
    """White noise and conditions -> noise in HU.

    Parameters
    ----------
    settings : NoiseSettings
        Sizes.
    trained_on : TrainingNoise or None
        Noise to be learned; None for a model whose weights are loaded.
    """

    sd: Tensor
    pixel_mm: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, settings: NoiseSettings, trained_on: TrainingNoise | None = None) -> None:
        super().__init__()
        self.settings = settings
        known = trained_on or TrainingNoise(1.0, 1.0, *torch.zeros(2, settings.conditions))
        self.register_buffer("sd", torch.tensor(float(known.sd)))
        self.register_buffer("pixel_mm", torch.tensor(float(known.pixel_mm)))
        self.register_buffer("lowest", known.lowest)
        self.register_buffer("highest", known.highest)
        offsets = torch.arange(settings.side) - settings.side // 2
        envelope = torch.exp(-(offsets[:, None].square() + offsets.square()) / (2 * (settings.side / 8) ** 2))
        self.filters = nn.Parameter(envelope * torch.randn(settings.components, settings.side, settings.side))
        self.log_gains = nn.Sequential(
            nn.Conv2d(settings.conditions, settings.width, 1), nn.SiLU(),
            nn.Conv2d(settings.width, settings.width, 1), nn.SiLU(),
            nn.Conv2d(settings.width, settings.components, 1),
        )  # fmt: skip

    @property
    def margin(self) -> int:
        """Pixels of white noise around a field on each side."""
        return self.settings.side // 2

    @property
    def unit_filters(self) -> Tensor:
        """The filters with unit energy (components, side, side)."""
        unit: Tensor = self.filters / self.filters.flatten(1).norm(dim=1)[:, None, None]
        return unit

    def fields(self, white: Tensor) -> Tensor:
        """Filter white noise (B, components, H + 2 margin, W + 2 margin) to fields of unit variance (B, ..., H, W)."""
        size, margin = white.shape[-2:], 2 * self.margin
        spectrum = torch.fft.rfft2(self.unit_filters, size)
        filtered = torch.fft.irfft2(torch.fft.rfft2(white) * spectrum, size)
        inside: Tensor = filtered[..., margin:, margin:]  # before that, the filter wraps around
        return inside

    def relative(self, conditions: Tensor) -> Tensor:
        """Map conditions (B, conditions, h, w), limited to the range of the training, to [-1, 1]."""
        low, high = self.lowest[:, None, None], self.highest[:, None, None]
        inside = torch.minimum(torch.maximum(conditions, low), high)
        return (2 * inside - low - high) / (high - low).clamp(min=1e-6)

    def gains(self, conditions: Tensor) -> Tensor:
        """Return the standard deviation in HU of each component, (B, components, h, w), at h x w places."""
        share = self.sd / math.sqrt(self.settings.components)
        return share * torch.exp(self.log_gains(self.relative(conditions)))

    def forward(self, white: Tensor, conditions: Tensor) -> Tensor:
        """Return noise (B, 1, H, W) in HU; conditions are (B, conditions, H, W), or (B, conditions, 1, 1)."""
        return (self.gains(conditions) * self.fields(white)).sum(dim=1, keepdim=True)


class NoiseEncoder(nn.Module):
    """Noise and conditions -> mean and logarithm of the variance of the white noise that it was made of.

    Noise is (B, 1, H, W) in units of the training's standard deviation, conditions are (B, conditions, 1, 1) in
    [-1, 1]; both results are (B, components, H + 2 margin, W + 2 margin), with the margin of the decoder.
    """

    def __init__(self, settings: NoiseSettings) -> None:
        super().__init__()
        width, margin = settings.width, settings.side // 2
        self.layers = nn.Sequential(
            nn.Conv2d(1 + settings.conditions, width, 5, padding=2 + margin), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, 2 * settings.components, 3, padding=1),
        )  # fmt: skip

    def forward(self, noise: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance."""
        seen = torch.cat([noise, conditions.expand(-1, -1, *noise.shape[-2:])], dim=1)
        mean, log_variance = self.layers(seen).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)


class NoiseVAE(nn.Module):
    """The encoder and the decoder of a noise model, which are trained together; the decoder is what is kept."""

    def __init__(self, settings: NoiseSettings, trained_on: TrainingNoise | None = None) -> None:
        super().__init__()
        self.encoder, self.decoder = NoiseEncoder(settings), NoiseDecoder(settings, trained_on)

    def forward(self, noise: Tensor, conditions: Tensor, white: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return noise (B, 1, H, W) in HU as it is reconstructed, and mean and log-variance of its white noise.

        white: standard normal draws, (B, components, H + 2 margin, W + 2 margin).
        """
        mean, log_variance = self.encoder(noise / self.decoder.sd, self.decoder.relative(conditions))
        return self.decoder(mean + torch.exp(log_variance / 2) * white, conditions), mean, log_variance


def serialise_noise_model(decoder: NoiseDecoder, training: Mapping[str, object]) -> bytes:
    """Return the bytes of a weights file that ``read_noise_model`` reads; ``training`` describes the training."""
    header = {"format": FORMAT, "noise": json.dumps(asdict(decoder.settings)), "training": json.dumps(training)}
    return files.serialise_weights(decoder, header)


def read_noise_model(path: Path) -> tuple[NoiseDecoder, str]:
    """Load a noise model from its file, or from the run folder that it lies in; also return the SHA-256 of the file.

    It is returned in eval mode, without gradients. Raises IncompatibleCheckpoint when the file is damaged or holds
    something else.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    weights = files.read_weights(file)
    file_format = weights.header.get("format", "not stated")
    if file_format != FORMAT:
        raise IncompatibleCheckpoint(
            f"{file}: its format is '{file_format}', a noise model has '{FORMAT}'; 'lowdose train noise_vae --data "
            "LOWDOSE --out NOISE' writes one"
        )
    try:
        decoder = NoiseDecoder(NoiseSettings(**json.loads(weights.header["noise"])))
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleCheckpoint(f"{file}: states no sizes of a noise model ({error}); train it anew") from error
    files.load_weights(decoder, weights.tensors, str(file), "the noise model")
    return decoder.eval().requires_grad_(False), weights.sha256
