"""Normal-dose slices: every CT series below a root, in whatever form, and nothing that is none."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from lowdose.data.normal_dose import NormalDoseSlice, normal_dose_slices
from lowdose.data.pack_writer import write_pack
from lowdose.data.training_set import find_single_slices
from lowdose.errors import IncompatiblePack, NothingToRead
from lowdose.io.dicom.derivation import new_uid

Scan = Callable[..., np.ndarray]


def values(items: list[NormalDoseSlice]) -> set[bytes]:
    return {item.read().tobytes() for item in items}


def images(*stacks: np.ndarray) -> set[bytes]:
    return {image.tobytes() for stack in stacks for image in stack}


def test_several_series_in_one_folder_and_patients_over_all_roots(tmp_path: Path, scan: Scan) -> None:
    one = scan(tmp_path / "a" / "mixed", "ANN", 1)
    two = scan(tmp_path / "a" / "mixed", "BOB", 2, slices=2, kernel="D45f")
    three = scan(tmp_path / "b" / "deep" / "er", "ANN", 3, slices=1)
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, [tmp_path / "a", tmp_path / "b"])
        assert values(items) == images(one, two, three)
    assert warnings == []
    by_patient = {patient: sum(i.patient == patient for i in items) for patient in {i.patient for i in items}}
    assert by_patient == {1: 4, 2: 2}
    assert {(i.patient, i.kernel) for i in items} == {(1, "B30f"), (2, "D45f")}
    assert {(i.pixel_mm, i.thickness_mm, i.kvp, i.manufacturer) for i in items} == {((0.7, 0.8), 3.0, 120.0, "MAKER")}
    assert len({i.key for i in items}) == 6


def test_other_formats_and_what_is_none(tmp_path: Path, scan: Scan) -> None:
    hu = scan(tmp_path / "dicom", seed=1)
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for seed in (4, 5):
            scan(tmp_path / f"z{seed}", f"P{seed}", seed, slices=1)
            for file in (tmp_path / f"z{seed}").iterdir():
                archive.write(file, f"{seed}/{file.name}")
            shutil.rmtree(tmp_path / f"z{seed}")
    nibabel.save(nibabel.Nifti1Image(hu.T.astype(np.int16) - 1, np.eye(4)), tmp_path / "scan.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 2), np.uint8), np.eye(4)), tmp_path / "labels.nii.gz")
    (tmp_path / "readme.txt").write_text("no image")
    for file in sorted((tmp_path / "dicom").iterdir())[:1]:
        header = pydicom.dcmread(file)
        header.ImageType, header.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], new_uid()
        header.save_as(tmp_path / "dicom" / "scout.dcm")
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, [tmp_path])
        assert len(items) == 3 + 2 + 3
        assert len({item.patient for item in items}) == 4
        assert values(items) >= images(hu, hu - 1)
    (told,) = warnings
    assert "labels.nii.gz" in told
    assert told.endswith("(left out)")


def test_projection_data_are_passed_over(tmp_path: Path, scan: Scan) -> None:
    hu = scan(tmp_path / "images", seed=1, slices=1)
    scan(tmp_path / "projections", seed=2, slices=2)
    for file in (tmp_path / "projections").iterdir():
        header = pydicom.dcmread(file)
        header.add_new(0x70310010, "LO", "geometry")
        header.add_new(0x70311001, "FL", 595.0)
        header.save_as(file)
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, [tmp_path])
        assert values(items) == images(hu)
    assert warnings == [f"{tmp_path / 'projections'}: projection data (DICOM-CT-PD), not images; passed over"]


def test_packs_are_as_good_as_folders(tmp_path: Path, scan: Scan, pairs: Path) -> None:
    scan(tmp_path / "in", "ANN", 1)
    scan(tmp_path / "more", "ANN", 2)
    write_pack([tmp_path / "in"], tmp_path / "single.pack", "none", "full")
    write_pack([pairs], tmp_path / "pairs.pack", "folders", "full")
    with ExitStack() as stack:
        folder, _ = normal_dose_slices(stack, [tmp_path / "in"])
        single, _ = normal_dose_slices(stack, [tmp_path / "single.pack"])
        assert values(folder) == values(single)
        for one, other in zip(folder, single, strict=True):
            for name in ("patient", "pixel_mm", "thickness_mm", "kernel", "kvp", "mas", "manufacturer", "case"):
                assert getattr(one, name) == getattr(other, name), name
        joined, _ = normal_dose_slices(stack, [tmp_path / "single.pack", tmp_path / "more", tmp_path / "pairs.pack"])
        assert len(joined) == 3 + 3 + 9
        assert [i.case for i in joined if i.patient == 1] == [None] * 6
        assert {i.case for i in joined if i.patient > 1} == {"L067", "L096", "L333"}


def test_slices_packed_as_low_dose_are_never_taken_for_normal(tmp_path: Path, scan: Scan) -> None:
    scan(tmp_path / "in")
    write_pack([tmp_path / "in"], tmp_path / "low.pack", "none", "low")
    with ExitStack() as stack, pytest.raises(NothingToRead, match=r"low\.pack: no CT slice of normal dose"):
        normal_dose_slices(stack, [tmp_path / "low.pack"])


def test_single_slices_are_of_any_dose(tmp_path: Path, scan: Scan, pairs: Path) -> None:
    low = scan(tmp_path / "in" / "low_dose", "ANN", 1)
    write_pack([tmp_path / "in"], tmp_path / "low.pack", "none", "low")
    write_pack([pairs], tmp_path / "pairs.pack", "folders", "full")
    (tmp_path / "empty").mkdir()
    with ExitStack() as stack:
        for place in ("in", "low.pack"):
            found, _ = find_single_slices(stack, [tmp_path / place])
            assert {item.read()[0].tobytes() for item in found} == images(low)
            assert all(np.array_equal(*item.read()) for item in found)
        both, _ = find_single_slices(stack, [tmp_path / "pairs.pack"])
        assert len(both) == len({item.key for item in both}) == 2 * 9
        assert {item.patient for item in both} == {1, 2, 3}
        with pytest.raises(NothingToRead, match="no CT slice found"):
            find_single_slices(stack, [tmp_path / "empty"])


def test_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "bad.pack").mkdir()
    (tmp_path / "bad.pack" / "full-4x4.npy").write_bytes(b"")
    with ExitStack() as stack:
        with pytest.raises(IncompatiblePack, match=r"slices\.json"):
            normal_dose_slices(stack, [tmp_path / "bad.pack"])
        with pytest.raises(NothingToRead, match="no such file"):
            normal_dose_slices(stack, [tmp_path / "absent"])


def test_memory_of_unpacked_files_ends_with_the_stack(tmp_path: Path) -> None:
    hu = np.full((2, 8, 8), -1000, np.int16) + np.arange(8, dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(hu.T, np.eye(4)), tmp_path / "a.nii.gz")
    with ExitStack() as stack:
        items, _ = normal_dose_slices(stack, [tmp_path])
        assert values(items) == images(hu.astype(np.float32))
