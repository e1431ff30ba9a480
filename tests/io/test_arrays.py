"""NIfTI and NumPy: what counts as HU, axes, types, and the same values back."""

from __future__ import annotations

import gzip
import io
import zipfile

import nibabel as nib
import numpy as np
import pytest

from lowdose.errors import CannotDecode, NotCT, OutputRefused
from lowdose.io.open_series import open_sink, open_source
from lowdose.volume_source import read_volume
from support.synthetic_dicom import anatomy


def volume() -> np.ndarray:
    """(z, y, x) = (3, 40, 64) HU."""
    return np.stack([anatomy(index)[:40] for index in range(3)])


def save_nifti(path, values, kind, slope=1.0, inter=0.0, affine=None):
    """Stores (z, y, x) HU as a NIfTI of this type and scale."""
    affine = np.diag([-0.7, -0.8, 2.0, 1.0]) if affine is None else affine
    raw = (values.transpose(2, 1, 0) - inter) / slope
    image = nib.Nifti1Image((np.rint(raw) if np.dtype(kind).kind in "iu" else raw).astype(kind), affine)
    image.header.set_slope_inter(slope, inter)
    image.to_filename(path)
    return path


def convert(path, output, provenance, change=lambda hu: hu):
    with open_source(path) as source, open_sink(source, output, provenance) as sink:
        for index in range(len(source)):
            original = source.read(index)
            sink.write(original, change(original.hu))
        sink.attach("preview.png", b"png")
        sink.attach("manifest.json", b"{}")
    return output


KINDS = [("i2", 1, 0), ("u2", 1, -1024), ("f4", 1, 0), (">i2", 1, 0), ("f8", 1, 0), ("i4", 0.5, -8192)]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("kind", "slope", "inter"), KINDS)
def test_nifti_there_and_back(tmp_path, provenance, kind, slope, inter, ending):
    path = save_nifti(tmp_path / f"a{ending}", volume(), kind, slope, inter)
    with open_source(path) as source:
        assert len(source) == 3
        for index in range(3):
            np.testing.assert_allclose(source.read(index).hu, volume()[index], atol=1e-3)
        assert source.geometry is not None
        np.testing.assert_allclose(source.geometry.spacing, (2.0, 0.8, 0.7), rtol=1e-6)
        np.testing.assert_allclose(source.geometry.direction, ((0, 0, 1), (0, 1, 0), (1, 0, 0)), atol=1e-6)
        assert read_volume(source).hu.shape == (3, 40, 64)
    output = convert(path, tmp_path / f"out{ending}", provenance)
    old, new = nib.load(path), nib.load(output)
    np.testing.assert_array_equal(np.asarray(new.dataobj.get_unscaled()), np.asarray(old.dataobj.get_unscaled()))
    assert new.dataobj.slope == old.dataobj.slope
    assert new.dataobj.inter == old.dataobj.inter
    assert new.get_data_dtype() == old.get_data_dtype()
    np.testing.assert_array_equal(new.affine, old.affine)
    assert b"esau-net" in new.header["descrip"].tobytes()
    assert (tmp_path / "out.preview.png").exists()
    assert (tmp_path / "out.json").exists()


def test_nifti_is_rounded_and_clamped(tmp_path, provenance):
    path = save_nifti(tmp_path / "a.nii", volume(), "i2")
    out = convert(path, tmp_path / "b.nii", provenance, lambda hu: hu + np.float32(0.75))
    np.testing.assert_array_equal(np.asarray(nib.load(out).dataobj).transpose(2, 1, 0), volume() + 1)
    out = convert(path, tmp_path / "c.nii.gz", provenance, lambda hu: hu + np.float32(1e6))
    assert (np.asarray(nib.load(out).dataobj) == 32767).all()


def test_nifti_oblique_geometry(tmp_path):
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0] * [0.5, 0.6, 3.0]
    affine[:3, 3] = (10, -20, 30)
    with open_source(save_nifti(tmp_path / "a.nii", volume(), "i2", affine=affine)) as source:
        grid = source.geometry
        assert grid is not None
        index = np.array([2, 5, 7])  # z, y, x
        lps = np.array(grid.origin) + (np.array(grid.direction).T * grid.spacing) @ index
        np.testing.assert_allclose(lps * [-1, -1, 1], (affine @ [7, 5, 2, 1])[:3], rtol=1e-5)
        np.testing.assert_allclose(source.planes[2].corner, (affine @ [0, 0, 2, 1])[:3] * [-1, -1, 1], rtol=1e-5)


def test_nifti_that_is_no_ct(tmp_path):
    cases = {
        "mask": (np.abs(volume()) > 500).astype("u1"),
        "offset": (volume() + 1024).astype("u2"),
    }
    for name, values in cases.items():
        nib.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)).to_filename(tmp_path / f"{name}.nii.gz")
        with pytest.raises(NotCT, match="none below 0"), open_source(tmp_path / f"{name}.nii.gz"):
            pass
    nib.Nifti1Image(np.zeros((4, 4, 4, 2), "i2"), np.eye(4)).to_filename(tmp_path / "d.nii")
    with pytest.raises(NotCT, match="4-D"), open_source(tmp_path / "d.nii"):
        pass
    bad = volume()
    bad[1, 3, 4] = np.nan
    with pytest.raises(NotCT, match="NaN"), open_source(save_nifti(tmp_path / "n.nii", bad, "f4")):
        pass


