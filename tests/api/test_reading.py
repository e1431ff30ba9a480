"""``lowdose.read`` and ``lowdose.Volume``: what is read can be shown, described and saved again bit for bit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

import lowdose
from support.ct_pair import CTPair


def test_a_series_is_read_with_its_grid(ct_pair: CTPair) -> None:
    volume = lowdose.read(ct_pair.full)
    assert volume.hu.shape == (6, 256, 256)
    assert volume.hu.dtype == np.float32
    assert volume.origin is not None
    assert volume.origin.path == ct_pair.full
    described = volume.to_dict()
    assert described["shape"] == [6, 256, 256]
    assert json.loads(json.dumps(described)) == described
    assert "data:image/png;base64" in volume._repr_html_()


def test_saving_what_was_read_keeps_every_stored_value(ct_pair: CTPair, tmp_path: Path) -> None:
    out = lowdose.read(ct_pair.full).save(tmp_path / "copy")
    for before, after in zip(sorted(ct_pair.full.iterdir()), sorted(out.iterdir()), strict=True):
        one, other = pydicom.dcmread(before), pydicom.dcmread(after)
        assert np.array_equal(one.pixel_array, other.pixel_array)
        assert one.StudyInstanceUID == other.StudyInstanceUID
        assert one.SOPInstanceUID != other.SOPInstanceUID


def test_a_source_that_changed_is_not_overwritten_with_something_else(ct_pair: CTPair, tmp_path: Path) -> None:
    shutil.copytree(ct_pair.full, tmp_path / "series")
    volume = lowdose.read(tmp_path / "series")
    sorted((tmp_path / "series").iterdir())[0].unlink()
    with pytest.raises(lowdose.errors.GeometryMismatch, match="no longer the series that was read"):
        volume.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_slice_is_a_volume_of_one() -> None:
    volume = lowdose.read(np.zeros((32, 48)), spacing=(0.5, 0.6))
    assert volume.hu.shape == (1, 32, 48)
    assert volume.geometry.spacing == (1.0, 0.5, 0.6)


def test_an_irregular_series_is_no_volume_and_can_still_be_denoised(ct_pair: CTPair, tmp_path: Path) -> None:
    shutil.copytree(ct_pair.full, tmp_path / "series")
    sorted((tmp_path / "series").iterdir())[2].unlink()
    with pytest.raises(lowdose.errors.GeometryMismatch, match="regular grid"):
        lowdose.read(tmp_path / "series")
    result = lowdose.denoise(tmp_path / "series", model="gaussian")
    with pytest.raises(lowdose.errors.GeometryMismatch, match="save it"):
        result.volume  # noqa: B018 - raises
    assert len(list(result.save(tmp_path / "out").iterdir())) == 5
