"""Depth of an unrolled network for one series: the one whose noise is nearest to what is asked for.

The noise that remains at every depth is measured on a few slices, once a series, so that all slices look alike.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from lowdose.image import HU
from lowdose.infer.engines.select_engine import run_on_engine
from lowdose.infer.noise_blend import noise_moments, sampled_windows
from lowdose.io.source import Source
from lowdose.logger import log
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget, retained_share
from lowdose.models.training_domain import SeriesMeasurements
from lowdose.networks.denoiser import Denoiser


def choose_depth(source: Source, model: LoadedModel, measured: SeriesMeasurements, target: NoiseTarget) -> LoadedModel:
    """Return ``model`` with the depth for one series.

    Dose and texture ask for a share of the noise (``noise_retention.retained_share``); the SD that each depth leaves is
    compared with that share of the SD before. The depth stays as it is where it is stated, where a noise SD is asked
    for, which is reached by mixing, where there is no flat soft tissue to measure in, and for other networks.
    """
    denoiser = model.plain
    if denoiser is None or not model.depth_by_noise or target.noise_sd is not None:
        return model
    left = relative_sds(source, denoiser)
    if left is None:
        return model
    depth = int(np.argmin(np.abs(np.array(left) - retained_share(target, measured))))
    return _at_depth(model, denoiser, depth)


def relative_sds(source: Source, denoiser: Denoiser) -> list[float] | None:
    """Return the SD of the noise at the depths from 0 on over that of the series; None without flat soft tissue."""
    device, moments = next(denoiser.parameters()).device, []
    for _, around in sampled_windows(source, denoiser.context):
        item = around[denoiser.context]
        stack = torch.from_numpy(np.stack([one.in_air for one in around]))[None].to(device)
        found = [noise_moments(item, image) for image in images_of_depths(denoiser, stack)]
        if found[0] is not None:
            moments.append([moment[:2] for moment in found if moment is not None])
    if not moments or np.mean(moments, axis=0)[0, 0] <= 0:
        return None
    before, after = np.mean(moments, axis=0).T
    return [float(sd) for sd in np.sqrt(after / before)]


def images_of_depths(denoiser: Denoiser, hu: Tensor) -> list[HU]:
    """Denoise one slice, (1, 2 * context + 1, H, W) in HU, at every depth from 0 to the usual one, as (H, W) each."""
    made: list[Tensor] = []

    def image(units: Tensor, depth: int) -> Tensor:
        if not made:
            made.extend(cast("Callable[[Tensor], list[Tensor]]", denoiser.network.images)(units))
        return made[depth]

    usual = denoiser.at_inference["depth"]
    return [denoiser.denoise(hu, partial(image, depth=k))[0, 0].cpu().numpy() for k in range(usual + 1)]


def _at_depth(model: LoadedModel, denoiser: Denoiser, depth: int) -> LoadedModel:
    """Return a model at another depth on the same engine; ``model`` keeps its own, for the next series."""
    if depth == denoiser.at_inference["depth"]:
        return model
    changed = deepcopy(denoiser)
    changed.network.depth = depth  # type: ignore[assignment]
    at_depth = replace(model, denoiser=changed)
    if denoiser is model.denoiser:  # on no engine
        return at_depth
    return run_on_engine(at_depth, model.engine, model.accuracy, log.debug)
