"""Input that is cut short, unreadable, nested or packed beyond reason: told in plain words, at once."""

from __future__ import annotations

import errno
import os
import struct
import tracemalloc
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.lib import format as npy
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from lowdose.errors import CannotDecode, GeometryMismatch, InvalidSetting, LowDoseError, NothingToRead, UnsafeZip
from lowdose.io import zip_files
from lowdose.io.dicom import deflated
from lowdose.io.dicom.series import DicomSource
from lowdose.io.folder_tree import walk_folders
from lowdose.io.messages import reason
from lowdose.io.open_series import open_sink, open_source
from support.synthetic_dicom import anatomy, make_enhanced, make_series


def told(path, *args) -> str:
    with pytest.raises(LowDoseError) as caught, open_source(path, *args):
        pass
    return str(caught.value)


def test_a_folder_that_cannot_be_opened_stops_the_run(tmp_path, monkeypatch):
    make_series(tmp_path / "in", 2)
    make_series(tmp_path / "in" / "locked", 2)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CannotDecode, match=r"locked: cannot be opened \(Permission denied\)"):
        list(walk_folders(tmp_path / "in"))


def test_a_slice_cut_anywhere_stops_the_whole_run(tmp_path):
    paths = make_series(tmp_path, 2)
    whole = paths[1].read_bytes()
    for length in [0, 100, *range(132, len(whole) - 8192, 7), len(whole) - 100]:
        paths[1].write_bytes(whole[:length])
        for series in (None, "1.2.3.10"):
            with pytest.raises(CannotDecode, match=r"s001\.dcm"):
                DicomSource(tmp_path, series)


def test_an_empty_file_named_as_a_slice_stops_the_run(tmp_path):
    make_series(tmp_path, 2)
    (tmp_path / "empty").touch()
    assert any("empty file" in line for line in DicomSource(tmp_path).skipped)
    for name, size in (("a.dcm", 0), ("b.IMA", 0), ("c.dcm", 5000)):
        (tmp_path / name).write_bytes(bytes(size))
        with pytest.raises(CannotDecode, match=f"{name}: empty"):
            DicomSource(tmp_path)
        (tmp_path / name).unlink()
    (tmp_path / "._s000.dcm").write_bytes(b"\0\5\26\7" + bytes(200))
    assert len(DicomSource(tmp_path)) == 2


def nested(depth: int) -> bytes:
    """A sequence of undefined length within a sequence, and so on."""
    start = struct.pack("<HH2sHIHHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return start * depth + end * depth


def insert(path: Path, data: bytes) -> Path:
    whole = path.read_bytes()
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010) + b"PN")
    path.write_bytes(whole[:at] + data + whole[at:])
    return path


def test_deeply_nested_sequences_are_refused(tmp_path):
    path = insert(make_series(tmp_path / "a", 1)[0], nested(3000))
    assert "nested too deep" in told(path)
    path = insert(make_series(tmp_path / "b", 1)[0], nested(30))
    assert len(DicomSource(path)) == 1


def test_stated_sizes_are_compared_with_the_file(tmp_path):
    path = make_enhanced(tmp_path / "e.dcm", per_frame=False)
    ds = dcmread(path)
    ds.NumberOfFrames = 300_000
    del ds.PerFrameFunctionalGroupsSequence
    ds.save_as(tmp_path / "native.dcm")
    ds.NumberOfFrames = 3
    ds.compress(RLELossless)
    ds.NumberOfFrames = 300_000
    ds.save_as(tmp_path / "packed.dcm")
    assert "truncated" in told(tmp_path / "native.dcm")
    assert "300000 frames, 3 are there" in told(tmp_path / "packed.dcm")
    ds.Rows = ds.Columns = 65535
    ds.save_as(tmp_path / "large.dcm")
    assert "65535x65535" in told(tmp_path / "large.dcm")


def test_deflated_files_are_inflated_once_for_header_and_pixels(tmp_path, provenance, monkeypatch):
    make_series(tmp_path / "in", 1, syntax=DeflatedExplicitVRLittleEndian)
    deflated._inflate.cache_clear()
    source = DicomSource(tmp_path / "in")
    with open_sink(source, tmp_path / "out", provenance) as sink:
        original = source.read(0)
        np.testing.assert_array_equal(original.hu, anatomy(0))
        sink.write(original, original.hu + 1)
    assert deflated._inflate.cache_info().misses == 1
    np.testing.assert_array_equal(DicomSource(tmp_path / "out").read(0).hu, anatomy(0) + 1)


def test_deflate_bombs_and_truncated_deflate_are_refused(tmp_path, monkeypatch):
    path = make_series(tmp_path, 1, syntax=DeflatedExplicitVRLittleEndian)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-500])
    assert "truncated" in told(path)
    at = deflated.deflated_from(whole)
    assert at is not None
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(whole[:at] + packer.compress(bytes(20 << 20)) + packer.flush())
    monkeypatch.setattr(zip_files, "RATIO_FROM", 1 << 20)
    with pytest.raises(UnsafeZip, match="200 times"):
        DicomSource(path)
    monkeypatch.setattr(zip_files, "RATIO_FROM", 1 << 40)
    monkeypatch.setattr(zip_files, "MAX_BYTES", 2 << 20)
    with pytest.raises(UnsafeZip, match="more than"):
        DicomSource(path)


