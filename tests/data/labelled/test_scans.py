"""Scans with organ labels: every layout, axes turned any way, what was annotated, and what is left out."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lowdose.anatomical_labels import LABELS
from lowdose.batch import UNKNOWN
from lowdose.data.labelled.dataset import LabelledSlice
from lowdose.data.labelled.scans import labelled_slices
from lowdose.errors import NothingToRead
from lowdose.image import Acquisition, Geometry
from lowdose.io.dicom.new_series import write_new_series
from lowdose.io.label_map import affine
from lowdose.organ_classes import CLASSES, INDEX
from lowdose.volume import Volume
from support import nifti_labels
from support.shared_scans import SHARED_CT

SHAPE = (3, 8, 6)
GEOMETRY = Geometry((3.0, 0.8, 0.7), (-20.0, 35.0, -101.5))
REAL = SHARED_CT / "normal-dose/totalsegmentator-abdomen-siemens"


def hu(seed: int = 0) -> np.ndarray:
    """(z, y, x) whole HU, no two slices and no two corners alike."""
    return np.random.default_rng(seed).integers(-1000, 1500, SHAPE).astype(np.float32)


def labels(**boxes: int) -> np.ndarray:
    """(z, y, x) labels: a row of the image for each structure, in the slices from the given one on."""
    made = np.zeros(SHAPE, np.uint8)
    for row, (name, first) in enumerate(boxes.items()):
        made[first:, row, row:] = LABELS[name]
    return made


def save(
    path: Path, values: np.ndarray, order: tuple[int, ...] = (0, 1, 2), flips: tuple[int, ...] = (1, 1, 1)
) -> None:
    """(z, y, x) values in the space of ``GEOMETRY``."""
    nifti_labels.save(path, values, affine(GEOMETRY), order, flips)


def ct(folder: Path, values: np.ndarray, name: str = "ct.nii.gz") -> None:
    save(folder / name, values.astype(np.int16))


def read(*roots: Path) -> list[LabelledSlice]:
    found, warnings = labelled_slices(roots)
    assert not warnings
    return found


def annotated(item: LabelledSlice) -> set[str]:
    return {CLASSES[number] for number in np.flatnonzero(item.annotated)}


def classes(names: np.ndarray, known: set[str]) -> np.ndarray:
    """What ``organ_classes`` would make of labels if only the classes ``known`` had been looked for; one by one."""
    made = np.full(names.shape, UNKNOWN, np.uint8)
    stems = {"liver": "liver", "lung_upper_lobe_left": "lung", "rib_left_3": "rib", "torso_fat": "torso_fat"}
    for name, stem in stems.items():
        if stem in known:
            made[names == LABELS[name]] = INDEX[stem]
    return made


@pytest.mark.parametrize("name", ["labels.nii.gz", "labels.nii"])
@pytest.mark.parametrize("scan", ["ct.nii.gz", "ct.nii", "dicom"])
def test_one_file_of_labels(name: str, scan: str, tmp_path: Path) -> None:
    image = hu()
    if scan == "dicom":
        volume = Volume(image, GEOMETRY, Acquisition("B30f", 3.0, 120.0, "MAKER"))
        (tmp_path / "p").mkdir()
        write_new_series(volume, tmp_path / "p" / scan, description="body", patient="SECRET")
    else:
        ct(tmp_path / "p", image, scan)
    # An organ that begins in a later slice was looked for in the first too.
    drawn = labels(liver=0, lung_upper_lobe_left=1, rib_left_3=2)
    save(tmp_path / "p" / name, drawn)
    found = read(tmp_path)
    assert len(found) == 3
    order = sorted(found, key=lambda item: [np.array_equal(item.hu, part) for part in image].index(True))
    for item, part, names in zip(order, image, drawn, strict=True):
        assert (item.hu.dtype, item.classes.dtype, item.pixel_mm) == (np.int16, np.uint8, pytest.approx((0.8, 0.7)))
        np.testing.assert_array_equal(item.hu, part)
        assert annotated(item) == {"liver", "lung", "rib"}
        np.testing.assert_array_equal(item.classes, classes(names, annotated(item)))


@pytest.mark.parametrize(
    ("order", "flips"),
    [((0, 1, 2), (-1, 1, 1)), ((0, 1, 2), (1, -1, -1)), ((2, 0, 1), (1, 1, 1)), ((1, 0, 2), (-1, 1, -1))],
)
def test_labels_lie_on_the_scan_whatever_way_their_axes_run(
    order: tuple[int, ...], flips: tuple[int, ...], tmp_path: Path
) -> None:
    image, drawn = hu(), labels(liver=0, rib_left_3=1)
    for folder in ("a", "b"):
        ct(tmp_path / folder, image)
    save(tmp_path / "a" / "labels.nii.gz", drawn, order, flips)
    save(tmp_path / "b" / "segmentations" / "liver.nii.gz", (drawn == LABELS["liver"]).astype(np.uint8), order, flips)
    save(tmp_path / "b" / "segmentations" / "rib_left_3.nii.gz", (drawn == LABELS["rib_left_3"]).astype(np.uint8))
    for folder in ("a", "b"):
        for k, item in enumerate(read(tmp_path / folder)):
            np.testing.assert_array_equal(item.hu, image[k])
            np.testing.assert_array_equal(item.classes, classes(drawn[k], {"liver", "rib"}))


def test_a_scan_that_is_turned_itself(tmp_path: Path) -> None:
    image, drawn = hu(), labels(liver=0, rib_left_3=1)
    save(tmp_path / "ct.nii.gz", image.astype(np.int16), flips=(-1, -1, 1))
    save(tmp_path / "labels.nii.gz", drawn)
    for k, item in enumerate(read(tmp_path)):
        np.testing.assert_array_equal(item.hu, image[k, ::-1, ::-1])
        np.testing.assert_array_equal(item.classes, classes(drawn[k], {"liver", "rib"})[::-1, ::-1])


def masks(folder: Path, **made: np.ndarray) -> None:
    for name, mask in made.items():
        save(folder / "segmentations" / f"{name}.nii.gz", mask.astype(np.uint8))


def test_one_mask_for_each_structure(tmp_path: Path) -> None:
    ct(tmp_path / "s0001", hu())
    drawn = labels(liver=0, lung_upper_lobe_left=0, rib_left_3=1)
    nothing = np.zeros(SHAPE)
    masks(
        tmp_path / "s0001", liver=drawn == LABELS["liver"], rib_left_3=drawn == LABELS["rib_left_3"],
        lung_upper_lobe_left=drawn == LABELS["lung_upper_lobe_left"], lung_lower_lobe_left=nothing, spleen=nothing,
        skull=nothing, my_own_structure=nothing + 1,
    )  # fmt: skip
    (tmp_path / "s0001" / "segmentations" / "notes.txt").write_text("mine")
    found = read(tmp_path)
    for k, item in enumerate(found):
        # A spleen that was looked for and is not there is known not to be there.
        assert annotated(item) == {"liver", "lung", "rib", "spleen"}
        np.testing.assert_array_equal(item.classes, classes(drawn[k], annotated(item)))


def test_where_two_masks_claim_a_voxel_the_later_label_has_it(tmp_path: Path) -> None:
    ct(tmp_path, hu())
    masks(tmp_path, liver=np.ones(SHAPE), aorta=labels(liver=0) > 0, spleen=np.ones(SHAPE))
    assert LABELS["spleen"] < LABELS["liver"] < LABELS["aorta"]
    for item, mask in zip(read(tmp_path), labels(liver=0) > 0, strict=True):
        np.testing.assert_array_equal(item.classes, np.where(mask, INDEX["aorta"], INDEX["liver"]))


def test_labels_that_belong_to_no_organ_stay_unknown(tmp_path: Path) -> None:
    ct(tmp_path, hu())
    save(tmp_path / "labels.nii.gz", labels(liver=0, body=0, skull=0, torso_fat=0))
    item = read(tmp_path)[0]
    assert annotated(item) == {"liver", "torso_fat"}
    np.testing.assert_array_equal(
        item.classes, classes(labels(liver=0, body=0, skull=0, torso_fat=0)[0], annotated(item))
    )


def test_every_scan_is_a_patient_of_its_own(tmp_path: Path) -> None:
    for place in ("a/one", "a/deep/er/two", "b/one", "b/two"):
        ct(tmp_path / place, hu())
        save(tmp_path / place / "labels.nii.gz", labels(liver=0))
    (tmp_path / "a" / "one" / "ct.nii.gz").unlink()  # left out, and no number is given twice for it
    found, warnings = labelled_slices([tmp_path / "a", tmp_path / "b"])
    assert len(warnings) == 1
    assert len({item.patient for item in found}) == 3
    assert [len({i.patient for i in found[k : k + 3]}) for k in (0, 3, 6)] == [1, 1, 1]


def test_unusable_scans_are_named_and_left_out(tmp_path: Path) -> None:
    for place in ("good", "elsewhere", "no-ct", "broken", "image", "empty-masks", "mask-elsewhere"):
        ct(tmp_path / place, hu())
        save(tmp_path / place / "labels.nii.gz", labels(liver=0))
    shifted = affine(GEOMETRY)
    shifted[:3, 3] += 40
    nib.Nifti1Image(labels(liver=0).transpose(2, 1, 0), shifted).to_filename(tmp_path / "elsewhere" / "labels.nii.gz")
    (tmp_path / "no-ct" / "ct.nii.gz").unlink()
    (tmp_path / "broken" / "ct.nii.gz").write_bytes(b"no image")
    save(tmp_path / "image" / "labels.nii.gz", hu().astype(np.int16))
    for place in ("empty-masks", "mask-elsewhere"):
        (tmp_path / place / "labels.nii.gz").unlink()
        (tmp_path / place / "segmentations").mkdir()
    nib.Nifti1Image(labels(liver=0).transpose(2, 1, 0), shifted).to_filename(
        tmp_path / "mask-elsewhere" / "segmentations" / "liver.nii.gz"
    )
    found, warnings = labelled_slices([tmp_path])
    assert len(found) == 3
    told = {Path(line.split(":")[0]).name: line for line in warnings}
    assert all(line.endswith("(left out)") for line in warnings)
    reasons = {
        "elsewhere": "its voxels are not those", "no-ct": r"labels without a CT; name it one of ct.nii.gz",
        "broken": "ct.nii.gz", "image": "which is no label", "empty-masks": "named after a structure",
        "mask-elsewhere": "its voxels are not those",
    }  # fmt: skip
    assert set(told) == set(reasons)
    for name, reason in reasons.items():
        assert reason in told[name]


def test_a_folder_without_labelled_scans_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match="nowhere: no such file or folder"):
        labelled_slices([tmp_path / "nowhere"])
    ct(tmp_path, hu())
    with pytest.raises(NothingToRead, match=r"no labelled scan found; needs folders with ct\.nii\.gz or dicom/"):
        labelled_slices([tmp_path])
    (tmp_path / "segmentations").mkdir()
    with pytest.raises(NothingToRead, match=r"no labelled scan found \(.*named after a structure"):
        labelled_slices([tmp_path])


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real scan")
def test_the_real_scan_has_its_organs_where_their_hu_are() -> None:
    found = read(REAL)
    assert len(found) == 20
    assert len({item.patient for item in found}) == 1
    image, named = np.stack([item.hu for item in found]), np.stack([item.classes for item in found])
    assert {"liver", "spleen", "aorta", "vertebrae", "humerus"} <= annotated(found[0])
    assert not {"outside", "body", "kidney"} & annotated(found[0])
    assert all(np.array_equal(item.annotated, found[0].annotated) for item in found)
    assert set(np.unique(named)) <= {*np.flatnonzero(found[0].annotated), UNKNOWN}
    middles = {name: np.median(image[named == INDEX[name]]) for name in ("liver", "spleen", "aorta", "vertebrae")}
    assert all(50 < middles[name] < 180 for name in ("liver", "spleen", "aorta"))
    assert middles["vertebrae"] > 180
    assert np.median(image[named == UNKNOWN]) < -500  # mostly air around the body, and lung
