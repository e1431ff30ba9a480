"""Annotated findings on the slices of a training set: pairs, scans of normal dose, several patients, packs."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import lowdose
from lowdose.data.pack_writer import write_pack
from lowdose.data.training_set import TrainingSet, find_normal_dose, find_pairs, find_single_slices, open_training_set
from lowdose.errors import InvalidSetting, NothingToRead
from support.ct_pair import shortened
from support.nifti_files import AXIAL, save_nifti
from support.synthetic_dicom import make_series


def edit_for(patient: int, base: str) -> Any:
    """Return an edit that makes the images those of a patient of their own."""

    def edit(ds: Any, index: int) -> None:
        ds.StudyInstanceUID, ds.FrameOfReferenceUID = f"1.9.{patient}.1", f"1.9.{patient}.2"
        ds.PatientID, ds.SOPInstanceUID = f"P{patient}", f"{base}.{index + 1}"
        ds.StudyDate = f"202001{patient + 10}"

    return edit


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Write two patients of three slices at two doses; files have the same names everywhere."""
    for patient in (1, 2):
        for dose, number in (("quarter", 3), ("full", 4)):
            uid = f"1.9.{patient}.{number}"
            make_series(tmp_path / "data" / f"case{patient}" / dose, 3, series=uid, before=edit_for(patient, uid))
    return tmp_path / "data"


def coco(path: Path, *boxes: tuple[str, str, tuple[float, ...]]) -> Path:
    """Write boxes: file name, category and (x, y, width, height)."""
    labels = sorted({label for _, label, _ in boxes})
    content = {
        "images": [{"id": number, "file_name": name} for number, (name, _, _) in enumerate(boxes)],
        "categories": [{"id": number, "name": label} for number, label in enumerate(labels)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": labels.index(label), "bbox": list(box)}
            for number, (_, label, box) in enumerate(boxes)
        ],
    }
    path.write_text(json.dumps(content))
    return path


def opened(data: Path, *findings: Path, find: Any = find_pairs, split: str | None = None) -> TrainingSet:
    with ExitStack() as stack:
        return open_training_set(stack, [data], split, find, findings)


def boxes(found: TrainingSet) -> dict[tuple[int, float], Any]:
    """Return the boxes of each slice that has any, by patient and position (mm)."""
    places = [(item.patient, item.places[0].series.planes[item.places[0].index].position) for item in found.items]
    return {place: item.boxes for place, item in zip(places, found.items, strict=True) if item.boxes}


def test_a_uid_of_either_dose_names_the_pair(tmp_path: Path, pairs: Path) -> None:
    path = coco(tmp_path / "a.json", ("1.9.1.4.2.dcm", "liver", (1, 2, 3, 4)), ("1.9.2.3.3", "lung", (5, 6, 7, 8)))
    found = opened(pairs, path)
    assert found.labels == ("liver", "lung")
    assert boxes(found) == {(1, 2.0): (((2.0, 1.0, 6.0, 4.0), 1),), (2, 4.0): (((6.0, 5.0, 14.0, 12.0), 2),)}


@pytest.mark.parametrize("find", [find_normal_dose, find_single_slices])
def test_scans_of_one_dose_have_them_too(tmp_path: Path, pairs: Path, find: Any) -> None:
    path = coco(tmp_path / "a.json", ("1.9.1.4.2.dcm", "liver", (1, 2, 3, 4)))
    assert boxes(opened(pairs, path, find=find)) == {(1, 2.0): (((2.0, 1.0, 6.0, 4.0), 1),)}


def test_labels_are_numbered_over_all_files(tmp_path: Path, pairs: Path) -> None:
    one = coco(tmp_path / "a.json", ("1.9.1.4.2.dcm", "lung", (1, 2, 3, 4)))
    other = coco(tmp_path / "b.json", ("1.9.1.4.2.dcm", "bone", (5, 6, 7, 8)), ("1.9.1.4.1.dcm", "lung", (1, 2, 3, 4)))
    found = opened(pairs, one, other)
    assert found.labels == ("bone", "lung")
    assert boxes(found) == {
        (1, 0.0): (((2.0, 1.0, 6.0, 4.0), 2),),
        (1, 2.0): (((2.0, 1.0, 6.0, 4.0), 2), ((6.0, 5.0, 14.0, 12.0), 1)),
    }


