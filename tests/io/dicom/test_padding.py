"""Where nothing was reconstructed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lowdose.io.dicom.padding import declared, out_of_field, valid_mask
from lowdose.io.dicom.series import DicomSource
from support.synthetic_dicom import anatomy, header, save, store

Y, X = np.mgrid[:64, :64] - 31.5
OUTSIDE = np.hypot(Y, X) > 31.5


def read_with(tmp_path, hu, **values):
    ds = header(0, 0.0, "1.2.3.10", 64)
    ds.BitsStored, ds.HighBit = 16, 15
    for keyword, value in values.items():
        if keyword != "PixelPaddingValue":
            setattr(ds, keyword, value)
    if "PixelPaddingValue" in values:
        ds.add_new(
            "PixelPaddingValue", "US" if values["PixelPaddingValue"] > 32767 else "SS", values["PixelPaddingValue"]
        )
    store(ds, hu)
    return DicomSource(save(ds, tmp_path / "a.dcm")).read(0)


@pytest.mark.parametrize("stated", [-2000, 63536])
def test_declared_padding_under_either_sign(tmp_path, stated):
    hu = np.where(OUTSIDE, -3024, anatomy())
    slice_ = read_with(tmp_path, hu, PixelRepresentation=1, PixelPaddingValue=stated)
    np.testing.assert_array_equal(slice_.valid, ~OUTSIDE)


def test_intercept_of_minus_8192(tmp_path):
    hu = np.where(OUTSIDE, -8192, anatomy())
    hu[30, 30] = -8192
    slice_ = read_with(tmp_path, hu, RescaleIntercept=-8192)
    assert not slice_.valid[OUTSIDE].any()
    assert not slice_.valid[30, 30]
    assert slice_.valid.sum() == (~OUTSIDE).sum() - 1


def test_padding_value_that_also_occurs_in_tissue_counts_at_the_border_only(tmp_path):
    hu = np.where(OUTSIDE, 0, anatomy())
    hu[30:33, 30:33] = 0
    slice_ = read_with(tmp_path, hu, PixelPaddingValue=1024)
    assert slice_.valid[30:33, 30:33].all()
    assert not slice_.valid[OUTSIDE].any()


def test_padding_range():
    stored = np.array([[-2005, -2000, -1990, -1000]], np.int16)
    found = declared(stored, stored, (63536, 65536 - 1990), 1.0, 0.0)
    np.testing.assert_array_equal(found, [[False, True, True, False]])


def test_undeclared_out_of_field_but_not_the_air_inside(tmp_path):
    hu = np.where(OUTSIDE, -1024, anatomy())
    hu[20, 20] = -1024
    slice_ = read_with(tmp_path, hu)
    np.testing.assert_array_equal(slice_.valid, ~OUTSIDE)


def test_corner_of_ordinary_air_is_valid(tmp_path):
    assert read_with(tmp_path, np.maximum(anatomy(), -990)).valid.all()


def test_ringing_of_lossy_compression_beside_padding(tmp_path):
    hu = np.where(OUTSIDE, -2000 + np.arange(64), anatomy())
    assert read_with(tmp_path, hu, RescaleIntercept=-4096).valid.sum() > (~OUTSIDE).sum()
    slice_ = read_with(tmp_path, hu, RescaleIntercept=-4096, LossyImageCompression="01")
    np.testing.assert_array_equal(slice_.valid, ~OUTSIDE)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 0.98), st.integers(0, 10**6))
def test_out_of_field_is_the_labelled_region_of_the_corners(height, width, share, seed):
    hu = np.where(np.random.default_rng(seed).random((height, width)) < share, -1024, 0).astype(np.float32)
    labels, _ = ndimage.label(hu == -1024)
    wanted = np.isin(labels, [n for n in (labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1]) if n])
    found = out_of_field(hu)
    np.testing.assert_array_equal(np.zeros_like(wanted) if found is None else found, wanted)
    np.testing.assert_array_equal(valid_mask(hu, None, False), ~wanted)


def test_a_winding_region_is_followed_to_its_end():
    hu = np.zeros((81, 81), np.float32)
    for row in range(0, 81, 2):
        hu[row] = -1024
        hu[row + 1 : row + 2, 0 if row % 4 else 80] = -1024
    hu[0, 1:80], hu[2:, 0] = -1024, 0
    labels, _ = ndimage.label(hu == -1024)
    found = out_of_field(hu)
    assert found is not None
    corners = [n for n in (labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1]) if n]
    np.testing.assert_array_equal(found, np.isin(labels, corners))
