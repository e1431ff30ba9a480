"""The noise of a series before and after denoising: fitting a model to what is wanted, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lowdose.errors import InvalidSetting
from lowdose.infer.noise_blend import BlendNoise
from lowdose.metrics.noise_estimate import NoiseLevel
from lowdose.models import noise_retention
from lowdose.models.dose_estimate import DoseEstimate
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget
from lowdose.models.training_domain import SeriesMeasurements

COARSE = 0.7
"""A mean noise frequency that falls below this fraction of the input's causes a warning."""


@dataclass(frozen=True)
class NoiseReport:
    """Noise of a series before and after.

    Attributes
    ----------
    share : float
        Share of the noise in the input that is mixed into the result, at the strength of the run.
    before, after : NoiseLevel or None
        Noise of the sampled slices; None where it cannot be measured.
    dose : DoseEstimate or None
        Dose of the scan as a fraction of what is usual, estimated from its noise.
    target : NoiseTarget
        What was asked for.
    by_dose : bool
        Whether dose and texture decided how much noise remains.
    depth : int or None
        Depth that was chosen for it; None for models without one.
    """

    share: float
    before: NoiseLevel | None
    after: NoiseLevel | None
    dose: DoseEstimate | None
    target: NoiseTarget
    by_dose: bool = True
    depth: int | None = None

    @property
    def lines(self) -> list[str]:
        """What a user should know, in sentences."""
        lines = []
        if self.target.dose is not None:
            lines.append(f"dose: {100 * self.target.dose:g}% of the usual one, as stated")
        elif self.by_dose and self.dose is not None:
            lines.append(f"dose, estimated from the noise: {self.dose.text}")
        return [*lines, *([self.change] if self.change else [])]

    @property
    def choice(self) -> str:
        """How much of the input is mixed in, and why, in one clause."""
        if not self.by_dose:
            return self._kept
        if self.target.dose is not None:
            dose = f"{100 * self.target.dose:g}% of the usual dose, as stated"
        else:
            dose = f"dose estimated as {self.dose.text}" if self.dose else "dose unknown"
        return f"{dose}; texture {self.target.chosen_texture}: {self._kept}"

    @property
    def _kept(self) -> str:
        """What keeps the noise: the depth where there is one, and the share of the input."""
        depth = "" if self.depth is None else f"depth {self.depth}, "
        return f"{depth}{100 * self.share:.2g}% of the input mixed in"

    @property
    def change(self) -> str:
        """SD, mean frequency and share in one clause; '' where noise cannot be measured."""
        if self.before is None or self.after is None:
            return ""
        return (
            f"noise SD {self.before.sd:.3g} to {self.after.sd:.3g} HU, mean frequency {self.before.f_av_2d:.3g} to "
            f"{self.after.f_av_2d:.3g} /mm, {self._kept}"
        )

    @property
    def warnings(self) -> list[str]:
        """A warning where the texture becomes much coarser."""
        if self.before is None or self.after is None or not self.after.f_av_2d < COARSE * self.before.f_av_2d:
            return []
        return [
            f"the noise becomes coarse: its mean frequency falls from {self.before.f_av_2d:.3g} to "
            f"{self.after.f_av_2d:.3g} /mm; --texture natural or a smaller --strength keep more of it"
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python, rounded to four decimals."""
        texture = self.target.chosen_texture if self.by_dose else None
        wanted = {"dose": self.target.dose, "noise_sd": self.target.noise_sd, "texture": texture}
        dose = self.dose and {"fraction": round(self.dose.fraction, 4), "factor": round(self.dose.factor, 4)}
        return {
            "before": _level(self.before),
            "after": _level(self.after),
            "share": round(self.share, 4),
            "estimated_dose": dose,
            "wanted": wanted,
        }


def _level(level: NoiseLevel | None) -> dict[str, float] | None:
    return None if level is None else {"sd": round(level.sd, 4), "f_av_2d": round(level.f_av_2d, 4)}


def fit_noise(
    model: LoadedModel, measured: SeriesMeasurements, target: NoiseTarget, blend: BlendNoise | None
) -> LoadedModel:
    """Return ``model`` with the share of noise that the target asks for.

    Raises InvalidSetting for a noise SD where the noise of the series cannot be measured.
    """
    if target.noise_sd is None:
        return noise_retention.fit_to_series(model, measured, target)
    if blend is None or not measured.noise_sd:
        raise InvalidSetting(
            f"--noise-sd {target.noise_sd:g}: the noise of this series cannot be measured (too little flat soft "
            "tissue); use --strength"
        )
    return replace(model, noise_kept=blend.share_for(target.noise_sd / measured.noise_sd))


def report_noise(
    model: LoadedModel, measured: SeriesMeasurements, target: NoiseTarget, blend: BlendNoise | None, strength: float
) -> NoiseReport:
    """Return what happens to the noise of a series by a fitted model at a strength."""
    share = 1 - strength * (1 - (model.noise_kept or 0.0))
    dose = noise_retention.estimated_dose(measured)
    levels = (blend.level(1.0), blend.level(share)) if blend else (None, None)
    by_dose = (model.denoiser.noise_free or model.depth_by_noise) and target.noise_sd is None
    return NoiseReport(share, *levels, dose, target, by_dose, model.at_inference.get("depth"))