def test_a_file_name_with_the_folder_of_its_patient_is_one_slice(tmp_path: Path, pairs: Path) -> None:
    path = coco(tmp_path / "a.json", ("case2/full/s001.png", "lesion", (1, 2, 3, 4)))
    assert set(boxes(opened(pairs, path))) == {(2, 2.0)}


def test_a_file_name_of_several_patients_is_refused(tmp_path: Path, pairs: Path) -> None:
    path = coco(tmp_path / "a.json", ("s001.png", "lesion", (1, 2, 3, 4)))
    with pytest.raises(InvalidSetting, match=r"a\.json: fits slices of 2 patients .*case1.*name it, or the folder"):
        opened(pairs, path)
    named = coco(tmp_path / "case1_lesions.json", ("s001.png", "lesion", (1, 2, 3, 4)))
    assert set(boxes(opened(pairs, named))) == {(1, 2.0)}


def test_masks_called_like_their_scans_lie_in_these(tmp_path: Path) -> None:
    """All scans state one place, as anonymised NIfTI files do, so that the name alone tells them apart."""
    (tmp_path / "scans").mkdir()
    for number in range(2):
        save_nifti(tmp_path / "scans" / f"p{number}.nii.gz")
    mask = np.zeros((64, 40, 3), np.uint8)
    mask[10:14, 20:23, 1] = 1
    (tmp_path / "masks").mkdir()
    path = tmp_path / "masks" / "p1_mask.nii.gz"
    nib.Nifti1Image(mask, AXIAL).to_filename(path)
    found = opened(tmp_path / "scans", tmp_path / "masks", find=find_normal_dose)
    (marked,) = [item for item in found.items if item.boxes]
    assert marked.boxes == (((20.0, 10.0, 23.0, 14.0), 1),)
    assert marked.places[0].series.files[0].path.name == "p1.nii.gz"
    path.rename(tmp_path / "masks" / "lesions.nii.gz")
    with pytest.raises(InvalidSetting, match=r"lesions\.nii\.gz: fits slices of 2 patients"):
        opened(tmp_path / "scans", tmp_path / "masks", find=find_normal_dose)


def test_findings_that_lie_nowhere_are_counted(tmp_path: Path, pairs: Path) -> None:
    path = coco(tmp_path / "a.json", ("1.9.1.4.2.dcm", "x", (1, 2, 3, 4)), ("1.9.9.9", "y", (1, 2, 3, 4)))
    found = opened(pairs, path)
    assert f"{path}: 1 of 2 findings lie in no slice of the data (left out)" in found.warnings
    assert found.labels == ("x",)


def test_a_file_of_other_scans_is_refused_with_both_names(tmp_path: Path, pairs: Path) -> None:
    path = coco(tmp_path / "a.json", ("other.png", "x", (1, 2, 3, 4)))
    with pytest.raises(
        InvalidSetting, match=r"none of its 1 findings .* names the file other\.png; the data have files s000\.dcm"
    ):
        opened(pairs, path)
    outline = f"<imageSOP_UID>1.2.9</imageSOP_UID>{EDGES}"
    path = tmp_path / "a.xml"
    path.write_text(
        f"<LidcReadMessage><readingSession><unblindedReadNodule><roi>{outline}</roi></unblindedReadNodule>"
        "</readingSession></LidcReadMessage>"
    )
    with pytest.raises(InvalidSetting, match=r"names the image 1\.2\.9; the data have series 1\.9\.1\.4, 1\.9\.1\.3"):
        opened(pairs, path)


