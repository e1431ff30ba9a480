"""``lowdose.read`` and ``lowdose.Volume``: what is read can be shown, described and saved again bit for bit."""

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

import lowdose
from support.ct_pair import CTPair
from support.nifti_files import save_nifti


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


@pytest.mark.parametrize(
    ("source", "options", "kind", "told"),
    [
        ("", {}, "NothingToRead", "an empty path"),
        (["a.dcm", "b.dcm"], {}, "InvalidSetting", "a list of 2 paths is no input; give the folder"),
        ({"hu": 1}, {}, "InvalidSetting", "a dict is no input"),
        ([[1, 2], [3]], {"spacing": (1, 1)}, "NotCT", "no array of numbers"),
        (np.zeros((4, 8, 8)), {"spacing": 3.0}, "GeometryMismatch", "spacing 3.0: give three numbers"),
        (np.zeros((4, 8, 8)), {"spacing": "abc"}, "GeometryMismatch", "spacing 'abc'"),
        (np.zeros((4, 8, 8)), {"spacing": (3, None, 1)}, "GeometryMismatch", "spacing"),
        (np.ma.masked_less(np.zeros((4, 8, 8)), 1), {"spacing": (3, 1, 1)}, "NotCT", "its mask would be lost"),
        (
            lowdose.Volume.from_array(np.zeros((4, 8, 8)), (3, 1, 1)),
            {"spacing": (9, 9, 9)},
            "InvalidSetting",
            "leave it",
        ),
    ],
)
def test_what_is_no_series_is_named(source: object, options: dict[str, object], kind: str, told: str) -> None:
    with pytest.raises(getattr(lowdose.errors, kind), match=re.escape(told)):
        lowdose.read(source, **options)  # type: ignore[arg-type]


def test_a_spacing_makes_a_volume_of_a_bare_npy_file(tmp_path: Path) -> None:
    made = np.random.default_rng(0).normal(-100, 300, (3, 40, 40)).astype(np.float32)
    made[0, 0] = -1000
    np.save(tmp_path / "scan.npy", made)
    with pytest.raises(lowdose.errors.GeometryMismatch):
        lowdose.read(tmp_path / "scan.npy")
    volume = lowdose.read(tmp_path / "scan.npy", spacing=(3.0, 0.7, 0.7))
    assert volume.spacing == (3.0, 0.7, 0.7)
    np.testing.assert_array_equal(volume.hu, made)


def test_a_volume_refuses_nan_and_takes_any_real_values(ct_pair: CTPair) -> None:
    volume = lowdose.read(ct_pair.full)
    assert volume.with_hu(volume.hu.astype(np.float64)).hu.dtype == np.float32
    with pytest.raises(lowdose.errors.NotCT, match="voxels are NaN or infinity"):
        volume.with_hu(volume.hu * np.float32(np.nan))
    with pytest.raises(lowdose.errors.GeometryMismatch, match="must be a lowdose"):
        lowdose.Volume(volume.hu, (3.0, 1.0, 1.0))  # type: ignore[arg-type]
    assert volume == volume
    assert len({volume}) == 1


def test_a_relative_path_is_kept_as_an_absolute_one(
    ct_pair: CTPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ct_pair.full.parent)
    volume = lowdose.read("full")
    monkeypatch.chdir(tmp_path)
    assert volume.save("copy") == Path("copy")
    assert len(list((tmp_path / "copy").iterdir())) == 6


def test_what_was_read_from_a_zip_is_saved_as_a_derived_series(ct_pair: CTPair, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "scan"), "zip", ct_pair.full)
    volume = lowdose.read(packed)
    volume.save(tmp_path / "copy")
    lowdose.denoise(volume, model="gaussian").save(tmp_path / "of_volume")
    lowdose.denoise(packed, model="gaussian").volume.save(tmp_path / "of_zip")
    original = pydicom.dcmread(min(ct_pair.full.iterdir())).StudyInstanceUID
    for name in ("copy", "of_volume", "of_zip"):
        assert len(list((tmp_path / name).iterdir())) == 6
        assert pydicom.dcmread(min((tmp_path / name).iterdir())).StudyInstanceUID == original


def test_sizes_that_a_file_does_not_state_can_be_given(tmp_path: Path) -> None:
    made = np.random.default_rng(0).normal(-100, 300, (3, 40, 40)).astype(np.float32)
    made[0, 0] = -1000
    np.save(tmp_path / "scan.npy", made)
    by_file = lowdose.read(tmp_path / "scan.npy", pixel=0.7, thickness=3.0)
    by_array = lowdose.read(made, pixel=0.7, thickness=3.0)
    for volume in (by_file, by_array):
        assert volume.spacing == (3.0, 0.7, 0.7)
        assert volume.acquisition.thickness_mm == 3.0
        np.testing.assert_array_equal(volume.hu, made)
    overlapping = lowdose.read(tmp_path / "scan.npy", spacing=(1.0, 0.7, 0.7), thickness=3.0)
    assert (overlapping.spacing[0], overlapping.acquisition.thickness_mm) == (1.0, 3.0)
    assert lowdose.read(by_array, thickness=5.0).acquisition.thickness_mm == 3.0
    for options in ({"pixel": 0.0}, {"thickness": float("nan")}, {"pixel": "0.7"}):
        with pytest.raises(lowdose.errors.InvalidSetting, match="must be"):
            lowdose.read(made, **options)  # type: ignore[arg-type]


def test_a_volume_of_a_file_is_saved_as_what_the_content_was(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii")
    path.rename(tmp_path / "scan")
    volume = lowdose.read(tmp_path / "scan")
    volume.save(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(lowdose.read(tmp_path / "b.nii.gz").hu, volume.hu)
    result = lowdose.denoise(tmp_path / "scan", model="gaussian", strength=0.0)
    result.save(tmp_path / "c.nii.gz")
    assert nib.load(tmp_path / "c.nii.gz").get_data_dtype() == np.int16  # as the source stores it
