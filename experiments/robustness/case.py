"""One damaged file, opened, read and derived unchanged: what became of it, and whether it was right."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import lowdose
from experiments.robustness.mutations import HEADER_MUTATIONS, STREAM_MUTATIONS, Mutation
from experiments.robustness.sound_files import Base, encoded, header_bases, image, stream_bases
from lowdose.errors import LowDoseError, MixedSeries
from lowdose.io.dicom.full_header import read_full_header
from lowdose.io.dicom.series import DicomSource
from lowdose.models.load import LoadedModel

Kind = Literal["header", "pixels"]
DERIVED, REFUSED, FAILED = "derived", "refused", "failed"
BY_BYTE = 4
"""Number of mutations of headers, the first ones, that need no elements."""
PATIENT, STUDY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"), "StudyInstanceUID"


class Outcome(NamedTuple):
    """What became of one case: DERIVED, REFUSED or FAILED, with the reason for the last two."""

    kind: Kind
    seed: int
    base: str
    mutation: str
    outcome: str
    reason: str = ""


class WrongResult(Exception):
    """What was derived, or how it was refused, is not right."""


class Cases:
    """Makes cases from seeds and tries them in an empty folder of its own."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._kind: Kind = kind
        self._folder = folder
        self._bases = header_bases() if kind == "header" else stream_bases()
        self._neighbours = [encoded(image(index)) for index in (1, 2)]
        self._model = lowdose.load_model("gaussian", device="cpu")

    def damaged(self, seed: int) -> tuple[Base, Mutation, bytes]:
        """Return the sound file of a seed, what is done to it, and the damaged file."""
        rng = Random(f"{self._kind} {seed}")
        base = rng.choice(self._bases)
        mutations = STREAM_MUTATIONS if self._kind == "pixels" else HEADER_MUTATIONS
        if not base.by_element:
            mutations = mutations[:BY_BYTE]
        mutation = rng.choice(mutations)
        return base, mutation, mutation(base.parts, rng)

    def run(self, seed: int) -> Outcome:
        """Try a case: the damaged file by itself for even seeds, beside two sound slices of its series for odd ones."""
        base, mutation, data = self.damaged(seed)
        shutil.rmtree(self._folder, ignore_errors=True)
        folder = self._folder / "in"
        folder.mkdir(parents=True)
        for index, sound in enumerate([data, *self._neighbours][: 3 if seed % 2 else 1]):
            (folder / f"{index}.dcm").write_bytes(sound)
        try:
            outcome, reason = try_folder(folder, self._folder / "out", self._model)
        except Exception as error:
            outcome, reason = FAILED, f"{type(error).__name__}: {error}"
        return Outcome(self._kind, seed, base.name, mutation.__name__, outcome, reason)


def try_folder(folder: Path, out: Path, model: LoadedModel) -> tuple[str, str]:
    """Derive the series of a folder unchanged; return DERIVED or REFUSED, and why.

    Raises WrongResult, and whatever lowdose raises that is not one of its own errors.
    """
    before = {path: path.read_bytes() for path in folder.iterdir()}
    try:
        lowdose.denoise(folder, out, model=model, strength=0.0)
    except LowDoseError as error:
        _check_refusal(error, folder, out)
        return REFUSED, str(error)
    finally:
        if {path: path.read_bytes() for path in folder.iterdir()} != before:
            raise WrongResult("the input was changed")
    _check_derived(DicomSource(folder), DicomSource(out))
    return DERIVED, ""


def _check_refusal(error: LowDoseError, folder: Path, out: Path) -> None:
    if len(str(error)) < 20 or (not isinstance(error, MixedSeries) and "\n" in str(error)):
        raise WrongResult(f"refused in other than one line: {error}")
    if [path for path in folder.parent.iterdir() if path != folder]:
        raise WrongResult(f"something was left behind: {out}")


def _check_derived(source: DicomSource, derived: DicomSource) -> None:
    wanted, found = Counter(_described(source)), Counter(_described(derived))
    if wanted != found:
        different = [{"hash of HU": hash(hu), "place": place, "of": of} for hu, *place, of in (wanted - found)]
        raise WrongResult(f"not derived as they are: {different}")
    studies = [{_text(read_full_header(part.path), STUDY) for part in series.images} for series in (source, derived)]
    if not studies[0] - {""} <= studies[1]:
        raise WrongResult(f"studies {studies[0]} became {studies[1]}")


def _described(series: DicomSource) -> Iterator[tuple[Any, ...]]:
    """Yield what must not change of each slice: HU, place and size, and the patient."""
    for index, plane in enumerate(series.planes):
        header = read_full_header(series.images[index].path)
        patient = tuple(_text(header, keyword) for keyword in PATIENT)
        yield series.read(index).hu.tobytes(), plane.corner, plane.axes, plane.pixel_mm, patient


def _text(header: Any, keyword: str) -> str:
    try:
        return str(header.get(keyword) or "")
    except Exception as error:  # pydicom raises errors of many types on what the damage left
        return type(error).__name__
