"""New files and folders from a volume: with their companions, all of it or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowdose.errors import OutputRefused
from lowdose.io.arrays import companion_path
from lowdose.io.write_volume import refuse_taken, write_volume
from lowdose.volume import Volume

COMPANIONS = {"manifest.json": b"{}", "preview.png": b"png"}


@pytest.fixture
def volume() -> Volume:
    return Volume.from_array(np.zeros((2, 8, 8)), (3.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("name", "companion", "expected"),
    [
        ("a.nii.gz", "manifest.json", "a.json"),
        ("A.NII.GZ", "preview.png", "A.preview.png"),
        ("a.b.npz", "words.json", "a.b.words.json"),
        ("a.nii", "manifest.json", "a.json"),
    ],
)
def test_companions_bear_the_name_of_the_file(name: str, companion: str, expected: str) -> None:
    assert companion_path(Path("x") / name, companion) == Path("x") / expected


@pytest.mark.parametrize("name", ["a.nii.gz", "a.npy", "a.npz", "folder"])
def test_companions_are_written_with_the_volume(name: str, volume: Volume, tmp_path: Path) -> None:
    refuse_taken(tmp_path / name, COMPANIONS)
    write_volume(volume, tmp_path / name, "", COMPANIONS)
    place = tmp_path / name
    paths = [place / key if name == "folder" else companion_path(place, key) for key in COMPANIONS]
    assert [path.read_bytes() for path in paths] == list(COMPANIONS.values())
    with pytest.raises(OutputRefused, match="exists"):
        refuse_taken(tmp_path / name, COMPANIONS)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.npy", "folder"])
def test_a_companion_that_fails_leaves_nothing(
    name: str, volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if data == b"png":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputRefused, match="No space left"):
        write_volume(volume, tmp_path / name, "", COMPANIONS)
    assert list(tmp_path.iterdir()) == []
