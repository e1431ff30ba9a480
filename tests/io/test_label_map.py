"""Organ labels put on a series by where their voxels lie, whatever way the file turns its axes."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lowdose.errors import CannotDecode, GeometryMismatch, InvalidSetting, NothingToRead
from lowdose.image import Geometry
from lowdose.io.arrays import planes
from lowdose.io.label_map import affine, check_on_grid, labels_of_slice, open_labels, write_labels
from lowdose.io.open_series import open_source
from support import nifti_labels
from support.shared_scans import SHARED_CT

EXAMPLE = SHARED_CT / "normal-dose/totalsegmentator-abdomen-siemens"
SHAPE = (4, 6, 5)
GEOMETRY = Geometry((3.0, 0.8, 0.7), (-20.0, 35.0, -101.5))
TURNED = Geometry(GEOMETRY.spacing, GEOMETRY.origin, ((0, 0, 1), (0.6, 0.8, 0), (0.8, -0.6, 0)))
VALUES = np.random.default_rng(0).integers(0, 118, SHAPE).astype(np.uint8)


def series(geometry: Geometry | None = GEOMETRY, shape: tuple[int, int, int] = SHAPE, every: int = 1):
    """What a label map needs of a series: where its slices lie."""
    return SimpleNamespace(path=Path("scan"), planes=planes(geometry, shape[0], shape[1:])[::every])


def save(path: Path, values: np.ndarray = VALUES, matrix: np.ndarray | None = None, order=(0, 1, 2), flips=(1, 1, 1)):
    """(z, y, x) labels in the space of ``matrix``, or of ``GEOMETRY``."""
    return nifti_labels.save(path, values, affine(GEOMETRY) if matrix is None else matrix, order, flips)


def read(path: Path, source, scratch: Path) -> np.ndarray:
    labels = open_labels(path, scratch)
    return np.stack([labels_of_slice(labels, source, index) for index in range(len(source.planes))])


@pytest.mark.data
@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="needs the real scan")
def test_the_example_lies_on_its_series_as_documented(tmp_path: Path) -> None:
    path = EXAMPLE / "labels.nii.gz"
    with open_source(EXAMPLE / "dicom") as source:
        found = read(path, source, tmp_path)
    stored = np.asarray(nib.load(path).dataobj)
    np.testing.assert_array_equal(found, stored.transpose(2, 1, 0)[:, ::-1, :])
    assert open_labels(path, tmp_path).present == set(np.unique(stored).tolist()) - {0}
    assert sum(1 for file in tmp_path.iterdir() if file.suffix == ".nii") == 2


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_every_order_and_direction_of_axes(order: tuple[int, int, int], tmp_path: Path) -> None:
    for number, flips in enumerate(product((1, -1), repeat=3)):
        path = save(tmp_path / f"{number}.nii", order=order, flips=flips)
        np.testing.assert_array_equal(read(path, series(), tmp_path), VALUES)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.sampled_from([1, -1])] * 3),
)
def test_oblique_series_and_labels(angles, origin, order, flips, tmp_path: Path) -> None:
    turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    geometry = Geometry((3.0, 0.8, 0.7), origin, tuple(tuple(axis) for axis in turned))
    path = save(tmp_path / "labels.nii", matrix=affine(geometry), order=order, flips=flips)
    np.testing.assert_array_equal(read(path, series(geometry), tmp_path), VALUES)


def test_a_tilted_stack_and_what_we_write_ourselves(tmp_path: Path) -> None:
    slope = np.array([0.0, 0.3, 1.0])
    along = tuple(slope / np.linalg.norm(slope))
    tilted = Geometry((3.0, 0.8, 0.7), (1.0, 2.0, 3.0), (along, (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
    for geometry in (GEOMETRY, tilted):
        for ending in (".nii", ".nii.gz"):
            write_labels(VALUES, geometry, tmp_path / f"own{ending}")
            np.testing.assert_array_equal(read(tmp_path / f"own{ending}", series(geometry), tmp_path), VALUES)


def test_types_scales_units_and_a_fourth_axis(tmp_path: Path) -> None:
    stored = VALUES.transpose(2, 1, 0)
    small = np.diag([0.001, 0.001, 0.001, 1.0]) @ affine(GEOMETRY)
    images = {
        "float": nib.Nifti1Image(stored.astype(np.float64), affine(GEOMETRY)),
        "big-endian": nib.Nifti1Image(stored.astype(">i2"), affine(GEOMETRY)),
        "4-D": nib.Nifti1Image(stored[..., None].astype(np.int16), affine(GEOMETRY)),
        "metres": nib.Nifti1Image(stored, small),
        "second version": nib.Nifti2Image(stored, affine(GEOMETRY)),
        "scaled": nib.Nifti1Image((stored * 2.0 - 8).astype(np.int16), affine(GEOMETRY)),
    }
    images["metres"].header.set_xyzt_units("meter")
    images["scaled"].header.set_slope_inter(0.5, 4.0)
    for name, image in images.items():
        path = tmp_path / f"{name}.nii.gz"
        if name == "scaled":  # as nibabel would scale the values themselves once more
            header = image.header.copy()
            header["vox_offset"] = 352
            raw = np.asfortranarray(np.asarray(image.dataobj)).tobytes("F")
            path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + raw))
        else:
            image.to_filename(path)
        labels = open_labels(path, tmp_path)
        assert labels.present == set(np.unique(VALUES).tolist()) - {0}, name
        np.testing.assert_array_equal(read(path, series(), tmp_path), VALUES, err_msg=name)


def test_some_slices_of_a_labelled_scan_get_their_own(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(save(tmp_path / "a.nii"), series(every=2), tmp_path), VALUES[::2])


def moved(mm: tuple[float, float, float]) -> np.ndarray:
    matrix = affine(GEOMETRY)
    matrix[:3, 3] += mm
    return matrix


def test_rounded_headers_are_no_mismatch(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", matrix=moved((0.05, -0.05, 0.1)))
    np.testing.assert_array_equal(read(path, series(), tmp_path), VALUES)


@pytest.mark.parametrize(
    ("values", "matrix", "source"),
    [
        (VALUES, moved((0.35, 0, 0)), series()),  # half a pixel
        (VALUES, moved((0, 0.8, 0)), series()),  # a whole one
        (VALUES, moved((0, 0, 3.0)), series()),  # a slice: the last has no labels
        (VALUES, moved((0, 0, 1.5)), series()),
        (VALUES, affine(Geometry((3.0, 0.9, 0.7), GEOMETRY.origin)), series()),
        (VALUES, affine(GEOMETRY) @ np.diag([1.0, 1.0, 0.5, 1.0]), series()),
        (VALUES[:-1], affine(GEOMETRY), series()),
        (VALUES[:, :-1], affine(GEOMETRY), series()),
        (VALUES, affine(GEOMETRY), series(shape=(4, 6, 4))),
        (VALUES, affine(TURNED), series()),
        (VALUES, affine(GEOMETRY), series(None)),
    ],
)  # fmt: skip
def test_labels_of_another_grid_are_refused_naming_both(values, matrix, source, tmp_path: Path) -> None:
    labels = open_labels(save(tmp_path / "others.nii.gz", values, matrix), tmp_path)
    with pytest.raises(GeometryMismatch, match="scan") as told:
        check_on_grid(labels, source, range(len(source.planes)))
    assert "others.nii.gz" in str(told.value)


@pytest.mark.parametrize("value", [300, -1, 123, 2.5, np.nan])
def test_what_is_no_label_is_refused(value: float, tmp_path: Path) -> None:
    values = VALUES.astype(np.float32)
    values[1, 2, 3] = value
    with pytest.raises(InvalidSetting, match=f"{value:g}"):
        open_labels(save(tmp_path / "a.nii", values), tmp_path)


def test_an_image_and_an_empty_map_are_no_labels(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 500, (8, 40, 40)).astype(np.float32)
    for values in (noise, np.zeros(SHAPE, np.uint8)):
        with pytest.raises(InvalidSetting, match="label"):
            open_labels(save(tmp_path / "a.nii", values), tmp_path)


def test_unreadable_label_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match="nowhere"):
        open_labels(tmp_path / "nowhere.nii", tmp_path)
    (tmp_path / "text.nii").write_text("hello")
    whole = save(tmp_path / "whole.nii").read_bytes()
    (tmp_path / "short.nii").write_bytes(whole[:-10])
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(whole)[:-30])
    nib.Nifti1Image(np.ones((2, 2, 2, 3), np.uint8), np.eye(4)).to_filename(tmp_path / "colours.nii")
    for name in ("text.nii", "short.nii", "short.nii.gz", "colours.nii"):
        with pytest.raises(CannotDecode, match=name):
            open_labels(tmp_path / name, tmp_path)
    flat = bytearray(whole)
    flat[280:328] = bytes(48)  # the sform
    (tmp_path / "flat.nii").write_bytes(flat)
    with pytest.raises(GeometryMismatch, match="affine"):
        open_labels(tmp_path / "flat.nii", tmp_path)
