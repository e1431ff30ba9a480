"""Accuracy check of a fast engine on slices of the series that is about to be denoised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from lowdose.image import Slice
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.infer.engines.base import EXACT
from lowdose.io.source import Source
from lowdose.models.load import LoadedModel


def check_on_series(model: LoadedModel, source: Source) -> tuple[LoadedModel, list[str]]:
    """Return ``model``, or its exact version if fast accuracy is inaccurate on this series, and warnings.

    The first and the middle slice are denoised both ways; the first alone may show little but air. The list of warnings
    has one entry if the exact engine replaces the fast one, else none. Raises what ``Source.read`` raises.
    """
    fast = model.denoiser
    if not isinstance(fast, EngineDenoiser) or fast.accuracy == EXACT or fast.exact is None:
        return model, []
    for index in sorted({0, len(source) // 2}):
        item = source.read(index)
        fault = _difference(fast, fast.exact, item, model.device).fault(fast.accuracy)
        if fault:
            exact = replace(model, denoiser=fast.exact, engine=fast.exact.engine.name, accuracy=EXACT)
            warning = (
                f"fast accuracy ({model.engine}) is off on slice {index + 1} of this series: {fault}; exact is used"
            )
            return exact, [warning]
    return model, []


def _difference(fast: EngineDenoiser, exact: EngineDenoiser, item: Slice, device: torch.device) -> Difference:
    """Compare the fast with the exact result over the valid pixels of a slice, which serves as its own neighbours."""
    stack = torch.from_numpy(np.stack([item.in_air] * (2 * fast.context + 1)))[None].to(device)
    reference, result = (each.denoise(stack)[0, 0].cpu().numpy()[item.valid] for each in (exact, fast))
    return Difference.between(reference, result) if reference.size else Difference(0.0, 0.0, 0.0, 0.0)
