"""DeepLesion's table on the NIfTI files that the collection's own script makes, and on other files of its slices."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lowdose.errors import CannotDecode
from lowdose.io.findings.placement import place_findings, series_slices
from lowdose.io.findings.reading import read_findings
from lowdose.io.open_series import open_source
from support.synthetic_dicom import make_series

COLUMNS = "File_name,Patient_index,Key_slice_index,Bounding_boxes,Coarse_lesion_type,Possibly_noisy,Spacing_mm_px_"


def write(path: Path, *rows: str) -> Path:
    path.write_text("\r\n".join([COLUMNS, *rows, ""]))
    return path


def row(box: str = "11, 21, 16, 31", kind: int = 5, noisy: int = 0, name: str = "000001_01_01_109.png") -> str:
    return f'{name},1,109,"{box}",{kind},{noisy},"0.7, 0.7, 5"'


def write_volume(path: Path) -> tuple[Path, np.ndarray]:
    """Write slices 103 to 115 as the script does, rows on the first axis; return the picture of slice 109, too."""
    pictures = np.full((64, 80, 13), -1000, np.int16)
    pictures[20:30, 10:15, 6] = 50
    affine = np.array([[0, -0.7, 0, 0], [-0.7, 0, 0, 0], [0, 0, -5, 0], [0, 0, 0, 1]])
    nib.Nifti1Image(pictures, affine).to_filename(path)
    return path, pictures[:, :, 6]


def placed(table: Path, series: Path) -> list[tuple[str, int, tuple[float, ...]]]:
    with open_source(series) as source:
        found = place_findings(read_findings(table).findings, series_slices(source))
    return [(each.label, index, part.box) for each in found for index, part in each.parts]


def test_a_box_lies_on_its_pixels_in_the_nifti_of_the_collection(tmp_path: Path) -> None:
    """Corners 11, 21 and 15, 30, counted from 1, are centres of pixels; that of the file exchanges rows and columns."""
    series, _ = write_volume(tmp_path / "000001_01_01_103-115.nii.gz")
    ((label, index, box),) = placed(write(tmp_path / "DL_info.csv", row("10.5, 20.5, 15.5, 30.5")), series)
    assert (label, index, box) == ("lung", 6, (10.0, 20.0, 15.0, 30.0))
    with open_source(series) as source:
        hu = source.read(index).hu
    top, left, bottom, right = (int(edge) for edge in box)
    inside = np.zeros(hu.shape, bool)
    inside[top:bottom, left:right] = True
    np.testing.assert_array_equal(hu == 50, inside)


def test_a_box_lies_on_its_pixels_in_a_picture(tmp_path: Path) -> None:
    """In DICOM, rows go to the back as in the picture: the first pixel has its centre at 1."""
    paths = make_series(tmp_path / "000001_01_01", 2)
    paths[1].rename(tmp_path / "000001_01_01" / "109.dcm")
    table = write(tmp_path / "DL_info.csv", row("1, 1, 64, 33", kind=-1))
    assert placed(table, tmp_path / "000001_01_01") == [("lesion", 1, (0.5, 0.5, 32.5, 63.5))]


def test_slices_of_other_numbers_are_other_slices(tmp_path: Path) -> None:
    series, _ = write_volume(tmp_path / "000001_01_01_103-115.nii.gz")
    assert placed(write(tmp_path / "a.csv", row(name="000001_01_01_116.png")), series) == []
    assert placed(write(tmp_path / "b.csv", row(name="000001_01_02_109.png")), series) == []


def test_noisy_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    found = read_findings(write(tmp_path / "DL_info.csv", row(), row(noisy=1), row(kind=4)))
    assert [each.label for each in found.findings] == ["lung", "liver"]
    assert [str(each) for each in found.left_out] == [f"{tmp_path / 'DL_info.csv'}: 1 possibly noisy rows (left out)"]


@pytest.mark.parametrize("box", ["1, 2, 3", "1, 2, three, 4", "5, 2, 5, 4", "1, 2, nan, 4", ""])
def test_a_box_that_is_none_is_named_with_its_row(tmp_path: Path, box: str) -> None:
    with pytest.raises(CannotDecode, match=f"row 3: Bounding_boxes is '{box}'; it must be 'x1, y1, x2, y2'"):
        read_findings(write(tmp_path / "DL_info.csv", row(), row(box)))


def test_a_row_without_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotDecode, match="row 2: File_name is empty"):
        read_findings(write(tmp_path / "DL_info.csv", row(name="")))
