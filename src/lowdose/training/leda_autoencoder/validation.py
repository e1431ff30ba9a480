"""How well an autoencoder gives slices back, and how many words it takes for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.autoencoder import Autoencoder, reconstruct
from lowdose.training.validation import evenly_spaced

MOST = 12
"""Slices judged, evenly spread over those there are."""


@torch.no_grad()
def validate_reconstruction(autoencoder: Autoencoder, items: Sequence[NormalDoseSlice]) -> Mapping[str, float]:
    """Mean PSNR in dB on [-1000, 2000] HU of whole slices, and how many tokens each layer used on all of them."""
    chosen = evenly_spaced(items, MOST)
    if not chosen:
        return {}
    device = next(autoencoder.parameters()).device
    found: list[float] = []
    used: list[set[int]] = [set() for _ in autoencoder.quantiser.parts]
    for item in chosen:
        hu = torch.from_numpy(np.nan_to_num(item.read(), nan=-1000.0))[None, None].to(device)
        image = OBJECTIVE.encode(hu.clamp(OBJECTIVE.low, OBJECTIVE.high))
        made, read = reconstruct(autoencoder, image)
        error = (made - image).square().mean()
        found.append(float(-10.0 * torch.log10(error)))
        for layer, index in zip(used, read.indices, strict=True):
            layer.update(index.flatten().tolist())
    hyperparameters = {f"validation/tokens_{layer}": float(len(tokens)) for layer, tokens in enumerate(used, start=1)}
    return {"validation/psnr": float(np.mean(found)), **hyperparameters}
