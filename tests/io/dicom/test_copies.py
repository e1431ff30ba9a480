"""Copies of images are taken once; different images under one SOPInstanceUID are refused by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from lowdose.data.series import iterate_series
from lowdose.errors import MixedSeries
from lowdose.io.dicom.series import DicomSource
from support.synthetic_dicom import make_series


@pytest.mark.parametrize("place", ["s001 (1).dcm", "backup/s001.dcm", "a.dcm"])
def test_a_copy_is_taken_once_and_named(tmp_path, place):
    path = make_series(tmp_path)[1]
    (tmp_path / place).parent.mkdir(exist_ok=True)
    shutil.copy(path, tmp_path / place)
    source = DicomSource(tmp_path)
    assert [image.plane.position for image in source.images] == [0, 2, 4, 6]
    assert [" a copy of " in line for line in source.skipped] == [True]
    assert source.warnings == ["1 image is a copy of others in this series; every image was taken once."]


def test_a_copy_in_another_encoding_is_a_copy(tmp_path):
    path = make_series(tmp_path)[1]
    ds = dcmread(path)
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.StationName = "ELSEWHERE"
    ds.save_as(tmp_path / "x.dcm")
    assert len(DicomSource(tmp_path)) == 4


def test_copies_without_a_uid_are_known_by_place_and_pixels(tmp_path):
    path = make_series(tmp_path, after=lambda ds, i: setattr(ds, "SOPInstanceUID", ""))[1]
    ds = dcmread(path)
    ds.StationName = "ELSEWHERE"
    ds.save_as(tmp_path / "again.dcm")
    assert len(DicomSource(tmp_path)) == 4


@pytest.mark.parametrize(
    "edit",
    [
        lambda ds: setattr(ds, "PixelData", bytes(np.frombuffer(ds.PixelData, "<u2")[::-1].tobytes())),
        lambda ds: setattr(ds, "ImagePositionPatient", [-20, -20, 99]),
        lambda ds: setattr(ds, "RescaleIntercept", -1000),
    ],
)
def test_another_image_with_the_uid_of_one_is_refused_with_both_names(tmp_path, edit):
    path = make_series(tmp_path)[1]
    ds = dcmread(path)
    edit(ds)
    ds.save_as(tmp_path / "other.dcm")
    with pytest.raises(MixedSeries, match=r"s001\.dcm and .*other\.dcm: different images with one SOPInstanceUID"):
        DicomSource(tmp_path)
    warnings: list[str] = []
    assert list(iterate_series(tmp_path, warnings)) == []
    assert "one SOPInstanceUID" in warnings[0]


def test_training_takes_copies_once(tmp_path):
    shutil.copy(make_series(tmp_path)[0], tmp_path / "again.dcm")
    warnings: list[str] = []
    (series,) = iterate_series(tmp_path, warnings)
    assert len(series.planes) == 4
    assert "a copy of" in warnings[0]
