"""Pairs of series: finding them, matching slices, and telling patients apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch, InvalidSetting, NothingToRead
from lowdose.io.dicom.patients import is_generic, number_patients
from lowdose.io.dicom.series import DicomSource
from lowdose.io.open_series import open_source
from lowdose.io.pairing import find_pairs, pair_slices, pairing_warnings
from support.synthetic_dicom import make_series


def series(folder, zs, **values):
    def edit(ds, i):
        ds.ImagePositionPatient = [-20, -20, zs[i]]
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    make_series(folder, len(zs), after=edit)
    return DicomSource(folder)


def test_slices_pair_by_position(tmp_path):
    low, full = series(tmp_path / "low", [0, 2.05, 4, 8]), series(tmp_path / "full", [2, 4.02, 6, 8, 10])
    pairs = pair_slices(low, full)
    assert pairs == [(1, 0), (2, 1), (3, 3)]
    assert pairing_warnings(low, full, pairs) == [
        "1 of 4 low-dose slices have no partner and are left out.",
        "2 of 5 full-dose slices have no partner and are left out.",
    ]
    assert pairing_warnings(low, low, pair_slices(low, low)) == []


def test_a_slice_is_paired_once(tmp_path):
    low, full = series(tmp_path / "low", [0, 0.05]), series(tmp_path / "full", [0, 5])
    assert pair_slices(low, full) == [(0, 0)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"PixelSpacing": [0.71, 0.7]}, r"pixel spacing \(0.7, 0.7\).*\(0.71, 0.7\)"),
        ({"ImageOrientationPatient": [0.9998, 0.02, 0, -0.02, 0.9998, 0]}, "orientation"),
    ],
)
def test_different_grids(tmp_path, values, message):
    low, full = series(tmp_path / "low", [0, 2]), series(tmp_path / "full", [0, 2], **values)
    with pytest.raises(GeometryMismatch, match=message):
        pair_slices(low, full)


def test_shifted_or_elsewhere_or_of_another_size(tmp_path):
    low = series(tmp_path / "low", [0, 2])
    full = series(tmp_path / "full", [0, 2])
    full.planes = [replace(plane, corner=(-19.5, -20, plane.position or 0.0)) for plane in full.planes]
    with pytest.raises(GeometryMismatch, match=r"0\.7 pixels apart"):
        pair_slices(low, full)
    with pytest.raises(GeometryMismatch, match="50 to 52 mm"):
        pair_slices(low, series(tmp_path / "far", [50, 52]))
    full.planes = [replace(plane, shape=(32, 64)) for plane in low.planes]
    with pytest.raises(GeometryMismatch, match="matrix"):
        pair_slices(low, full)


def test_arrays_without_positions_pair_one_to_one(tmp_path):
    for name, count in (("low", 3), ("full", 3), ("long", 4)):
        np.save(tmp_path / f"{name}.npy", np.full((count, 8, 8), -1000.0) + np.arange(8))
    with (
        open_source(tmp_path / "low.npy") as low,
        open_source(tmp_path / "full.npy") as full,
        open_source(tmp_path / "long.npy") as long,
    ):
        assert pair_slices(low, full) == [(0, 0), (1, 1), (2, 2)]
        with pytest.raises(GeometryMismatch):
            pair_slices(low, long)


def test_messages_name_both_series(tmp_path):
    low = series(tmp_path / "low", [0, 2])
    for name, full in (
        ("a", series(tmp_path / "a", [0, 2], PixelSpacing=[1, 1])),
        ("b", series(tmp_path / "b", [9, 11])),
    ):
        with pytest.raises(GeometryMismatch) as caught:
            pair_slices(low, full)
        assert str(caught.value).startswith(f"{tmp_path / 'low'}, {tmp_path / name}: ")


def test_strangers_are_told(tmp_path):
    low = series(tmp_path / "low", [0, 2])
    other = series(tmp_path / "full", [0, 2], StudyInstanceUID="7.1", FrameOfReferenceUID="7.2", PatientID="OTHER")
    assert pairing_warnings(low, other, [(0, 0), (1, 1)]) == [
        "The two series share no patient ID, study, frame of reference or scan time: are they of one patient?"
    ]
    np.save(tmp_path / "a.npy", np.full((2, 8, 8), -1000.0) + np.arange(8))
    with open_source(tmp_path / "a.npy") as array:
        assert pairing_warnings(low, array, [(0, 0), (1, 1)]) == []


def test_no_pair_and_more_than_one(tmp_path):
    (tmp_path / "file").write_text("text")
    for root in (tmp_path, tmp_path / "file"):
        with pytest.raises(NothingToRead, match=r"quarter.*beside one named full"):
            find_pairs(root)
    with pytest.raises(NothingToRead, match="no such file or folder"):
        find_pairs(tmp_path / "absent")
    for name in ("scan/quarter", "scan/low"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "scan" / "full").mkdir()
    with pytest.raises(InvalidSetting, match=r"scan/low and .*scan/quarter"):
        find_pairs(tmp_path)


def test_find_pairs(tmp_path):
    for name in ("a/full", "a/quarter", "b/Full_Dose_3mm", "b/low_dose_3mm", "c/full_1mm", "c/quarter_3mm", "d/fuller"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "NDCT").mkdir()
    (tmp_path / "ldct").mkdir()
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "high.nii.gz").touch()
    (tmp_path / "e" / "low.nii.gz").touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    found = {pair.name: (pair.low.name, pair.full.name) for pair in find_pairs(tmp_path)}
    assert found == {
        tmp_path.name: ("ldct", "NDCT"),
        "a": ("quarter", "full"),
        "b/3mm": ("low_dose_3mm", "Full_Dose_3mm"),
        "e": ("low.nii.gz", "high.nii.gz"),
    }


def test_patients_are_joined_by_any_shared_key(tmp_path):
    anonymous = {"PatientID": "Anonymous", "StudyDate": "20200101"}

    def made(name, **values):
        return series(tmp_path / name, [0], **{**anonymous, **values})

    sources = [
        made("a", StudyInstanceUID="1.1", FrameOfReferenceUID="1.5", StudyTime="101010.500000"),
        made("b", StudyInstanceUID="1.2", FrameOfReferenceUID="1.6", StudyTime="101010.500"),
        made("c", StudyInstanceUID="1.3", FrameOfReferenceUID="1.7", StudyTime="101010"),
        made("d", StudyInstanceUID="1.4", FrameOfReferenceUID="1.6", StudyTime="101010"),
        made("e", StudyInstanceUID="1.8", FrameOfReferenceUID="1.9", PatientID="P7", StudyTime="000000.0000"),
        made("f", StudyInstanceUID="2.1", FrameOfReferenceUID="2.2", PatientID="P7", StudyTime=""),
        made("g", StudyInstanceUID="2.3", FrameOfReferenceUID="2.4", StudyTime="000000.0000"),
    ]
    assert number_patients([*sources, object()]) == [0, 0, 1, 0, 2, 2, 3, 4]
    keys = " ".join(key for source in sources for key in source.patient_keys)
    assert "P7" not in keys
    assert all(len(key) == 64 for key in keys.split())


@pytest.mark.parametrize("name", ["", "Anonymous", "ANON", "0", "000", "unknown", "anon_0", "N/A", "anonymous-000"])
def test_placeholders_are_no_names(name):
    assert is_generic(name)


def test_names_are_no_placeholders():
    assert not is_generic("LIDC-IDRI-0001")
    assert not is_generic("12")
