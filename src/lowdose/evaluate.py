"""Low dose, each model and full dose against each other: one tidy table, and the slices to show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from lowdose.errors import LowDoseError
from lowdose.infer.models import ReadyModel
from lowdose.infer.pipeline import AIR, denoise_slice
from lowdose.io.source import Source
from lowdose.metrics.noise import noise_level
from lowdose.metrics.profiles import Profile, measure
from lowdose.metrics.statistics import Summary, summary
from lowdose.metrics.tissue import tissue_bias
from lowdose.volume import HU, Mask, Slice

LOW = "low dose"
FULL = "full dose"


@dataclass(frozen=True)
class Case:
    """One series at two doses: which slices belong together, and whose they are (a number, never a name)."""

    name: str
    patient: int
    low: Source
    full: Source
    pairs: list[tuple[int, int]]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """One number. image: 'low dose', a model's name or 'full dose'; metric as named by the profile."""

    case: str
    patient: int
    position: float | None
    image: str
    metric: str
    value: float


@dataclass(frozen=True)
class Sample:
    """One slice of a case in every version, to be drawn: label -> (y, x) HU."""

    case: str
    position: float | None
    pixel_mm: tuple[float, float] | None
    images: dict[str, HU]

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        return self.pixel_mm[0] / self.pixel_mm[1] if self.pixel_mm else 1.0


@dataclass
class Evaluation:
    """Everything a report shows."""

    profile: Profile
    strength: float
    device: str
    images: list[str]
    models: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def values(self, metric: str, image: str, case: str | None = None) -> tuple[list[float], list[int]]:
        """The slices' values of one metric of one image, and the patient of each."""
        chosen = [row for row in self.rows if row.metric == metric and row.image == image and case in (None, row.case)]
        return [row.value for row in chosen], [row.patient for row in chosen]

    def summary(self, metric: str, image: str, case: str | None = None) -> Summary | None:
        """Mean, SD and interval; None where nothing was measured."""
        values, patients = self.values(metric, image, case)
        return summary(values, patients, seed=0) if values else None

    def metrics(self) -> list[str]:
        """Names in the order they were measured."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    def cases(self) -> list[str]:
        return list(dict.fromkeys(row.case for row in self.rows))


def evaluate(
    cases: list[Case],
    models: list[ReadyModel],
    profile: Profile,
    strength: float,
    progress: Callable[[int], None],
) -> Evaluation:
    """Measure every pair of every case. ``progress`` gets the number of pairs done."""
    models = distinct(models)
    names = [m.name for m in models]
    device = str(models[0].device) if models else "cpu"
    result = Evaluation(profile, strength, device, [LOW, *names, FULL], {m.name: m.sha256 for m in models})
    spent: dict[str, list[float]] = {m.name: [] for m in models}
    done = 0
    for case in cases:
        shown = case.pairs[len(case.pairs) // 2]
        for pair in case.pairs:
            low, full = case.low.read(pair[0]), case.full.read(pair[1])
            images = {LOW: low.hu, **_denoised(models, low, strength, spent), FULL: full.hu}
            try:
                result.rows.extend(_rows(case, low, full, images, profile))
            except LowDoseError as error:
                where = "no position" if low.position is None else f"{low.position:g} mm"
                result.warnings.append(f"{case.name}, slice at {where}, is left out: {error}")
            if pair == shown:
                result.samples.append(Sample(case.name, low.position, low.pixel_mm, images))
            done += 1
            progress(done)
    result.seconds = {name: float(np.median(times)) for name, times in spent.items() if times}
    return result


def distinct(models: list[ReadyModel]) -> list[ReadyModel]:
    """Every model once, each under a name of its own: files of one name are told apart by their checksum."""
    found: list[ReadyModel] = []
    for model in models:
        if any(model.name == other.name and model.sha256 == other.sha256 for other in found):
            continue
        taken = {LOW, FULL, *(other.name for other in found)}
        found.append(replace(model, name=f"{model.name} {model.sha256[:8]}") if model.name in taken else model)
    return found


def _denoised(models: list[ReadyModel], low: Slice, strength: float, spent: dict[str, list[float]]) -> dict[str, HU]:
    images: dict[str, HU] = {}
    for model in models:
        start = time.perf_counter()
        images[model.name] = denoise_slice(model, low, strength)
        spent[model.name].append(time.perf_counter() - start)
    return images


def _rows(case: Case, low: Slice, full: Slice, images: dict[str, HU], profile: Profile) -> list[Row]:
    valid: Mask = low.valid & full.valid
    # Padding differs between scanners and means nothing: both images show air there.
    reference = np.where(valid, full.hu, AIR)
    rows: list[Row] = []
    pixel = float(np.sqrt(low.pixel_mm[0] * low.pixel_mm[1])) if low.pixel_mm else None
    for name, hu in images.items():
        shown = np.where(valid, hu, AIR)
        numbers: dict[str, float] = {}
        if name != FULL:
            numbers |= measure(shown, reference, profile)
            numbers |= {
                f"bias to full dose, {t}": v for t, v in tissue_bias(shown, reference, reference, valid).items()
            }
        if name not in (LOW, FULL):
            numbers |= {f"bias to low dose, {t}": v for t, v in tissue_bias(hu, low.hu, reference, valid).items()}
        level = noise_level(shown, valid, pixel or 1.0)
        if level is not None:
            numbers["noise SD"] = level.sd
            if pixel is not None:
                numbers["noise f_av"] = level.f_av
        rows += [Row(case.name, case.patient, low.position, name, key, value) for key, value in numbers.items()]
    return rows
