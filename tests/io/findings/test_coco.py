"""Annotations of COCO's format on the slices that their file names name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lowdose.errors import CannotDecode, GeometryMismatch
from lowdose.io.findings.placement import place_findings, series_slices
from lowdose.io.findings.reading import read_findings
from lowdose.io.open_series import open_source
from support.synthetic_dicom import make_series


def coco(file_name: str, bbox: object = (10, 20, 5.5, 7), **image: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": file_name, "width": 64, "height": 64, **image}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": list(bbox) if bbox else bbox}],  # type: ignore[call-overload]
        "categories": [{"id": 3, "name": "metastasis"}],
    }


def save(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def placed(annotations: Path, series: Path) -> list[tuple[str, int, tuple[float, ...]]]:
    with open_source(series) as source:
        found = place_findings(read_findings(annotations).findings, series_slices(source))
    return [(each.label, index, part.box) for each in found for index, part in each.parts]


@pytest.fixture
def series(tmp_path: Path) -> Path:
    make_series(tmp_path / "case1", 3)
    return tmp_path / "case1"


def file_of(series: Path, index: int) -> Path:
    with open_source(series) as source:
        return source.files[index].path


@pytest.mark.parametrize("ending", [".png", ".dcm", ".nii.gz"])
@pytest.mark.parametrize("folder", ["", "case1/", "./case1/", "CASE1\\"])
def test_a_box_lies_where_x_y_width_height_say(tmp_path: Path, series: Path, folder: str, ending: str) -> None:
    """x and y count from the edge of the first pixel, so (10, 20) with 5.5 x 7 ends at column 15.5 and row 27."""
    annotations = save(tmp_path / "a.json", coco(f"{folder}{file_of(series, 2).stem}{ending}"))
    assert placed(annotations, series) == [("metastasis", 2, (20.0, 10.0, 27.0, 15.5))]


def test_a_file_may_be_called_by_its_uid(tmp_path: Path, series: Path) -> None:
    with open_source(series) as source:
        uid = source.files[1].sop_uid
    assert placed(save(tmp_path / "a.json", coco(f"{uid}.png")), series) == [
        ("metastasis", 1, (20.0, 10.0, 27.0, 15.5))
    ]
    assert placed(save(tmp_path / "b.json", coco(uid)), series) == [("metastasis", 1, (20.0, 10.0, 27.0, 15.5))]


def test_the_folder_of_another_case_is_another_slice(tmp_path: Path, series: Path) -> None:
    assert placed(save(tmp_path / "a.json", coco(f"case2/{file_of(series, 0).stem}.png")), series) == []
    assert placed(save(tmp_path / "b.json", coco("other.png")), series) == []


def test_what_lies_outside_of_the_slice_is_cut_off(tmp_path: Path, series: Path) -> None:
    name = f"{file_of(series, 0).stem}.png"
    assert placed(save(tmp_path / "a.json", coco(name, (60, -3, 10, 5))), series) == [
        ("metastasis", 0, (0.0, 60.0, 2.0, 64.0))
    ]


def test_a_picture_of_another_size_is_refused(tmp_path: Path, series: Path) -> None:
    annotations = save(tmp_path / "a.json", coco(f"{file_of(series, 0).stem}.png", height=512, width=512))
    with pytest.raises(GeometryMismatch, match=r"a\.json: .*512 x 512 pixels, but the slice has 64 x 64; state it in"):
        placed(annotations, series)


@pytest.mark.parametrize(
    ("bbox", "said"),
    [
        ((1, 2, 3), r"bbox is \[1, 2, 3\]; it must be \[x, y, width, height\]"),
        ((1, 2, "3", 4), r"bbox is \[1, 2, '3', 4\]; it must be"),
        ((1, 2, float("nan"), 4), "bbox is .*nan.*; it must be"),
        (None, "bbox is None"),
        ((1, 2, 0, 4), r"bbox \[1, 2, 0, 4\] has no area; width and height must be above 0"),
    ],
)
def test_a_bbox_that_is_none_is_named(tmp_path: Path, bbox: object, said: str) -> None:
    with pytest.raises(CannotDecode, match=f"annotation 1: {said}"):
        read_findings(save(tmp_path / "a.json", coco("x.png", bbox)))


def test_references_to_nothing_are_named(tmp_path: Path) -> None:
    lost = coco("x.png")
    lost["annotations"][0]["image_id"] = 8
    with pytest.raises(CannotDecode, match="annotation 1: image_id 8 is not among the images"):
        read_findings(save(tmp_path / "a.json", lost))
    lost = coco("x.png")
    lost["annotations"][0]["category_id"] = 4
    with pytest.raises(CannotDecode, match="category_id 4 is not among the categories"):
        read_findings(save(tmp_path / "a.json", lost))


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_lists_that_are_none_are_named(tmp_path: Path, key: str) -> None:
    broken = coco("x.png") | {key: {"0": 1}}
    with pytest.raises(CannotDecode, match=f"'{key}' is no list of objects"):
        read_findings(save(tmp_path / "a.json", broken))
