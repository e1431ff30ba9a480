"""Pairs of .hdr and .img, NRRD and MetaImage: HU and grid as in NIfTI, and what is wrong in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lowdose.errors import CannotDecode, LowDoseError, NothingToRead, OutputRefused
from lowdose.io.open_series import open_sink, open_source
from lowdose.io.provenance import Provenance
from support.nifti_files import AXIAL, hu_stack


def save_pair(path: Path, kind: type = nib.Nifti1Pair, dtype: str = "<i2") -> Path:
    header = kind.header_class(endianness=dtype[0])
    header.set_data_dtype(dtype)
    nib.save(kind(hu_stack().transpose(2, 1, 0).astype(dtype), AXIAL, header), path)
    return path


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4"])
@pytest.mark.parametrize("name", ["a.img", "a.img.gz"])
def test_a_pair_is_read_by_either_of_its_files(tmp_path: Path, name: str, dtype: str) -> None:
    save_pair(tmp_path / name, dtype=dtype)
    for half in (name, name.replace("img", "hdr")):
        with open_source(tmp_path / half) as source:
            assert source.geometry is not None
            np.testing.assert_allclose(source.geometry.spacing, (2, 0.8, 0.7), rtol=1e-6)
            np.testing.assert_array_equal(source.read(1).hu, hu_stack()[1])
            assert source.warnings == []


def test_the_scale_of_a_pair_is_kept(tmp_path: Path, provenance: Provenance) -> None:
    image = nib.Nifti1Pair((hu_stack().transpose(2, 1, 0) + 1024).astype("u2"), AXIAL)
    image.header.set_slope_inter(1, -1024)
    nib.save(image, tmp_path / "a.hdr")
    with open_source(tmp_path / "a.hdr") as source, open_sink(source, tmp_path / "b.nii.gz", provenance) as sink:
        for index in range(3):
            sink.write(source.read(index), source.read(index).hu)
    written = nib.load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj).transpose(2, 1, 0), hu_stack())
    assert written.get_data_dtype() == np.uint16
    np.testing.assert_allclose(written.affine, AXIAL, rtol=1e-6)


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage])
def test_analyze_is_read_with_a_warning(tmp_path: Path, kind: type) -> None:
    path = save_pair(tmp_path / "a.img", kind)
    with open_source(path) as source:
        np.testing.assert_array_equal(source.read(1).hu, hu_stack()[1])
        assert source.warnings == ["Analyze 7.5 files state no orientation: left and right may be exchanged."]


def test_a_header_of_a_pair_under_another_name_is_told(tmp_path: Path) -> None:
    save_pair(tmp_path / "a.img")
    for name in ("a.nii", "a"):
        (tmp_path / name).write_bytes((tmp_path / "a.hdr").read_bytes())
        with pytest.raises(CannotDecode, match=r"name the two files \.hdr and \.img"), open_source(tmp_path / name):
            pass


def test_half_a_pair_and_a_short_one_are_told(tmp_path: Path, provenance: Provenance) -> None:
    path = save_pair(tmp_path / "a.img")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CannotDecode, match=r"a\.img: truncated"), open_source(path):
        pass
    path.unlink()
    with pytest.raises(NothingToRead, match=r"a\.img must lie beside it"), open_source(tmp_path / "a.hdr"):
        pass
    path = save_pair(tmp_path / "a.img")
    with (
        open_source(path) as source,
        pytest.raises(OutputRefused, match=r"end in \.nii"),
        open_sink(source, tmp_path / "b.img", provenance),
    ):
        pass


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd"])
def test_nrrd_and_metaimage_are_read_with_simpleitk(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(hu_stack())
    image.SetSpacing((0.7, 0.8, 2.0))
    image.SetOrigin((1.0, 2.0, 3.0))
    image.SetDirection((0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    sitk.WriteImage(image, str(tmp_path / name))
    with open_source(tmp_path / name) as source:
        assert source.geometry is not None
        np.testing.assert_allclose(source.geometry.spacing, (2, 0.8, 0.7), rtol=1e-6)
        np.testing.assert_allclose(source.geometry.origin, (1, 2, 3), rtol=1e-6)
        np.testing.assert_allclose(source.geometry.direction, ((1, 0, 0), (0, 0, 1), (0, 1, 0)), atol=1e-6)
        np.testing.assert_array_equal(source.read(1).hu, hu_stack()[1])
    assert capfd.readouterr() == ("", "")
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:200])
    with pytest.raises(LowDoseError) as caught, open_source(tmp_path / name):
        pass
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_simpleitk_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    (tmp_path / "scan").write_bytes(b"NRRD0004\ntype: short\n")
    with pytest.raises(CannotDecode, match=r"lowdose\[formats\].*convert it to NIfTI"), open_source(tmp_path / "scan"):
        pass
