"""The HU gate on the user's own slices: what is fast on ours must be right on theirs."""

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
    """``model`` for this series, and a sentence when it has to be the exact one.

    The first slice and the middle one are denoised both ways; the first alone may show next to nothing but air. Raises
    what ``Source.read`` raises.
    """
    fast = model.denoiser
    if not isinstance(fast, EngineDenoiser) or fast.precision == EXACT or fast.exact is None:
        return model, []
    for index in sorted({0, len(source) // 2}):
        item = source.read(index)
        fault = _apart(fast, fast.exact, item, model.device).fault(fast.precision)
        if fault:
            exact = replace(model, denoiser=fast.exact, engine=fast.exact.engine.name, precision=EXACT)
            told = f"fast precision ({model.engine}) is off on slice {index + 1} of this series: {fault}; exact is used"
            return exact, [told]
    return model, []


def _apart(fast: EngineDenoiser, exact: EngineDenoiser, item: Slice, device: torch.device) -> Difference:
    seen = torch.from_numpy(np.stack([item.in_air] * (2 * fast.context + 1)))[None].to(device)
    one, other = (each.denoise(seen)[0, 0].cpu().numpy()[item.valid] for each in (exact, fast))
    return Difference.between(one, other) if one.size else Difference(0.0, 0.0, 0.0, 0.0)