def test_damaged_nifti(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz", volume(), "i2")
    plain = gzip.decompress(path.read_bytes())
    cases = {"a.nii": plain[:-10], "b.nii": b"nothing", "c.nii.gz": path.read_bytes()[:-400]}
    for name, data in cases.items():
        (tmp_path / "broken").mkdir(exist_ok=True)
        (tmp_path / "broken" / name).write_bytes(data)
        with pytest.raises(CannotDecode, match=name), open_source(tmp_path / "broken" / name):
            pass


@pytest.mark.parametrize("kind", ["<i2", ">f4", "<f8"])
def test_npy_there_and_back(tmp_path, provenance, kind):
    for values in (volume(), volume()[0]):
        for order in ("C", "F"):
            name = f"{values.ndim}{order}"
            np.save(tmp_path / f"{name}.npy", np.asarray(values.astype(kind), order=order))
            output = convert(tmp_path / f"{name}.npy", tmp_path / f"{name}-out.npy", provenance)
            new = np.load(output)
            assert new.dtype == np.dtype(kind)
            np.testing.assert_array_equal(new, values)


def test_npz_keeps_its_keys_and_states_its_grid(tmp_path, provenance):
    direction = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], float)
    np.savez(tmp_path / "a.npz", hu=volume(), spacing=[2, 0.8, 0.7], origin=[1, 2, 3], direction=direction, note=[7])
    with open_source(tmp_path / "a.npz") as source:
        assert source.warnings == []
        assert source.geometry is not None
        assert source.geometry.spacing == (2.0, 0.8, 0.7)
        assert source.geometry.direction[0] == (0, 0, -1)
        assert source.planes[1].corner == (1, 2, 1)
    output = convert(tmp_path / "a.npz", tmp_path / "b.npz", provenance, lambda hu: hu + 1)
    with np.load(output) as new:
        assert set(new) == {"hu", "spacing", "origin", "direction", "note"}
        np.testing.assert_array_equal(new["hu"], volume() + 1)
        assert new["note"][0] == 7


def test_numpy_that_is_not_hu(tmp_path):
    cases = {
        "positive.npy": (volume() + 1024, "may not be HU"),
        "unsigned.npy": ((volume() + 1024).astype("u2"), "signed integer"),
        "four.npy": (volume()[None], "float or signed"),
        "nan.npy": (np.full((2, 4, 4), np.nan), "NaN"),
    }
    for name, (values, message) in cases.items():
        np.save(tmp_path / name, values)
        with pytest.raises(NotCT, match=message) as caught, open_source(tmp_path / name):
            pass
        assert name in str(caught.value)
    np.savez(tmp_path / "k.npz", image=volume())
    with pytest.raises(NotCT, match="keys: image"), open_source(tmp_path / "k.npz"):
        pass
    np.savez(tmp_path / "s.npz", hu=volume(), spacing=[1, 2])
    with pytest.raises(NotCT, match="spacing"), open_source(tmp_path / "s.npz"):
        pass


def test_npy_without_spacing_is_told(tmp_path):
    np.save(tmp_path / "a.npy", volume())
    with open_source(tmp_path / "a.npy") as source:
        assert source.warnings == ["The voxel spacing is unknown: state it with --pixel and --thickness."]
        assert source.geometry is None


def test_nothing_is_ever_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("hu.npy", buffer.getvalue())
    for name in ("a.npy", "a.npz"):
        with pytest.raises(CannotDecode), open_source(tmp_path / name):
            pass
    assert not (tmp_path / "sprung").exists()


def test_places_that_are_refused(tmp_path, provenance):
    path = save_nifti(tmp_path / "a.nii", volume(), "i2")
    np.save(tmp_path / "a.npy", volume())
    for source_path, names in ((path, ["a.nii", "b", "b.npy"]), (tmp_path / "a.npy", ["a.npy", "b.nii", "b.npz"])):
        with open_source(source_path) as source:
            for name in names:
                with pytest.raises(OutputRefused), open_sink(source, tmp_path / name, provenance):
                    pass
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.nii", "a.npy"]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.npy", "a.npz"])
def test_interruption_leaves_nothing(tmp_path, provenance, name):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / name
    if ".nii" in name:
        save_nifti(path, volume(), "i2")
    else:
        np.save(path, volume()) if name == "a.npy" else np.savez(path, hu=volume())

    def stop(hu):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(path, tmp_path / name, provenance, stop)
    with (
        pytest.raises(OutputRefused, match="0 of 3"),
        open_source(path) as source,
        open_sink(source, tmp_path / name, provenance),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["in"]
