"""Share of the noise that a denoised image keeps: as much noise as a scan at the usual dose would have."""

from __future__ import annotations

from dataclasses import replace

from lowdose.image import Slice
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.load import LoadedModel
from lowdose.models.training_domain import SeriesMeasurements

USUAL_NOISE = 130.0
"""SD of the noise at the usual dose over its mean frequency (1/mm) to the power 1.5, in HU mm^1.5.

The noise power of filtered back-projection with the apodisation A(f) is f A(f)^2 over the plane (Kijewski & Judy, PMB
1987): with twice the bandwidth the noise SD is 2^1.5 times as large, so this one number stands for the dose, whatever
the kernel. It lies between 95 and 125 for the normal-dose scans that the models are trained on, and at 142 for the full
dose of patient L096; 130 gives the best PSNR on the pairs of that patient.
"""

MAX_SHARE = 0.8
"""Largest share, so that a model has some effect even on a scan of the best quality."""

SHARE_IF_UNMEASURED = 0.25
"""Share if the noise cannot be measured."""

ASSUMED_PIXEL_MM = 0.75
"""Pixel size in mm that is assumed if none is stated."""


def retained_share(noise_sd: float | None, f_av: float | None) -> float:
    """Return the share of the noise to keep: the dose of this scan as a fraction of the usual dose.

    Equally, it is the share of the noise variance that would be there at the usual dose. In an image at the fraction a
    of the usual dose, the noise of the usual dose and the noise that the lower dose added are independent and have the
    same spectrum; the best estimate of the former is therefore a times the noise in the image (see
    ``methods.supervised.NoiseFree``). ``noise_sd`` is in HU, ``f_av``, the mean frequency of the noise, in 1/mm; None
    if unknown.
    """
    if noise_sd == 0:
        return MAX_SHARE
    if noise_sd is None or not f_av:
        return SHARE_IF_UNMEASURED
    return min(MAX_SHARE, float(USUAL_NOISE * f_av**1.5 / noise_sd) ** 2)


def fit_to_series(model: LoadedModel, measured: SeriesMeasurements) -> LoadedModel:
    """Return ``model`` with the share of noise to keep fixed for one series, so that all its slices look alike."""
    return (
        replace(model, noise_kept=retained_share(measured.noise_sd, measured.noise_f_av))
        if model.denoiser.noise_free
        else model
    )


def noise_kept(model: LoadedModel, item: Slice) -> float:
    """Return the share of the noise that a slice keeps at strength 1.

    It is 0 for a model that does not estimate the noise-free image: such a model leaves noise in its result itself.
    """
    if not model.denoiser.noise_free:
        return 0.0
    if model.noise_kept is not None:
        return model.noise_kept
    level = noise_level(item.hu, item.valid, item.mean_pixel_mm or ASSUMED_PIXEL_MM)
    return SHARE_IF_UNMEASURED if level is None else retained_share(level.sd, level.f_av)
