"""Inputs that are no regular files, and files whose content is not what their name says."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lowdose.errors import CannotDecode, InvalidSetting, LowDoseError, NotCT, NothingToRead
from lowdose.io.folder_tree import walk_folders
from lowdose.io.input_kind import check_input
from lowdose.io.open_series import open_source
from lowdose.io.pairing import search_pairs
from support.nifti_files import hu_stack, save_nifti
from support.synthetic_dicom import make_series


def told(path: Path) -> str:
    with pytest.raises(LowDoseError) as caught, open_source(path):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def count(path: Path) -> int:
    with open_source(path) as source:
        return len(source)


@pytest.mark.parametrize("name", ["pipe", "pipe.nii", "pipe.nii.gz", "pipe.npy", "pipe.npz", "pipe.zip", "pipe.dcm"])
def test_a_pipe_is_refused_at_once_whatever_its_name(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert "is a named pipe" in told(tmp_path / name)
    with pytest.raises(CannotDecode, match="is a named pipe"):
        search_pairs(tmp_path / name)


def test_devices_sockets_and_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    assert "/dev/zero: is a device" in told(Path("/dev/zero"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert "is a socket" in told(tmp_path / "socket")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "cannot be opened" in told(tmp_path / "a")
    (tmp_path / "c").symlink_to("nowhere")
    assert "a link to nowhere" in told(tmp_path / "c")
    assert "cannot be opened" in told(tmp_path / "c\0")
    assert "no such file or folder" in told(tmp_path / "d")
    (tmp_path / "e.nii").touch()
    with pytest.raises(CannotDecode, match="empty"):
        check_input(tmp_path / "e.nii")


def test_a_pipe_in_a_folder_is_left_out(tmp_path: Path) -> None:
    make_series(tmp_path / "in", 2)
    for name in ("pipe.dcm", "pipe.dcm.gz", "pipe.nii"):
        os.mkfifo(tmp_path / "in" / name)
    with open_source(tmp_path / "in") as source:
        assert len(source) == 2
        assert sum("not a regular file" in line for line in source.skipped) == 3


def test_a_link_to_a_folder_around_the_input_is_not_followed(tmp_path: Path) -> None:
    make_series(tmp_path / "other", 3, series="1.2.3.99")
    make_series(tmp_path / "in", 2)
    (tmp_path / "in" / "up").symlink_to("..")
    (tmp_path / "in" / "itself").symlink_to(tmp_path / "in")
    assert [folder for folder, _, _ in walk_folders(tmp_path / "in")] == [tmp_path / "in"]
    assert count(tmp_path / "in") == 2


def test_content_decides_and_not_the_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save_nifti(tmp_path / "a.nii")
    plain = path.read_bytes()
    files = {"UP.NII.GZ": gzip.compress(plain), "gz.nii": gzip.compress(plain), "plain.nii.gz": plain, "none": plain}
    np.savez(tmp_path / "b.npz", hu=hu_stack())
    np.save(tmp_path / "c.npy", hu_stack())
    files |= {"B.NPZ": (tmp_path / "b.npz").read_bytes(), "named.zip": (tmp_path / "b.npz").read_bytes()}
    files |= {"c.npy.gz": gzip.compress((tmp_path / "c.npy").read_bytes()), "c": (tmp_path / "c.npy").read_bytes()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with open_source(tmp_path / name) as source:
            np.testing.assert_array_equal(source.read(2).hu, hu_stack()[2], err_msg=name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.img", "a.nii", "a.npy", "a.zip", "a.dcm.gz", "a.tar", "a.nrrd", "a"])
def test_a_dicom_file_is_read_under_any_name(tmp_path: Path, name: str) -> None:
    make_series(tmp_path / "in", 1)[0].rename(tmp_path / name)
    assert count(tmp_path / name) == 1


def test_damaged_headers_are_told_without_the_words_of_libraries(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(save_nifti(tmp_path / "a.nii").read_bytes())
    data[70:72] = b"\x2a\x88"  # a type that there is not
    (tmp_path / "b.nii").write_bytes(data)
    assert "b.nii: not a readable NIfTI file" in told(tmp_path / "b.nii")
    data[70:72] = b"\4\0"
    data[80:84] = bytes(4)  # a pixel size of 0, about which nibabel prints a line
    (tmp_path / "c.nii").write_bytes(data)
    assert count(tmp_path / "c.nii") == 3
    assert capfd.readouterr() == ("", "")


def test_axes_of_length_one_are_read(tmp_path: Path) -> None:
    for number, shape in enumerate([(64, 40, 3, 1), (64, 40, 3, 1, 1)]):
        path = save_nifti(tmp_path / f"{number}.nii.gz", shape=shape)
        with open_source(path) as source:
            assert len(source) == 3
            np.testing.assert_array_equal(source.read(2).hu, hu_stack()[2])
    with open_source(save_nifti(tmp_path / "flat.nii", hu_stack()[:1], shape=(64, 40))) as source:
        np.testing.assert_array_equal(source.read(0).hu, hu_stack()[0])


def test_several_images_and_colours_in_one_file_are_refused_with_a_way_out(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii", np.concatenate([hu_stack(), hu_stack()]), shape=(64, 40, 3, 2))
    assert "4-D" in told(path)
    assert "four_to_three" in told(path)
    with pytest.raises(NotCT, match="colours"), open_source(save_nifti(tmp_path / "rgb.nii", rgb=True)):
        pass


def test_a_folder_of_one_nifti_is_read_and_of_several_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_nifti(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "a.json").write_text("{}")
    (tmp_path / "in" / "._a.nii.gz").write_bytes(b"\0\5\26\7")
    assert count(tmp_path / "in") == 3
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "in" / "a.nii.gz", "scan/a.nii.gz")
    assert count(tmp_path / "a.zip") == 3
    with pytest.raises(NothingToRead), open_source(tmp_path / "in", "1.2.3"):
        pass
    shutil.copy(tmp_path / "in" / "a.nii.gz", tmp_path / "in" / "b.nii.gz")
    assert "2 file(s) that are a series each (a.nii.gz, b.nii.gz); give one of them" in told(tmp_path / "in")
    make_series(tmp_path / "in" / "dicom", 2)
    assert count(tmp_path / "in") == 2


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\x89PNG\r\n", "PNG"),
        (b"II*\0", "TIFF"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"Rar!\x1a", "RAR"),
        (b"7z\xbc\xaf", "7-Zip"),
    ],
)
def test_other_kinds_of_files_are_named_with_a_way_out(tmp_path: Path, start: bytes, words: str) -> None:
    (tmp_path / "scan").write_bytes(start + bytes(600))
    assert words in told(tmp_path / "scan")


def test_the_series_option_is_refused_for_arrays_of_any_name(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii").rename(tmp_path / "a")
    with pytest.raises(InvalidSetting, match="holds one series"), open_source(tmp_path / "a", "1.2"):
        pass
