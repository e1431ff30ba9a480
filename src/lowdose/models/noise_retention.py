"""How much of the noise a denoised image keeps: by the dose of the scan, the texture that is wanted, or by its SD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lowdose.errors import InvalidSetting
from lowdose.image import Slice
from lowdose.models.dose_estimate import DoseEstimate, estimate_dose
from lowdose.models.load import LoadedModel
from lowdose.models.training_domain import SeriesMeasurements, measure_slices
from lowdose.physics.photon_counts import SMALLEST_DOSE

SMOOTH, BALANCED, NATURAL = "smooth", "balanced", "natural"
TEXTURES: Mapping[str, float] = MappingProxyType({SMOOTH: 1.0, BALANCED: 0.77, NATURAL: 0.58})
"""Power of the dose (a fraction of the usual one) that is the share of the noise to keep.

In an image at the fraction a of the usual dose, the noise of the usual dose and the noise that the lower dose added are
independent and have the same spectrum. The best estimate of the former is a times the noise in the image (see
``methods.supervised.NoiseFree``): the lowest error, and less noise than at usual dose, whose SD is sqrt(a) times that
of the image. A little less than its square root gives that SD, since the network leaves some noise, too; 0.77 lies
between.
"""

MAX_NOISE_SD = 1000.0
"""Largest SD of noise in HU that can be asked for: water and air cannot be told apart in an image that has it."""

MAX_DOSE = 0.8
"""Largest dose that is assumed, so that a model has some effect even on a scan of the best quality."""

SHARE_IF_UNMEASURED = 0.25
"""Share if the noise cannot be measured."""


def estimated_dose(measured: SeriesMeasurements) -> DoseEstimate | None:
    """Return the dose that the measurements of a series tell; None if there is no noise to judge by."""
    return estimate_dose(measured.noise_bands, measured.body_mm, measured.thickness_mm)


@dataclass(frozen=True)
class NoiseTarget:
    """How much noise shall remain. Raises InvalidSetting for values out of range, or that contradict each other.

    Attributes
    ----------
    dose : float or None
        Dose of the scan as a fraction of its usual dose, from 0.001 to 1; None = estimated from the noise.
    noise_sd : float or None, HU
        SD of the noise that shall remain; None = by dose and texture.
    texture : str or None
        One of ``TEXTURES``; None = "balanced".
    """

    dose: float | None = None
    noise_sd: float | None = None
    texture: str | None = None

    def __post_init__(self) -> None:
        if self.dose is not None and not SMALLEST_DOSE <= self.dose <= 1:
            raise InvalidSetting(
                f"--dose {self.dose:g}: must be a fraction of the usual dose, from {SMALLEST_DOSE:g} to 1"
            )
        if self.noise_sd is not None and not (0 < self.noise_sd <= MAX_NOISE_SD):
            raise InvalidSetting(f"--noise-sd {self.noise_sd:g}: must be above 0 and at most {MAX_NOISE_SD:g} HU")
        if self.texture is not None and self.texture not in TEXTURES:
            raise InvalidSetting(f"--texture {self.texture}: must be one of {', '.join(TEXTURES)}")
        if self.noise_sd is not None and (self.dose is not None or self.texture is not None):
            given = "--dose" if self.dose is not None else "--texture"
            raise InvalidSetting(f"--noise-sd {self.noise_sd:g}: says how much noise remains; leave out {given}")

    @property
    def chosen_texture(self) -> str:
        """The texture that was asked for, or the default."""
        return self.texture or BALANCED

    def dose_of(self, measured: SeriesMeasurements) -> float | None:
        """Return the dose, at most ``MAX_DOSE``: as stated, else estimated; None if it cannot be estimated."""
        if measured.noise_sd == 0:
            return MAX_DOSE
        estimate = estimated_dose(measured)
        dose = self.dose if self.dose is not None else estimate.fraction if estimate else None
        return None if dose is None else min(MAX_DOSE, dose)


def check_target(target: NoiseTarget, model: LoadedModel) -> None:
    """Raise InvalidSetting for a dose or texture where the model itself decides how much noise remains, or a depth."""
    given = "--dose" if target.dose is not None else "--texture" if target.texture is not None else None
    if given and "depth" in model.stated:
        raise InvalidSetting(f"{given}: --depth says how much noise remains; leave out one of them")
    if given and not (model.denoiser.noise_free or model.depth_by_noise):
        raise InvalidSetting(
            f"{given}: model {model.name} decides itself how much noise remains; use --noise-sd or --strength"
        )


def retained_share(target: NoiseTarget, measured: SeriesMeasurements) -> float:
    """Return the share of the noise in the image that is kept, 0 to 1, for a dose and a texture."""
    dose = target.dose_of(measured)
    if dose is None:
        return SHARE_IF_UNMEASURED
    return float(dose ** TEXTURES[target.chosen_texture])


def fit_to_series(model: LoadedModel, measured: SeriesMeasurements, target: NoiseTarget | None = None) -> LoadedModel:
    """Return ``model`` with the share of noise to keep fixed for one series, so that all its slices look alike.

    A model that leaves noise in its result itself is returned unchanged.
    """
    if not model.denoiser.noise_free:
        return model
    return replace(model, noise_kept=retained_share(target or NoiseTarget(), measured))


def noise_kept(model: LoadedModel, item: Slice) -> float:
    """Return the share of the noise that a slice keeps at strength 1.

    It is 0 for a model that does not estimate the noise-free image, unless it was set: such a model leaves noise in its
    result itself.
    """
    if model.noise_kept is not None:
        return model.noise_kept
    return retained_share(NoiseTarget(), measure_slices([item], None)) if model.denoiser.noise_free else 0.0