def test_findings_of_patients_that_the_split_leaves_out_are_no_training(tmp_path: Path, pairs: Path) -> None:
    for case, name in (("case1", "L067"), ("case2", "L333")):
        (pairs / case).rename(pairs / name)
    test = coco(tmp_path / "test.json", ("1.9.2.4.2", "x", (1, 2, 3, 4)))
    with pytest.raises(InvalidSetting, match=r"test\.json: all lie in slices that --split mayo-2016-leda leaves out"):
        opened(pairs, test, split="mayo-2016-leda")
    both = coco(tmp_path / "both.json", *[(f"1.9.{patient}.4.2", "x", (1, 2, 3, 4)) for patient in (1, 2)])
    found = opened(pairs, both, split="mayo-2016-leda")
    assert boxes(found) == {(1, 2.0): (((2.0, 1.0, 6.0, 4.0), 1),)}
    assert "mayo-2016-leda: 1 of 2 boxes of findings lie in slices that it leaves out" in found.warnings


def test_a_pack_carries_no_findings(tmp_path: Path, pairs: Path) -> None:
    write_pack([pairs], tmp_path / "out.pack", "folders", "full")
    path = coco(tmp_path / "a.json", ("1.9.1.4.2.dcm", "x", (1, 2, 3, 4)))
    with pytest.raises(InvalidSetting, match=r"packs do not say .*; give the folders that were packed with --data"):
        opened(tmp_path / "out.pack", path)


EDGES = "".join(
    f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in ((1, 1), (9, 1), (9, 9), (1, 9))
)
SETTINGS = {
    "steps": 2, "batch": 2, "patch": 32, "validation_patients": 0, "lesion_share": 0.0, "detector_first": 1,
    "detector_width": 4, "detector_pyramid": 8, "detector_hidden": 16, "warmup": 1,
}  # fmt: skip


@pytest.mark.slow
def test_lidnet_learns_from_findings(tmp_path: Path, pairs: Path) -> None:
    """A run is resumed with the same findings only."""
    path = coco(tmp_path / "a.json", ("1.9.1.4.2.dcm", "x", (20, 20, 20, 20)))
    options: dict[str, Any] = {"data": pairs, "network": "red_cnn:channels=4", "set": SETTINGS, "device": "cpu"}
    run = lowdose.train("lidnet", tmp_path / "run", findings=path, **options)
    assert len(run.to_dict()["settings"]["findings"]) == 64
    coco(path, ("1.9.1.4.2.dcm", "x", (20, 20, 20, 21)))
    with pytest.raises(InvalidSetting, match="findings"):
        lowdose.train("lidnet", tmp_path / "run", findings=path, resume=True, **options)


def test_recipes_that_look_at_no_boxes_refuse_findings_before_anything_is_read(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    for options in ({"data": nothing}, {"data": nothing, "pairing": "learned-noise", "low": nothing}):
        with pytest.raises(InvalidSetting, match=r"--findings: the recipe red_cnn looks at no boxes .* such as lidnet"):
            lowdose.train("red_cnn", tmp_path / "run", findings=nothing, **options)
    with pytest.raises(InvalidSetting, match=r"--findings .*: is not an option of the recipe anatomy"):
        lowdose.train("anatomy", tmp_path / "run", findings=[nothing])


@pytest.mark.long
def test_lidnet_learns_from_findings_at_simulated_low_dose(tmp_path: Path) -> None:
    scan = shortened(tmp_path / "ct").full
    path = coco(tmp_path / "a.json", (sorted(scan.iterdir())[1].name, "x", (100, 100, 60, 60)))
    run = lowdose.train(
        "lidnet", tmp_path / "run", data=scan, pairing="simulated", findings=path, network="red_cnn:channels=4",
        set=SETTINGS | {"realisations": 1}, device="cpu",
    )  # fmt: skip
    assert "findings" in run.to_dict()["settings"]


def test_a_mistyped_file_is_said_before_the_data_are_searched(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match=r"lesion\.json: no such file or folder"):
        opened(tmp_path / "nowhere", tmp_path / "lesion.json")
