"""Tar files and slices compressed by gzip: read like zips, with the same care."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from lowdose.data.series import iterate_series
from lowdose.errors import CannotDecode, LowDoseError, UnsafeZip
from lowdose.io import zip_files
from lowdose.io.open_series import open_source
from support.synthetic_dicom import anatomy, make_series


def tarred(folder: Path, name: str = "a.tar.gz", mode: str = "w:gz") -> Path:
    make_series(folder / "in", 3)
    with tarfile.open(folder / name, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder / "in", "./scan")
    return folder / name


def with_entry(path: Path, entry: tarfile.TarInfo, data: bytes = b"") -> Path:
    entry.size = len(data)
    with tarfile.open(path, "w") as archive:
        archive.addfile(entry, io.BytesIO(data))
    return path


def told(path: Path) -> str:
    with pytest.raises(LowDoseError) as caught, open_source(path):
        pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.bz2", "w:bz2"), ("none", "w:xz")],
)
def test_a_tar_is_read_and_its_copy_removed(tmp_path: Path, name: str, mode: str) -> None:
    with open_source(tarred(tmp_path, name, mode)) as source:
        np.testing.assert_array_equal(source.read(1).hu, anatomy(1))
        unpacked = source.path
    assert not unpacked.exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:\\evil"])
def test_entries_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    assert "outside its folder" in told(with_entry(tmp_path / "a.tar", tarfile.TarInfo(name), b"x"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("entry")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(UnsafeZip, match="link or special file"), open_source(with_entry(tmp_path / "a.tar", entry)):
        pass


def test_bombs_are_stopped_and_damage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tarred(tmp_path)
    path.write_bytes(path.read_bytes()[:-3000])
    assert told(path).startswith(f"{path}: the tar file is damaged")
    monkeypatch.setattr(zip_files, "RATIO_FROM", 1 << 20)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("zeros")
        entry.size = 5 << 20
        archive.addfile(entry, io.BytesIO(bytes(5 << 20)))
    assert "200 times" in told(tmp_path / "bomb.tar.gz")
    (tmp_path / "bomb.dcm.gz").write_bytes(gzip.compress(bytes(5 << 20)))
    assert "200 times" in told(tmp_path / "bomb.dcm.gz")


def compressed(folder: Path, count: int = 3) -> Path:
    for path in make_series(folder, count):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return folder


def test_slices_compressed_one_by_one_are_a_series(tmp_path: Path) -> None:
    folder = compressed(tmp_path / "in")
    with open_source(folder) as source:
        assert len(source) == 3
        np.testing.assert_array_equal(source.read(2).hu, anatomy(2))
    one = folder / "s001.dcm.gz"
    with open_source(one) as source:
        np.testing.assert_array_equal(source.read(0).hu, anatomy(1))
    one.rename(folder / "IM1.GZ")
    assert one.parent.joinpath("IM1.GZ").exists()
    with open_source(folder) as source:
        assert len(source) == 3
    plain = folder / "s000.dcm"
    plain.write_bytes(gzip.decompress((folder / "s000.dcm.gz").read_bytes()))
    (folder / "s000.dcm.gz").unlink()
    os.mkfifo(folder / "pipe")
    with open_source(folder) as source:  # some compressed and some not
        assert len(source) == 3


def test_damaged_and_doubly_compressed_slices_are_told(tmp_path: Path) -> None:
    folder = compressed(tmp_path / "in")
    one = folder / "s001.dcm.gz"
    data = one.read_bytes()
    one.write_bytes(data[: len(data) // 2])
    assert "s001.dcm.gz: cannot be unpacked" in told(folder)
    one.write_bytes(gzip.compress(data))
    assert "compressed twice" in told(one)
    (folder / "s001.dcm.gz").write_bytes(b"")
    with pytest.raises(CannotDecode, match="empty"), open_source(one):
        pass


def test_training_finds_what_is_compressed(tmp_path: Path) -> None:
    compressed(tmp_path / "data" / "gz")
    tarred(tmp_path / "other").rename(tmp_path / "data" / "a.tar.gz")
    warnings: list[str] = []
    with ExitStack() as stack:
        found = list(iterate_series(tmp_path / "data", warnings, stack))
        assert sorted(len(series.planes) for series in found) == [3, 3]
        assert {series.place for series in found} == {tmp_path / "data" / "gz", tmp_path / "data" / "a.tar.gz" / "scan"}
        np.testing.assert_array_equal(found[0].read(1).hu, anatomy(1))
    assert warnings == []
    with ExitStack() as stack:
        assert len(list(iterate_series(tmp_path / "data" / "a.tar.gz", warnings, stack))) == 1
