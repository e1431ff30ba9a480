"""What a file of findings is, its content decides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lowdose.errors import CannotDecode, NothingToRead
from lowdose.io.findings.reading import read_findings
from support.nifti_files import AXIAL, save_nifti

COCO = {
    "images": [{"id": 1, "file_name": "a.png"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
}


def test_the_name_of_a_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "annotations.txt").write_text("\ufeff" + json.dumps(COCO), encoding="utf-8")
    (found,) = read_findings(tmp_path / "annotations.txt").findings
    assert (found.label, found.path) == ("1", tmp_path / "annotations.txt")


@pytest.mark.parametrize("text", ["hello", '{"answer": 42}', "<html></html>", "a,b\n1,2\n"])
def test_another_file_is_told_what_can_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(CannotDecode, match="no file of findings that can be read; they are read from COCO JSON"):
        read_findings(tmp_path / "file")


def test_broken_json_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [')
    with pytest.raises(CannotDecode, match=r"a\.json: no valid JSON"):
        read_findings(tmp_path / "a.json")


def test_a_folder_is_searched_and_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json").write_text(json.dumps(COCO))
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty.json").touch()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG" + bytes(600))
    save_nifti(tmp_path / "ct.nii.gz")
    mask = np.zeros((2, 8, 8), np.int16)
    mask[0, 0, 0] = 5
    save_nifti(tmp_path / "mask.nii.gz", mask, affine=AXIAL)
    assert sorted(found.label for found in read_findings(tmp_path).findings) == ["1", "5"]


def test_a_folder_without_findings_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(NothingToRead, match="holds no file of findings; they are read from COCO JSON"):
        read_findings(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(NothingToRead, match="no finding in 1 file of findings"):
        read_findings(tmp_path)
