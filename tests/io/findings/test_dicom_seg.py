"""DICOM segmentations, written by highdicom, on the series that they were drawn on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from lowdose.errors import CannotDecode, NothingToRead
from lowdose.io.findings.finding import PlacedFinding
from lowdose.io.findings.placement import place_findings, series_slices
from lowdose.io.findings.reading import read_findings
from lowdose.io.open_series import open_source
from support.synthetic_dicom import make_enhanced, make_series

hd = pytest.importorskip("highdicom")


def describe(number: int, label: str, category: Any = codes.SCT.MorphologicallyAbnormalStructure) -> Any:
    return hd.seg.SegmentDescription(
        segment_number=number, segment_label=label, segmented_property_category=category,
        segmented_property_type=codes.SCT.Neoplasm, algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )  # fmt: skip


def write(path: Path, images: list[Any], mask: NDArray[Any], segments: list[Any], kind: str = "BINARY") -> Path:
    seg = hd.seg.Segmentation(
        images, mask, kind, segments, series_instance_uid=generate_uid(), series_number=3,
        sop_instance_uid=generate_uid(), instance_number=1, manufacturer="MAKER", manufacturer_model_name="MODEL",
        software_versions="1", device_serial_number="1",
    )  # fmt: skip
    seg.save_as(path)
    return path


def placed(mask: Path, series: Path) -> list[PlacedFinding]:
    with open_source(series) as source:
        return place_findings(read_findings(mask).findings, series_slices(source))


def boxes(found: list[PlacedFinding]) -> list[tuple[str, list[tuple[int, tuple[float, ...]]]]]:
    return [(each.label, [(index, part.box) for index, part in each.parts]) for each in found]


@pytest.fixture
def images(tmp_path: Path) -> list[Any]:
    return [pydicom.dcmread(path) for path in make_series(tmp_path / "ct", 4)]


def two_segments() -> NDArray[np.uint8]:
    """Return (z, y, x, segment): one lesion in slices 1 and 2, with a hole in slice 2, the other in a corner."""
    mask = np.zeros((4, 64, 64, 2), np.uint8)
    mask[1, 10:14, 20:31, 0] = mask[2, 11:16, 20:31, 0] = 1
    mask[2, 13, 25, 0] = 0
    mask[3, 63, 0, 1] = 1
    return mask


EXPECTED = [
    ("liver lesion", [(1, (10.0, 20.0, 14.0, 31.0)), (2, (11.0, 20.0, 16.0, 31.0))]),
    ("node", [(3, (63.0, 0.0, 64.0, 1.0))]),
]


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_boxes_and_masks_are_those_of_the_segments(tmp_path: Path, images: list[Any], kind: str) -> None:
    mask = two_segments()
    values: NDArray[Any] = mask.astype(float) if kind == "FRACTIONAL" else mask
    path = write(tmp_path / "seg.dcm", images, values, [describe(1, "liver lesion"), describe(2, "node")], kind)
    found = placed(path, tmp_path / "ct")
    assert boxes(found) == EXPECTED
    np.testing.assert_array_equal(found[0].parts[1][1].mask((64, 64)), mask[2, :, :, 0] > 0)


def test_fractions_count_from_one_half(tmp_path: Path, images: list[Any]) -> None:
    mask = np.zeros((4, 64, 64))
    mask[0, 5, 4:8] = [0.2, 0.45, 0.6, 1.0]
    path = write(tmp_path / "seg.dcm", images, mask, [describe(1, "lesion")], "FRACTIONAL")
    assert boxes(placed(path, tmp_path / "ct")) == [("lesion", [(0, (5.0, 6.0, 6.0, 8.0))])]


def test_frames_in_another_order_and_slices_that_are_missing(tmp_path: Path, images: list[Any]) -> None:
    """The frames name their images: their order says nothing, and what lies in a missing image is left out."""
    segments = [describe(1, "liver lesion"), describe(2, "node")]
    path = write(tmp_path / "seg.dcm", images[::-1], two_segments()[::-1].copy(), segments)
    assert boxes(placed(path, tmp_path / "ct")) == EXPECTED
    (tmp_path / "ct" / "s002.dcm").unlink()
    assert boxes(placed(path, tmp_path / "ct")) == [
        ("liver lesion", [(1, (10.0, 20.0, 14.0, 31.0))]), ("node", [(2, (63.0, 0.0, 64.0, 1.0))]),
    ]  # fmt: skip


def test_frames_of_a_multi_frame_image_are_told_apart(tmp_path: Path) -> None:
    """The frames of the enhanced image lie in reverse order in the file, and in order in the series."""
    path = make_enhanced(tmp_path / "ct" / "enhanced.dcm", 3)
    image = pydicom.dcmread(path)
    mask = np.zeros((3, 64, 64), np.uint8)
    mask[0, 10:12, 20:25] = 1  # the first frame in the file is the last slice
    mask_path = write(tmp_path / "seg.dcm", [image], mask, [describe(1, "lesion")])
    assert boxes(placed(mask_path, tmp_path / "ct")) == [("lesion", [(2, (10.0, 20.0, 12.0, 25.0))])]


def test_a_frame_without_a_source_image_lies_by_its_place_in_the_series(tmp_path: Path, images: list[Any]) -> None:
    path = write(tmp_path / "seg.dcm", images, two_segments(), [describe(1, "liver lesion"), describe(2, "node")])
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    dataset.save_as(path)
    assert boxes(placed(path, tmp_path / "ct")) == EXPECTED
    make_series(tmp_path / "other", 4, series="1.2.3.11")
    assert placed(path, tmp_path / "other") == []


def test_a_mask_of_other_rows_and_columns_is_mapped_by_its_place(tmp_path: Path, images: list[Any]) -> None:
    """A frame mirrored left to right, which says so, marks the same tissue."""
    path = write(tmp_path / "seg.dcm", images, two_segments()[:, :, ::-1].copy(), [describe(1, "a"), describe(2, "b")])
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [float(position[0]) + 63 * 0.7, *position[1:]]
    dataset.save_as(path)
    assert [parts for _, parts in boxes(placed(path, tmp_path / "ct"))] == [parts for _, parts in EXPECTED]


def test_anatomy_is_no_finding(tmp_path: Path, images: list[Any]) -> None:
    segments = [describe(1, "liver", codes.SCT.AnatomicalStructure), describe(2, "node")]
    path = write(tmp_path / "seg.dcm", images, two_segments(), segments)
    found = read_findings(path)
    assert [each.label for each in found.findings] == ["node"]
    assert [str(each) for each in found.left_out] == [f"{path}: segment 'liver' is anatomy by its category (left out)"]
    path = write(tmp_path / "organ.dcm", images, two_segments()[..., 0], segments[:1])
    with pytest.raises(NothingToRead, match=r"holds no finding \(.*segment 'liver' is anatomy"):
        read_findings(path)


def test_a_folder_holds_images_beside_the_segmentation(tmp_path: Path, images: list[Any]) -> None:
    write(tmp_path / "ct" / "seg.dcm", images, two_segments()[..., :1], [describe(1, "lesion")])
    assert [each.label for each in read_findings(tmp_path / "ct").findings] == ["lesion"]
    with pytest.raises(CannotDecode, match="no file of findings"):
        read_findings(tmp_path / "ct" / "s000.dcm")


def test_a_truncated_file_is_named(tmp_path: Path, images: list[Any]) -> None:
    path = write(tmp_path / "seg.dcm", images, two_segments()[..., 0], [describe(1, "lesion")])
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(CannotDecode, match=r"seg\.dcm: .*export it again"):
        read_findings(path)
