"""``lowdose detect`` as a user meets it: several series, and what is refused. The detector is one that sees nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lowdose import cli
from support.lesion_detectors import write_blind_detector
from support.synthetic_dicom import make_series


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return write_blind_detector(tmp_path / "run") / "detector.safetensors"


def run(*arguments: object) -> int:
    return cli.run(["detect", *map(str, arguments)])


def test_several_series_get_a_folder_each(detector: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_series(tmp_path / "scan", 2)
    np.savez(tmp_path / "scan.npz", hu=np.zeros((2, 64, 64), np.float32))
    out = tmp_path / "out"
    inputs = (tmp_path / "scan", tmp_path / "scan.npz")
    assert run(*inputs, "--detector", detector, "--model", "none", "-o", out) == 0
    assert sorted(folder.name for folder in out.iterdir()) == ["scan", "scan-2"]
    assert (out / "scan" / "lesions.dcm").exists()
    assert not (out / "scan-2" / "lesions.dcm").exists()
    assert json.loads((out / "scan" / "lesions.json").read_text())["lesions"] == []
    said = capfd.readouterr().err
    for name in ("scan", "scan-2"):
        assert f"{name}: no lesion in 2 slices with a score of at least 0.5" in said


def test_one_broken_series_of_several_leaves_nothing(detector: Path, tmp_path: Path) -> None:
    make_series(tmp_path / "scan", 2)
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY broken")
    out = tmp_path / "out"
    assert run(tmp_path / "scan", tmp_path / "broken.npy", "--detector", detector, "--model", "none", "-o", out) == 2
    assert not out.exists()


def test_what_is_refused_is_named(detector: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_series(tmp_path / "scan", 2)
    scan, out = tmp_path / "scan", tmp_path / "out"
    for arguments, words in (
        ((scan, "--detector", tmp_path / "scan"), "has no detector.safetensors; 'lowdose train lidnet' writes one"),
        ((scan, "--detector", detector), "--model none"),
        ((scan, "--detector", detector, "--model", "none", "--score", "2"), "--score 2: must be between"),
        ((scan, scan, "--detector", detector, "--model", "none", "--series", "1"), "--series: chooses within one"),
        ((scan, "--detector", detector, "--model", "none", "--network-file", scan), "--network-file"),
    ):
        assert run(*arguments, "-o", out) == 2
        assert words in capfd.readouterr().err
        assert not out.exists()
