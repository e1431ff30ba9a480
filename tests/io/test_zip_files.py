"""Zips that mean harm, zips that are broken, and a good one."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lowdose.errors import CannotDecode, NothingToRead, UnsafeZip
from lowdose.io import zip_files
from lowdose.io.open_series import open_source
from support.synthetic_dicom import anatomy, make_series


def read(path: Path) -> int:
    with open_source(path) as source:
        return len(source)


def zipped(tmp_path: Path) -> Path:
    make_series(tmp_path / "in", 3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted((tmp_path / "in").iterdir()):
            file.write(path, f"scan/{path.name}")
    return tmp_path / "a.zip"


def test_a_good_zip_is_read_and_its_copy_removed(tmp_path):
    path = zipped(tmp_path)
    with open_source(path) as source:
        np.testing.assert_array_equal(source.read(1).hu, anatomy(1))
        unpacked = source.path  # type: ignore[attr-defined]
        assert unpacked.exists()
        assert unpacked.name == "a.zip"
    assert not unpacked.exists()
    path.rename(tmp_path / "noname")
    assert read(tmp_path / "noname") == 3


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:\\evil", "a/.."])
def test_entries_that_leave_the_folder(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(name, b"x")
    with pytest.raises(UnsafeZip, match="outside its folder"):
        read(tmp_path / "a.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_symbolic_links_are_refused(tmp_path):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(UnsafeZip, match="link"):
        read(tmp_path / "a.zip")


def test_encrypted_entries_are_refused(tmp_path):
    path = zipped(tmp_path)
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(magic, at + 4)
    path.write_bytes(data)
    with pytest.raises(UnsafeZip, match="encrypted"):
        read(path)


def bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(5 << 20))
    return path


def test_bombs_are_stopped_by_what_they_unpack_to(tmp_path, monkeypatch):
    path = bomb(tmp_path / "a.zip")
    monkeypatch.setattr(zip_files, "RATIO_FROM", 1 << 20)
    with pytest.raises(UnsafeZip, match="200 times"):
        read(path)
    monkeypatch.setattr(zip_files, "MAX_BYTES", 2 << 20)
    monkeypatch.setattr(zip_files, "RATIO_FROM", 1 << 40)
    with pytest.raises(UnsafeZip, match="more than"):
        read(path)


def test_a_false_size_in_the_header_does_not_help(tmp_path, monkeypatch):
    path = bomb(tmp_path / "a.zip")
    data = path.read_bytes().replace((5 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    monkeypatch.setattr(zip_files, "MAX_BYTES", 2 << 20)
    with pytest.raises((UnsafeZip, CannotDecode)):
        read(path)


def test_too_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_files, "MAX_ENTRIES", 2)
    with pytest.raises(UnsafeZip, match="3 entries"):
        read(zipped(tmp_path))


def test_the_same_name_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", b"1")
        file.writestr("b", b"2")
    data = (tmp_path / "a.zip").read_bytes().replace(b"b", b"a")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UnsafeZip, match="twice"):
        read(tmp_path / "a.zip")


def test_damaged_zips_are_refused(tmp_path):
    path = zipped(tmp_path)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(CannotDecode, match="damaged"):
        read(path)
    path.write_bytes(bytes(data[: len(data) // 2]))
    with pytest.raises(CannotDecode, match="damaged"):
        read(path)


def test_an_empty_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("notes.txt", b"nothing")
    with pytest.raises(NothingToRead, match=r"a\.zip"):
        read(tmp_path / "a.zip")
