"""Loading of models by name or path: shipped weights, added models, files and classical filters, with one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.image import HU
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.classical import CLASSICAL
from lowdose.networks.denoiser import Denoiser, channels_last


class HUDenoiser(Protocol):
    """Denoiser that takes and returns HU.

    It maps (B, 2c+1, H, W) float32 to (B, 1, H, W), the middle one of neighbouring slices, where c is ``context``.
    Values outside the range of ``scale`` are kept exactly.
    """

    @property
    def scale(self) -> Scale:
        """Range of HU that is denoised, and its map to network units."""
        ...

    @property
    def context(self) -> int:
        """Number of neighbouring slices on either side that the model sees."""
        ...

    @property
    def noise_free(self) -> bool:
        """Whether the result is an estimate of the image without any noise; see ``models.noise_retention``."""
        ...

    def denoise(self, hu: Tensor) -> Tensor:
        """Denoise (B, 2c+1, H, W) HU to (B, 1, H, W) HU."""
        ...


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for the inference pipeline.

    Attributes
    ----------
    name : str
        Name of the model.
    sha256 : str
        Checksum of the weights file; '' for a classical filter, which has no weights.
    denoiser : HUDenoiser
        Denoiser from HU to HU.
    domain : TrainingDomain or None
        Ranges of the training data; None for a classical filter.
    device : torch.device
        Device that the model runs on.
    noise_kept : float or None
        Share of the noise that a model of the noise-free image leaves; None to derive it from each slice's noise.
    engine, accuracy : str
        Engine that runs the network, and its accuracy; see ``infer.engines``.
    stated : tuple of str
        Those of ``at_inference`` that the user stated, such as 'depth'.
    """

    name: str
    sha256: str
    denoiser: HUDenoiser
    domain: TrainingDomain | None
    device: torch.device
    noise_kept: float | None = None
    engine: str = "torch"
    accuracy: str = "exact"
    stated: tuple[str, ...] = ()

    @property
    def plain(self) -> Denoiser | None:
        """The denoiser as PyTorch runs it; None for a classical filter."""
        denoiser = getattr(self.denoiser, "plain", self.denoiser)
        return denoiser if isinstance(denoiser, Denoiser) else None

    @property
    def at_inference(self) -> dict[str, int]:
        """What the network is applied with, such as its sampling steps; empty for one without such settings."""
        return self.plain.at_inference if self.plain else {}

    @property
    def depth_by_noise(self) -> bool:
        """Whether the depth is chosen by the noise of the series: the network has images of every depth, none stated.

        See ``infer.depth_choice``.
        """
        return self.plain is not None and hasattr(self.plain.network, "images") and "depth" not in self.stated


def load_by_name(name: str, device: torch.device) -> LoadedModel:
    """Load a model by name or path.

    Raises IncompatibleCheckpoint if ``name`` is neither shipped, added, classical nor a sound weights file.
    """
    if name in CLASSICAL:
        return LoadedModel(name, "", CLASSICAL[name], None, device)
    try:
        model = checkpoint.load_denoiser(name, device)
    except IncompatibleCheckpoint as error:
        hint = f". Classical filters: {', '.join(CLASSICAL)}." if "no model" in str(error) else ""
        raise IncompatibleCheckpoint(f"{error}{hint}") from error
    channels_last(model.denoiser)
    return LoadedModel(model.name, model.sha256, model.denoiser, model.domain, device)


def remove_noise(model: LoadedModel, hu: HU) -> HU:
    """Return what a model of one slice makes of a slice (y, x) in HU, with none of the noise mixed back."""
    image = torch.from_numpy(np.ascontiguousarray(hu, np.float32))[None, None].to(model.device)
    return np.asarray(model.denoiser.denoise(image)[0, 0].cpu().numpy())
