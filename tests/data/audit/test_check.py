"""The check of a collection: what it lists, and what it finds wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from lowdose.data.audit.check import audit_collection
from lowdose.data.pack_writer import write_pack
from lowdose.errors import NothingToRead
from lowdose.io.dicom.derivation import new_uid

Scan = Callable[..., np.ndarray]


def test_every_series_is_listed_with_its_facts(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "L067" / "a", "Anonymous", 1, slices=4)
    scan(tmp_path / "b", "P2", 2, slices=1, size=56, kernel="D45f")
    write_pack([tmp_path], tmp_path.parent / "all.pack", "none", "full")
    counts: list[int] = []
    for root in (tmp_path, tmp_path.parent / "all.pack"):
        one, other = audit_collection([root], counts.append).series
        assert (one.case, one.slices, one.kernel, one.kvp, one.thickness_mm) == ("L067", 4, "B30f", 120.0, 3.0)
        assert (one.spacing_mm, one.pixel_mm, one.matrix, one.manufacturer) == (3.0, (0.7, 0.8), (40, 40), "MAKER")
        assert (other.case, other.slices, other.kernel, other.spacing_mm, other.matrix) == (
            None,
            1,
            "D45f",
            None,
            (56, 56),
        )
        assert (one.patient, other.patient) == (1, 2)
    assert counts == [1, 2, 3, 4, 5] * 2
    shutil.rmtree(tmp_path.parent / "all.pack")


def test_clean_data_have_no_warnings(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "train" / "a", "P1", 1)
    scan(tmp_path / "test" / "b", "P2", 2)
    found = audit_collection([tmp_path])
    assert (found.duplicates, found.near_duplicates, found.leaks, found.unreadable) == ([], [], [], [])


def test_copies_and_changed_copies(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "a", seed=1)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    shutil.copytree(tmp_path / "a", tmp_path / "other")
    for file in (tmp_path / "other").iterdir():
        header = pydicom.dcmread(file)
        header.PixelData = (header.pixel_array + 1).tobytes()
        header.save_as(file)
    found = audit_collection([tmp_path])
    assert found.duplicates == [f"the same pixels in 3 slices: {tmp_path / 'a'} and {tmp_path / 'copy'}"]
    assert found.near_duplicates == [
        f"3 slices of one series (by UID) and place, but with other pixels: {tmp_path / 'a'} and {tmp_path / 'other'}"
    ]


def test_the_same_pixels_under_other_names_are_duplicates(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "a", "P1", seed=1, slices=2)
    scan(tmp_path / "b", "P2", seed=1, slices=2)
    assert audit_collection([tmp_path]).duplicates == [
        f"the same pixels in 2 slices: {tmp_path / 'a'} and {tmp_path / 'b'}"
    ]


def test_slices_of_air_are_no_duplicates(tmp_path: Path) -> None:
    hu = np.full((3, 8, 8), -1000.0, np.float32)
    hu[1] += np.arange(8)
    np.savez(tmp_path / "a.npz", hu=hu)
    assert audit_collection([tmp_path]).duplicates == []


def test_a_patient_in_training_and_test_data_is_found(tmp_path: Path, scan: Scan) -> None:
    study = new_uid()
    scan(tmp_path / "data" / "train" / "a", "Anonymous", 1, study=study)
    scan(tmp_path / "data" / "Testing" / "b", "Anonymous", 2, study=study)
    scan(tmp_path / "data" / "train" / "c", "Anonymous", 3)
    (leak,) = audit_collection([tmp_path / "data"]).leaks
    data = tmp_path / "data"
    assert leak == f"patient 1 is on 2 sides: test: {data / 'Testing' / 'b'}; train: {data / 'train' / 'a'}"
    # Two folders given side by side are two sides, packed or not.
    write_pack([data / "train"], tmp_path / "one.pack", "none", "full")
    (leak,) = audit_collection([tmp_path / "one.pack", data / "Testing"]).leaks
    assert str(tmp_path / "one.pack") in leak
    assert audit_collection([data / "train"]).leaks == []


def test_unreadable_files_are_told(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "a", seed=1)
    (tmp_path / "a" / "broken.dcm").write_bytes(b"")
    (tmp_path / "mask.npy").write_bytes(b"nothing")
    found = audit_collection([tmp_path])
    assert [facts.slices for facts in found.series] == [3]
    assert sorted("broken.dcm" in text for text in found.unreadable) == [False, True]
    with pytest.raises(NothingToRead, match="no CT series found"):
        audit_collection([tmp_path / "mask.npy"])


def test_archives_are_looked_into(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "in" / "a", seed=1)
    scan(tmp_path / "in" / "b", seed=2)
    shutil.make_archive(str(tmp_path / "both"), "zip", tmp_path / "in")
    for root in (tmp_path / "both.zip", tmp_path):
        inside = [facts.place for facts in audit_collection([root]).series if ".zip" in facts.place]
        assert inside == [str(tmp_path / "both.zip" / name) for name in "ab"]


def test_a_damaged_pack_is_told(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "in")
    write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full")
    file = tmp_path / "out.pack" / "full-40x40.npy"
    data = bytearray(file.read_bytes())
    data[128 + 40 * 40 * 2] ^= 1
    file.write_bytes(data)
    assert audit_collection([tmp_path / "out.pack"]).unreadable == [f"{file}: image 1 is not what was packed"]


def test_doses_of_a_pair_are_no_near_duplicates(tmp_path: Path, pairs: Path) -> None:
    write_pack([pairs], tmp_path / "pairs.pack", "folders", "full")
    found = audit_collection([tmp_path / "pairs.pack"])
    assert (found.duplicates, found.near_duplicates, found.leaks) == ([], [], [])
    assert [(facts.case, facts.slices) for facts in found.series] == [("L067", 3), ("L096", 3), ("L333", 3)]
