"""Which images are one series: patients, studies and frames of reference apart, odd UIDs put right."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from lowdose.data.series import iterate_series
from lowdose.errors import MixedSeries
from lowdose.io.dicom.series import DicomSource
from lowdose.io.dicom.series_identity import SeriesPart, group_parts, merged, uid_of
from lowdose.io.open_series import open_sink
from support.synthetic_dicom import make_series


def patients(root: Path, uid: str | None, apart: str = "PatientID") -> None:
    """Two patients in two folders, with the SeriesInstanceUID ``uid`` or none."""
    for patient in "AB":

        def edit(ds: Any, index: int, patient: str = patient) -> None:
            ds.PatientID = ds.PatientName = ""
            setattr(
                ds,
                apart,
                {"StudyInstanceUID": "1.9.", "FrameOfReferenceUID": "1.8."}.get(apart, "") + str(ord(patient)),
            )
            if uid is None:
                del ds.SeriesInstanceUID
            else:
                ds.SeriesInstanceUID = uid

        make_series(root / patient, 3, after=edit)


@pytest.mark.parametrize("apart", ["PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"])
@pytest.mark.parametrize("uid", [None, "1.2.3.10"])
def test_what_is_not_one_scan_is_never_one_series(tmp_path, provenance, uid, apart):
    patients(tmp_path / "in", uid, apart)
    with pytest.raises(MixedSeries) as caught:
        DicomSource(tmp_path / "in")
    lines = str(caught.value).splitlines()
    assert ("of 2 patients" in lines[0]) == apart.startswith("Patient")
    assert "A/s000.dcm" in lines[1]
    assert "B/s000.dcm" in lines[2]
    for line, patient in zip(lines[1:], "AB", strict=True):
        source = DicomSource(tmp_path / "in", line.split()[0])
        assert {image.path.parent.name for image in source.images} == {patient}
        with open_sink(source, tmp_path / patient, provenance) as sink:
            for index in range(len(source)):
                sink.write(source.read(index), source.read(index).hu)
        for made, old in zip(sorted((tmp_path / patient).iterdir()), source.images, strict=True):
            for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
                assert dcmread(made)[keyword] == dcmread(old.path)[keyword]


def test_what_some_images_leave_out_makes_no_other_series(tmp_path):
    def edit(ds, i):
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID")[i:]:
            setattr(ds, keyword, "")

    make_series(tmp_path, after=edit)
    assert len(DicomSource(tmp_path)) == 4


def test_every_image_keeps_its_study(tmp_path, provenance):
    make_series(tmp_path / "in", 2, after=lambda ds, i: setattr(ds, "StudyInstanceUID", ["", "1.2.77"][i]))
    source = DicomSource(tmp_path / "in")
    with open_sink(source, tmp_path / "out", provenance) as sink:
        for index in range(2):
            sink.write(source.read(index), source.read(index).hu)
    assert {dcmread(path).StudyInstanceUID for path in (tmp_path / "out").iterdir()} == {"1.2.77"}


def test_images_with_a_series_each_are_joined_where_they_are_a_stack(tmp_path):
    make_series(tmp_path / "in", 5, after=lambda ds, i: setattr(ds, "SeriesInstanceUID", f"1.2.3.{50 - i}"))
    source = DicomSource(tmp_path / "in")
    assert [image.plane.position for image in source.images] == [0, 2, 4, 6, 8]
    assert "SeriesInstanceUID of its own" in source.warnings[0]
    assert source.uids["series"] == "1.2.3.46"
    assert [len(series.planes) for series in iterate_series(tmp_path / "in", [])] == [5]


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "FrameOfReferenceUID"])
def test_copies_do_not_hide_that_each_image_has_a_uid_of_its_own(tmp_path, keyword):
    paths = make_series(tmp_path, 5, after=lambda ds, i: setattr(ds, keyword, f"1.2.3.{50 + i}"))
    for path in paths[:3]:
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    assert len(DicomSource(tmp_path)) == 5


@pytest.mark.parametrize(
    "edit",
    [
        lambda ds, i: setattr(ds, "StudyInstanceUID", f"1.2.4.{i}"),
        lambda ds, i: setattr(ds, "PatientID", f"P{i}"),
        lambda ds, i: setattr(ds, "PixelSpacing", [0.7 + i, 0.7 + i]),
        lambda ds, i: setattr(ds, "ConvolutionKernel", f"B{i}0f"),
        lambda ds, i: setattr(ds, "ImagePositionPatient", [-20, -20, 0]),
        lambda ds, i: setattr(ds, "ImagePositionPatient", [-20, -20, i**3]),
    ],
)
def test_images_with_a_series_each_are_not_joined_otherwise(tmp_path, edit):
    make_series(tmp_path, 5, after=lambda ds, i: (setattr(ds, "SeriesInstanceUID", f"1.2.3.{i}"), edit(ds, i)))
    with pytest.raises(MixedSeries, match="5 series"):
        DicomSource(tmp_path)


def test_a_frame_of_reference_for_each_image_tells_nothing(tmp_path):
    make_series(tmp_path, after=lambda ds, i: setattr(ds, "FrameOfReferenceUID", f"1.2.3.{i}"))
    assert len(DicomSource(tmp_path)) == 4


short = st.sampled_from(["", "1", "2"])
parts = st.lists(st.builds(SeriesPart, short, short, short, short, st.sampled_from("ab")), max_size=12)


@given(parts)
def test_grouping_is_a_partition_that_mixes_no_patients_and_merging_does_not_change_it(found):
    groups = group_parts(found)
    assert sorted(index for group in groups for index in group.parts) == list(range(len(found)))
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
        members = [found[index] for index in group.parts]
        assert len({part.patient for part in members} - {""}) <= 1
        assert len({part.study for part in members} - {""}) <= 1
        assert {part.series for part in members} == {uid_of(group.name)}
        assert group.name.startswith("@") or members[0].series
    assert {group.name for group in group_parts(merged(found))} == {group.name for group in groups}


def test_names_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    found = [SeriesPart("1", f"{i % 2}", "", f"{i % 3}", "") for i in range(12)]
    names = {group.name for group in group_parts(found)}
    assert {group.name for group in group_parts([found[i] for i in rng.permutation(12)])} == names
