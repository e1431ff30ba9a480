"""Models by name or path: shipped weights, a user's own file, or a classical baseline, all with one face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.classical import CLASSICAL
from lowdose.networks.denoiser import channels_last


class HUDenoiser(Protocol):
    """HU to HU: (B, 2c+1, H, W) float32 -> (B, 1, H, W), the middle one of neighbouring slices, c = ``context``.

    Exact identity outside ``scale``'s range.
    """

    @property
    def scale(self) -> Scale: ...

    @property
    def context(self) -> int: ...

    @property
    def noise_free(self) -> bool:
        """Whether what it makes has no noise; see ``models.noise_retention``."""
        ...

    def denoise(self, hu: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class LoadedModel:
    """What the pipeline applies. sha256 is '' and domain None for a classical filter: it has no weights.

    keeps: share of the noise that a model of the noise-free image leaves; None = by the noise of each slice.
    engine, precision: what runs the network, see ``infer.engines``.
    """

    name: str
    sha256: str
    denoiser: HUDenoiser
    domain: TrainingDomain | None
    device: torch.device
    noise_kept: float | None = None
    engine: str = "torch"
    precision: str = "exact"


def load_by_name(name: str, device: torch.device) -> LoadedModel:
    """Raises IncompatibleCheckpoint when ``name`` is neither shipped, added, classical nor a sound weights file."""
    if name in CLASSICAL:
        return LoadedModel(name, "", CLASSICAL[name], None, device)
    try:
        model = checkpoint.load_denoiser(name, device)
    except IncompatibleCheckpoint as error:
        hint = f". Classical filters: {', '.join(CLASSICAL)}." if "no model" in str(error) else ""
        raise IncompatibleCheckpoint(f"{error}{hint}") from error
    channels_last(model.denoiser)
    return LoadedModel(model.name, model.sha256, model.denoiser, model.domain, device)
