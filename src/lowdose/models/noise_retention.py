"""How much of its noise an image may keep: as much as a scan at usual dose would have."""

from __future__ import annotations

from dataclasses import replace

from lowdose.image import Slice
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.load import LoadedModel
from lowdose.models.training_domain import SeriesMeasurements

USUAL_NOISE = 130.0
"""HU mm^1.5: SD of the noise at usual dose, over its mean frequency (1/mm) to the power 1.5.

The noise power of filtered back-projection is f A(f)^2 over the plane (Kijewski & Judy, PMB 1987): passing twice the
frequencies leaves 2^1.5 times the noise, so one number stands for the dose, whatever the kernel. The normal-dose scans
that the models are trained on lie between 95 and 125, the full dose of patient L096 at 142; 130 is best for the PSNR of
its pairs.
"""

MAX_SHARE = 0.8
"""Kept at most, so that a model does something on a scan of the best quality too."""

SHARE_IF_UNMEASURED = 0.25
"""Kept where the noise cannot be measured."""

ASSUMED_PIXEL_MM = 0.75
"""Taken for the side of a pixel where none is stated."""


def retained_share(noise_sd: float | None, f_av: float | None) -> float:
    """The share of the noise's variance that usual dose would have: this scan's dose as a fraction of that.

    In an image at dose a the noise of usual dose and what low dose added are independent and alike, so of the noise
    that is seen the share a is the best guess of the former (see ``methods.supervised.NoiseFree``). noise_sd in HU,
    f_av in 1/mm.
    """
    if noise_sd == 0:
        return MAX_SHARE
    if noise_sd is None or not f_av:
        return SHARE_IF_UNMEASURED
    return min(MAX_SHARE, float(USUAL_NOISE * f_av**1.5 / noise_sd) ** 2)


def fit_to_series(model: LoadedModel, measured: SeriesMeasurements) -> LoadedModel:
    """``model`` for the slices of one series: what they keep is decided once, so that all look alike."""
    return (
        replace(model, noise_kept=retained_share(measured.noise_sd, measured.noise_f_av))
        if model.denoiser.noise_free
        else model
    )


def noise_kept(model: LoadedModel, item: Slice) -> float:
    """The share of the noise that a slice keeps at strength 1: 0 for a model that decides by itself what stays."""
    if not model.denoiser.noise_free:
        return 0.0
    if model.noise_kept is not None:
        return model.noise_kept
    level = noise_level(item.hu, item.valid, item.mean_pixel_mm or ASSUMED_PIXEL_MM)
    return SHARE_IF_UNMEASURED if level is None else retained_share(level.sd, level.f_av)
