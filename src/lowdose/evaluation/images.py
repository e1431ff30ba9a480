"""Compare low dose and each model with full dose: one tidy table of numbers, and the slices to show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lowdose.errors import LowDoseError
from lowdose.evaluation.noise_spectra import mean_spectrum, noise_spectra
from lowdose.image import AIR, HU, Mask, Slice
from lowdose.infer.depth_choice import choose_depth
from lowdose.infer.noise_blend import measure_blend
from lowdose.infer.noise_report import fit_noise, report_noise
from lowdose.infer.pipeline import denoise_slice
from lowdose.io.neighbours import slice_windows
from lowdose.io.pairing import PairedSeries
from lowdose.metrics.fidelity_reference import FidelityReference
from lowdose.metrics.hu_bias import tissue_means
from lowdose.metrics.noise_estimate import noise_level
from lowdose.metrics.noise_frequency import Spectrum
from lowdose.metrics.profiles import Profile
from lowdose.metrics.statistics import Summary, summarise
from lowdose.models import training_domain
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget
from lowdose.models.training_domain import SeriesMeasurements

LOW = "low dose"
FULL = "full dose"


@dataclass(frozen=True)
class MetricRow:
    """One number. image: 'low dose', a model's name or 'full dose'; metric as named by the profile."""

    case: str
    patient: int
    position: float | None
    image: str
    metric: str
    value: float


@dataclass(frozen=True)
class SampleSlice:
    """One slice of a case in every version, to be drawn: label -> (y, x) HU. aspect: pixel height over width."""

    case: str
    position: float | None
    aspect: float
    images: dict[str, HU]


