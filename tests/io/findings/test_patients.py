"""Findings in the slices of several patients: at either dose, under names that repeat, and of other pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowdose.boxes import Box
from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.io.findings.finding import Finding, Findings, LeftOut, Mark, SliceName
from lowdose.io.findings.patients import PatientSlice, PatientSlices
from lowdose.io.findings.placement import SeriesSlices, SlicePlace
from lowdose.io.findings.regions import PictureBox
from lowdose.io.source import Plane, SliceFile

BOX: Box = (2.0, 3.0, 5.0, 7.0)
WAY_OUT = "name it, or the folder it lies in, like the file or folder of its patient"


def series(patient: int, dose: str, side: int) -> SeriesSlices:
    files = [SliceFile(Path(f"/data/case{patient}/{dose}/{n}.dcm"), 0, f"1.{patient}.{dose}.{n}") for n in range(2)]
    return SeriesSlices(f"1.{patient}.{dose}", [Plane((side, side))] * 2, files)


def patients(*sides: int) -> PatientSlices:
    """Patients from 1 with two slices at both doses, whose files have the same names everywhere; their matrix sizes."""
    slices = []
    for patient, side in enumerate(sides, start=1):
        doses = [series(patient, dose, side) for dose in ("full", "low")]
        slices += [PatientSlice(patient, tuple(SlicePlace(dose, n) for dose in doses)) for n in range(2)]
    return PatientSlices(slices)


def findings(*names: SliceName, path: str = "a.json", shape: tuple[int, int] | None = None) -> Findings:
    marks = [(Mark(name, PictureBox(BOX, shape)),) for name in names]
    return Findings(Path(path), [Finding("cyst", mark, Path(path)) for mark in marks], [])


def placed(slices: PatientSlices, found: Findings) -> list[dict[int, list[Box]]]:
    return [
        {number: [part.box for part in own] for number, own in parts.items()} for _, parts in slices.place(found)[0]
    ]


@pytest.mark.parametrize("dose", ["full", "low"])
def test_a_uid_of_either_dose_names_the_slice(dose: str) -> None:
    assert placed(patients(8, 8), findings(SliceName(sop_uid=f"1.2.{dose}.1"))) == [{3: [BOX]}]


def test_a_name_of_several_patients_is_that_of_the_patient_whom_the_file_is_called_after() -> None:
    name = SliceName(file="1.png")
    with pytest.raises(InvalidSetting, match=rf"a\.json: fits slices of 2 patients \(/data/case1.*{WAY_OUT}"):
        patients(8, 8).place(findings(name))
    assert placed(patients(8, 8), findings(name, path="case2_cysts.json")) == [{3: [BOX]}]
    assert placed(patients(8, 8), findings(name, path="case1/a.json")) == [{1: [BOX]}]


def test_files_of_another_patient_with_the_same_names_may_have_other_pixels() -> None:
    name = SliceName(file="1.png")
    assert placed(patients(8, 16), findings(name, path="case1.json", shape=(8, 8))) == [{1: [BOX]}]
    with pytest.raises(GeometryMismatch, match=r"case2\.json: a box is stated in a picture of 8 x 8 pixels"):
        patients(8, 16).place(findings(name, path="case2.json", shape=(8, 8)))
    with pytest.raises(InvalidSetting, match="fits slices of 2 patients"):
        patients(8, 16).place(findings(name, shape=(8, 8)))


def test_what_lies_nowhere_is_counted_unless_it_is_all() -> None:
    here, gone = SliceName(sop_uid="1.1.full.0"), SliceName(sop_uid="1.9")
    assert patients(8).place(findings(here, gone))[1] == [
        LeftOut(Path("a.json"), "1 of 2 findings lie in no slice of the data")
    ]
    with pytest.raises(InvalidSetting, match=r"none of its 1 findings .* the image 1\.9; the data have series 1\.1\.f"):
        patients(8).place(findings(gone))
