"""New CT series from a volume."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from lowdose.errors import NotCT, OutputRefused
from lowdose.image import Acquisition, Geometry
from lowdose.io.dicom.new_series import write_new_series
from lowdose.io.dicom.series import DicomSource
from lowdose.volume import Volume
from lowdose.volume_source import read_volume
from support.synthetic_dicom import anatomy


def phantom(direction=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))) -> Volume:
    hu = np.stack([anatomy(index) for index in range(3)]).astype(np.float32)
    grid = Geometry((1.25, 0.7031234567, 0.7031234567), (-12.3456789, 7.0, 1234.5678), direction)
    return Volume(hu, grid, Acquisition("sharp", 1.5, 120.0, "lowdose"))


def test_what_is_written_is_read(tmp_path):
    c, s = np.cos(0.3), np.sin(0.3)
    write_new_series(phantom(((0, -s, c), (0, c, s), (1, 0, 0))), tmp_path / "out", description="water")
    source = DicomSource(tmp_path / "out")
    assert source.warnings == []
    found = read_volume(source)
    np.testing.assert_array_equal(found.hu, phantom().hu)
    np.testing.assert_allclose(found.geometry.spacing, phantom().geometry.spacing, rtol=1e-6)
    np.testing.assert_allclose(found.geometry.origin, phantom().geometry.origin, rtol=1e-6)
    np.testing.assert_allclose(found.geometry.direction, ((0, -s, c), (0, c, s), (1, 0, 0)), atol=1e-6)
    assert found.acquisition == phantom().acquisition


def test_series_can_share_study_and_space(tmp_path):
    for name in ("low", "full"):
        write_new_series(phantom(), tmp_path / name, description=name, study_uid="1.2.3", frame_uid="1.2.4")
    low, full = (DicomSource(tmp_path / name) for name in ("low", "full"))
    assert low.uids["study"] == full.uids["study"] == "1.2.3"
    assert low.uids["series"] != full.uids["series"]


def test_impossible_volumes_and_places_are_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    with pytest.raises(OutputRefused, match="not empty"):
        write_new_series(phantom(), tmp_path / "out", description="")
    bad = phantom().hu.copy()
    bad[0, 0, 0] = np.inf
    made = phantom()
    spoilt = SimpleNamespace(hu=bad, geometry=made.geometry, acquisition=made.acquisition, valid=made.valid)
    with pytest.raises(OutputRefused, match="NaN or infinity"):
        write_new_series(spoilt, tmp_path / "bad", description="")
    with pytest.raises(NotCT, match="1 voxels are NaN or infinity"):
        made.with_hu(bad)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy")
def test_dciodvfy_finds_no_error(tmp_path):
    write_new_series(phantom(), tmp_path / "out", description="water")
    for path in (tmp_path / "out").iterdir():
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in done.stdout + done.stderr