@dataclass
class ImageEvaluation:
    """Everything a report shows.

    Attributes
    ----------
    profile : Profile
        How fidelity was measured.
    strength : float
        Strength of the models.
    device : str
        Where they ran.
    images : list of str
        Names of all versions of a slice.
    models : dict of str
        SHA-256 of the weights of each model by name; '' for a classical filter.
    rows : list of MetricRow
        All numbers.
    samples : list of SampleSlice
        Slices to show.
    spectra : dict of lists of Spectrum
        Noise power spectra by (case, image), one for each slice with enough flat soft tissue.
    noise_kept : list of str
        Which noise each model kept in each case, and why.
    seconds : dict of float
        Median seconds a slice of each model.
    warnings : list of str
        What a reader should know.
    """

    profile: Profile
    strength: float
    device: str
    images: list[str]
    models: dict[str, str]
    rows: list[MetricRow] = field(default_factory=list)
    samples: list[SampleSlice] = field(default_factory=list)
    spectra: dict[tuple[str, str], list[Spectrum]] = field(default_factory=dict)
    noise_kept: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def values(self, metric: str, image: str, case: str | None = None) -> tuple[list[float], list[int]]:
        """Return the values of one metric of one image, slice by slice, and the patient of each."""
        chosen = [row for row in self.rows if row.metric == metric and row.image == image and case in (None, row.case)]
        return [row.value for row in chosen], [row.patient for row in chosen]

    def summary(self, metric: str, image: str, case: str | None = None) -> Summary | None:
        """Summarise a metric by mean, SD and interval; None where nothing was measured."""
        values, patients = self.values(metric, image, case)
        return summarise(values, patients, seed=0) if values else None

    def spectrum(self, case: str, image: str) -> Spectrum | None:
        """Return the mean noise power spectrum of the slices of a case; None where nothing was measured."""
        spectra = self.spectra.get((case, image))
        return mean_spectrum(spectra) if spectra else None

    def metrics(self) -> list[str]:
        """List the metrics in the order they were measured."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    def cases(self) -> list[str]:
        """List the cases in the order they were measured."""
        return list(dict.fromkeys(row.case for row in self.rows))


def evaluate_images(
    cases: list[PairedSeries],
    models: list[LoadedModel],
    profile: Profile,
    strength: float,
    progress: Callable[[int], None],
    target: NoiseTarget | None = None,
) -> ImageEvaluation:
    """Measure every pair of every case. ``progress`` gets the number of pairs done; ``target``: which noise stays."""
    models = distinct_models(models)
    names = [m.name for m in models]
    device = str(models[0].device) if models else "cpu"
    result = ImageEvaluation(profile, strength, device, [LOW, *names, FULL], {m.name: m.sha256 for m in models})
    spent: dict[str, list[float]] = {m.name: [] for m in models}
    done = 0
    for case in cases:
        shown = case.pairs[len(case.pairs) // 2]
        measured = _measure_if_needed(case, models, target)
        fitted = fit_models_to_case(case, models, target, measured)
        result.noise_kept += _noise_kept(case, fitted, measured, target or NoiseTarget(), strength)
        for pair, around in zip(case.pairs, low_dose_windows(case, models), strict=True):
            low, full = around[len(around) // 2], case.full.read(pair[1])
            images = {LOW: low.hu, **denoise_with_each(fitted, around, strength, spent), FULL: full.hu}
            try:
                result.rows.extend(_rows(case, low, full, images, profile))
                _add_spectra(result, case, low, full, images)
            except LowDoseError as error:
                where = "no position" if low.position is None else f"{low.position:g} mm"
                result.warnings.append(f"{case.name}, slice at {where}, is left out: {error}")
            if pair == shown:
                result.samples.append(SampleSlice(case.name, low.position, low.aspect, images))
            done += 1
            progress(done)
    result.seconds = {name: float(np.median(times)) for name, times in spent.items() if times}
    return result


def distinct_models(models: list[LoadedModel]) -> list[LoadedModel]:
    """Every model once, each under a name of its own: files of one name are told apart by their checksum."""
    found: list[LoadedModel] = []
    for model in models:
        if any(model.name == other.name and model.sha256 == other.sha256 for other in found):
            continue
        taken = {LOW, FULL, *(other.name for other in found)}
        found.append(replace(model, name=f"{model.name} {model.sha256[:8]}") if model.name in taken else model)
    return found


def _measure_if_needed(
    case: PairedSeries, models: Sequence[LoadedModel], target: NoiseTarget | None
) -> SeriesMeasurements | None:
    """Measure the low-dose series; None where no model keeps a share of its noise."""
    by_sd = target is not None and target.noise_sd is not None
    needed = by_sd or any(model.denoiser.noise_free or model.depth_by_noise for model in models)
    return training_domain.measure_series(case.low) if needed else None


def fit_models_to_case(
    case: PairedSeries,
    models: Sequence[LoadedModel],
    target: NoiseTarget | None = None,
    measured: SeriesMeasurements | None = None,
) -> list[LoadedModel]:
    """Models that keep the share of the noise that the low-dose series is to keep.

    measured: of the low-dose series, if it is measured already. Raises InvalidSetting for a noise SD where the noise
    cannot be measured.
    """
    measured = measured or _measure_if_needed(case, models, target)
    if measured is None:
        return list(models)
    target = target or NoiseTarget()
    models = [choose_depth(case.low, model, measured, target) for model in models]
    blends = [measure_blend(case.low, model) if target.noise_sd is not None else None for model in models]
    return [fit_noise(model, measured, target, blend) for model, blend in zip(models, blends, strict=True)]


def _noise_kept(
    case: PairedSeries,
    fitted: Sequence[LoadedModel],
    measured: SeriesMeasurements | None,
    target: NoiseTarget,
    strength: float,
) -> Iterator[str]:
    """Yield a sentence on each model that keeps a share of the noise."""
    for model in fitted:
        if measured is not None and (model.noise_kept is not None or model.depth_by_noise):
            yield f"{case.name}, {model.name}: {report_noise(model, measured, target, None, strength).choice}"


def low_dose_windows(case: PairedSeries, models: Sequence[LoadedModel]) -> Iterator[list[Slice]]:
    """Yield the low-dose slice of every pair with as many neighbours as any of the models looks at."""
    context = max((model.denoiser.context for model in models), default=0)
    return slice_windows(case.low, context, [index for index, _ in case.pairs])


def denoise_with_each(
    models: Sequence[LoadedModel], around: Sequence[Slice], strength: float, spent: dict[str, list[float]]
) -> dict[str, HU]:
    """Every model's (y, x) HU of the slice in the middle of ``around``, by name; ``spent`` gets the seconds of each."""
    images: dict[str, HU] = {}
    low = around[len(around) // 2]
    for model in models:
        start = time.perf_counter()
        images[model.name] = denoise_slice(model, low, strength, around)
        spent[model.name].append(time.perf_counter() - start)
    return images


def _add_spectra(result: ImageEvaluation, case: PairedSeries, low: Slice, full: Slice, images: dict[str, HU]) -> None:
    """Add the noise power spectra of a slice; without pixels of one known size there are none."""
    if low.pixel_mm is None or not np.isclose(*low.pixel_mm):
        return
    shown = np.where(low.valid & full.valid, full.hu, AIR)  # squares with padding are no soft tissue then
    for image, spectrum in noise_spectra(images, shown, low.pixel_mm[0]).items():
        result.spectra.setdefault((case.name, image), []).append(spectrum)


def _rows(case: PairedSeries, low: Slice, full: Slice, images: dict[str, HU], profile: Profile) -> list[MetricRow]:
    valid: Mask = low.valid & full.valid
    # Padding differs between scanners and means nothing: every version shows air there.
    shown = {name: np.where(valid, hu, AIR) for name, hu in images.items()}
    biases = _biases(shown, valid)
    pixel, reference = low.mean_pixel_mm, FidelityReference(shown[FULL], profile)
    rows: list[MetricRow] = []
    for name, hu in shown.items():
        numbers = (reference.measure(hu) if name != FULL else {}) | biases[name]
        level = noise_level(hu, valid, pixel or 1.0)
        if level is not None:
            numbers["noise SD"] = level.sd
            if pixel is not None:
                numbers["noise f_av"] = level.f_av
        rows += [MetricRow(case.name, case.patient, low.position, name, key, value) for key, value in numbers.items()]
    return rows


def _biases(shown: dict[str, HU], valid: Mask) -> dict[str, dict[str, float]]:
    """Mean HU of each tissue, as drawn on the full-dose image, less that of full dose and of low dose."""
    means = tissue_means(shown[FULL], *shown.values(), valid=valid)
    result: dict[str, dict[str, float]] = {name: {} for name in shown}
    for reference in (FULL, LOW):
        base = list(shown).index(reference)
        for tissue, values in means.items():
            for name, value in zip(shown, values, strict=True):
                if name not in (reference, FULL):
                    result[name][f"bias to {reference}, {tissue}"] = value - values[base]
    return result