def write_npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


def npy_bytes(shape: tuple[int, ...], data: bytes = b"", kind: str = "<f8") -> bytes:
    buffer = BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def small() -> np.ndarray:
    return np.stack([anatomy(index)[:40] for index in range(3)])


def test_other_arrays_of_an_npz_are_copied_without_being_read_into_memory(tmp_path, provenance, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", hu=small(), junk=np.zeros(4 << 20, "u1"))
    tracemalloc.start()
    with open_source(tmp_path / "bomb.npz") as source, open_sink(source, tmp_path / "out.npz", provenance) as sink:
        for index in range(3):
            sink.write(source.read(index), source.read(index).hu)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["junk"], 0)
    monkeypatch.setattr(zip_files, "RATIO_FROM", 1 << 20)
    assert "200 times" in told(tmp_path / "bomb.npz")


def test_nifti_with_absurd_headers_is_refused(tmp_path, monkeypatch):
    image = nib.Nifti1Image(np.zeros((8, 8, 4), "i2") - 1000, np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"kept"))
    image.to_filename(tmp_path / "a.nii")
    with open_source(tmp_path / "a.nii") as source:
        assert (source.read(0).hu == -1000).all()
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[108:112] = struct.pack("<f", 1e9)
    (tmp_path / "b.nii").write_bytes(data)
    assert "1000000000 bytes before the image" in told(tmp_path / "b.nii")
    nib.Nifti1Image(np.zeros((256, 256, 40), "i2"), np.eye(4)).to_filename(tmp_path / "c.nii.gz")
    monkeypatch.setattr(zip_files, "RATIO_FROM", 1 << 20)
    assert "200 times" in told(tmp_path / "c.nii.gz")


def test_numpy_files_of_absurd_shapes_are_refused(tmp_path):
    hu = npy_bytes((3, 40, 64), small().tobytes())
    path = write_npz(tmp_path / "a.npz", hu=hu, spacing=npy_bytes((10**12,)))
    assert "a.npz: key 'spacing' must be (3,)" in told(path)
    assert "b.npz" in told(write_npz(tmp_path / "b.npz", hu=npy_bytes((10**6, 10**6, 10**6))))
    with (tmp_path / "c.npy").open("wb") as file:
        file.write(npy_bytes((1, 9000, 9000), kind="<i2"))
        file.truncate(256 + 9000 * 9000 * 2)
    assert "9000 x 9000" in told(tmp_path / "c.npy")


def test_a_damaged_member_is_told_before_the_work_and_leaves_nothing(tmp_path, provenance):
    np.savez(tmp_path / "a.npz", hu=small(), note=np.arange(1000))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    at = data.index(np.arange(900, 903).tobytes())
    data[at] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with open_source(tmp_path / "a.npz") as source, pytest.raises(CannotDecode, match=r"note\.npy is not readable"):
        open_sink(source, tmp_path / "new" / "b.npz", provenance).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("direction", [np.zeros((3, 3)), np.ones((3, 3)), np.eye(3)[[0, 1, 1]], 2 * np.eye(3)])
def test_grids_without_a_meaning_name_the_file(tmp_path, direction):
    np.savez(tmp_path / "a.npz", hu=small(), spacing=[1, 1, 1], direction=direction)
    with pytest.raises(GeometryMismatch, match=r"a\.npz: key 'direction'"), open_source(tmp_path / "a.npz"):
        pass
    np.savez(tmp_path / "b.npz", hu=small(), spacing=[1, 0, 1])
    with pytest.raises(GeometryMismatch, match=r"b\.npz: voxel spacing"), open_source(tmp_path / "b.npz"):
        pass


def test_the_series_option_is_for_dicom_only(tmp_path):
    np.save(tmp_path / "a.npy", small())
    with pytest.raises(InvalidSetting, match=r"series '5'.*a\.npy"), open_source(tmp_path / "a.npy", "5"):
        pass


def test_messages_are_printable_and_name_the_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    with pytest.raises(NothingToRead) as caught, open_source(tmp_path / "a.zip"):
        pass
    assert str(caught.value).startswith(f"{tmp_path / 'a.zip'}: ")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("../\x1b[31mred", b"")
    assert "../?[31mred" in told(tmp_path / "b.zip")
    make_series(tmp_path / "in", 1)
    (tmp_path / "in" / "no\x1b[31m\ndicom").write_text("nothing")
    with open_source(tmp_path / "in") as source:
        assert [line for line in source.skipped if "no?[31m" in line]


def test_the_words_of_the_system_are_found_in_the_causes():
    error = OSError("With tag (7FE0,0010) got exception\nTraceback (most recent call last):")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert reason(error) == "No space left on device"
    assert reason(OSError("first\nTraceback")) == "first"
    assert reason(OSError()) == "OSError"
