"""Models by name or path: shipped weights, a user's own file, or a classical baseline, all with one face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.models import checkpoint
from lowdose.models.checkpoint import Domain
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
        """Whether what it makes has no noise; see ``infer.dose``."""
        ...

    def denoise(self, hu: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ReadyModel:
    """What the pipeline applies. sha256 is '' and domain None for a classical filter: it has no weights.

    keeps: share of the noise that a model of the noise-free image leaves; None = by the noise of each slice.
    engine, precision: what runs the network, see ``infer.engines``.
    """

    name: str
    sha256: str
    denoiser: HUDenoiser
    domain: Domain | None
    device: torch.device
    keeps: float | None = None
    engine: str = "torch"
    precision: str = "exact"


def find(name: str, device: torch.device) -> ReadyModel:
    """Raises IncompatibleCheckpoint when ``name`` is neither shipped, added, classical nor a sound weights file."""
    if name in CLASSICAL:
        return ReadyModel(name, "", CLASSICAL[name], None, device)
    try:
        model = checkpoint.load(name, device)
    except IncompatibleCheckpoint as error:
        hint = f". Classical filters: {', '.join(CLASSICAL)}." if "no model" in str(error) else ""
        raise IncompatibleCheckpoint(f"{error}{hint}") from error
    channels_last(model.denoiser)
    return ReadyModel(model.name, model.sha256, model.denoiser, model.domain, device)
