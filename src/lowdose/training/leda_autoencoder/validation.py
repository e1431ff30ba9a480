"""Validation of an autoencoder: how well it reconstructs slices, how many tokens it uses, what it sees of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import InvalidSetting
from lowdose.evaluation.digital_texture import digital_texture
from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.autoencoder import Autoencoder, reconstruct
from lowdose.training.validation import evenly_spaced

MAX_SLICES = 12
"""Most slices to validate on, evenly spaced over those of the held-out patients."""


@torch.no_grad()
def validate_reconstruction(autoencoder: Autoencoder, items: Sequence[NormalDoseSlice]) -> Mapping[str, float]:
    """Return the mean PSNR in dB on [-1000, 2000] HU of whole slices, and how many tokens each layer used on all."""
    chosen = evenly_spaced(items, MAX_SLICES)
    if not chosen:
        return {}
    device = next(autoencoder.parameters()).device
    psnrs: list[float] = []
    used: list[set[int]] = [set() for _ in autoencoder.quantiser.parts]
    for item in chosen:
        hu = torch.from_numpy(np.nan_to_num(item.read(), nan=-1000.0))[None, None].to(device)
        image = OBJECTIVE.encode(hu.clamp(OBJECTIVE.low, OBJECTIVE.high))
        reconstruction, quantised = reconstruct(autoencoder, image)
        error = (reconstruction - image).square().mean()
        psnrs.append(float(-10.0 * torch.log10(error)))
        for tokens, index in zip(used, quantised.indices, strict=True):
            tokens.update(index.flatten().tolist())
    token_counts = {f"validation/tokens_{layer}": float(len(tokens)) for layer, tokens in enumerate(used, start=1)}
    return {"validation/psnr": float(np.mean(psnrs)), **token_counts}


def validate_texture(autoencoder: Autoencoder) -> Mapping[str, float]:
    """Return B and D of latents and of tokens (``metrics.texture_sensitivity``) on a digital slice.

    Nothing while noise does not change a single token, as early in a training.
    """
    try:
        seen = digital_texture(autoencoder)
    except InvalidSetting:
        return {}
    return {
        f"validation/{name}{of}": value
        for name, values in (("systematic_share", seen.systematic_share), ("noise_ratio", seen.noise_distance_ratio))
        for of, value in zip(("", "_tokens"), values, strict=True)
    }
