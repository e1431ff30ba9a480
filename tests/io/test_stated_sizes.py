"""Pixel size and slice thickness that a user states: used where the file states none, said where it does."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from lowdose.data.series import iterate_series
from lowdose.errors import InvalidSetting
from lowdose.io.open_series import open_source
from lowdose.io.pairing import open_pairs
from lowdose.io.stated_sizes import Sizes
from support.nifti_files import hu_stack, save_nifti
from support.synthetic_dicom import make_series


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 0.01, 50.0, 1e-30])
@pytest.mark.parametrize("name", ["pixel", "thickness"])
def test_sizes_that_no_ct_image_has_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidSetting, match=rf"--{name} .*: must be a number of mm from 0.05 to "):
        Sizes(**{name: value})


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_both_sizes_make_a_grid_of_an_array(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    if ending == ".npz":
        np.savez(path, hu=hu_stack())
    else:
        np.save(path, hu_stack())
    with open_source(path, sizes=Sizes(0.7, 2.0)) as source:
        assert source.geometry is not None
        assert source.geometry.spacing == (2.0, 0.7, 0.7)
        assert source.acquisition.thickness_mm == 2.0
        assert [plane.position for plane in source.planes] == [0.0, 2.0, 4.0]
        assert source.read(1).pixel_mm == (0.7, 0.7)
        assert source.warnings == []


def test_one_size_alone_is_used_and_makes_no_grid(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", hu_stack())
    with open_source(tmp_path / "a.npy", sizes=Sizes(pixel=0.7)) as source:
        assert source.read(1).pixel_mm == (0.7, 0.7)
        assert (source.geometry, source.acquisition.thickness_mm) == (None, None)
    with open_source(tmp_path / "a.npy", sizes=Sizes(thickness=2.0)) as source:
        assert source.acquisition.thickness_mm == 2.0
        assert source.read(1).pixel_mm is None


def test_what_a_file_states_is_used_and_said(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii", affine=np.diag([-0.7, -0.7, 2.0, 1.0]))
    with open_source(path, sizes=Sizes(0.5, 1.0)) as source:
        assert source.geometry is not None
        np.testing.assert_allclose(source.geometry.spacing, (2, 0.7, 0.7), rtol=1e-6)
        assert source.warnings == [
            "--pixel 0.5 is not used: the file states 0.7 mm.",
            "--thickness 1 is not used: the file states 2 mm.",
        ]
    with open_source(path, sizes=Sizes(0.7, 2.0)) as source:
        assert source.warnings == []


def test_a_dicom_series_that_states_no_size_takes_it(tmp_path: Path) -> None:
    def strip(ds: Dataset) -> None:
        del ds.PixelSpacing, ds.SliceThickness

    make_series(tmp_path / "in", 3, before=lambda ds, index: strip(ds))
    with open_source(tmp_path / "in", sizes=Sizes(0.7, 2.0)) as source:
        assert source.read(0).pixel_mm == (0.7, 0.7)
        assert source.acquisition.thickness_mm == 2.0
    make_series(tmp_path / "whole", 3)
    with open_source(tmp_path / "whole") as source:
        own = source.read(0).pixel_mm
    with open_source(tmp_path / "whole", sizes=Sizes(4.0, 15.0)) as source:
        assert source.read(0).pixel_mm == own
        assert len(source.warnings) == 2


def test_pairs_take_the_sizes_on_both_sides(tmp_path: Path) -> None:
    for name in ("low.npy", "full.npy"):
        np.save(tmp_path / name, hu_stack())
    with ExitStack() as stack:
        (pair,) = open_pairs(stack, [("", tmp_path / "low.npy", tmp_path / "full.npy")], Sizes(0.7, 2.0))
        assert pair.pairs == [(0, 0), (1, 1), (2, 2)]
        assert [side.read(0).pixel_mm for side in (pair.low, pair.full)] == [(0.7, 0.7)] * 2


@pytest.mark.parametrize("pixel", [1e-9, 0.0007, 700.0])
def test_sizes_of_a_file_that_no_ct_image_has_count_as_unknown(tmp_path: Path, pixel: float) -> None:
    path = save_nifti(tmp_path / "a.nii", affine=np.diag([-pixel, -pixel, 2.0, 1.0]))
    with open_source(path) as source:
        (told,) = source.warnings
        assert "which no CT image has" in told
        assert source.read(0).pixel_mm is None
    with open_source(path, sizes=Sizes(pixel=0.7)) as source:
        assert source.read(0).pixel_mm == (0.7, 0.7)
    make_series(tmp_path / "in", 2, before=lambda ds, index: setattr(ds, "PixelSpacing", [pixel, pixel]))
    with open_source(tmp_path / "in") as source:
        assert source.read(0).pixel_mm is None
    (series,) = iterate_series(tmp_path / "in", [])
    assert series.planes[0].pixel_mm is None


def test_a_thickness_that_no_ct_image_has_counts_as_unknown(tmp_path: Path) -> None:
    make_series(tmp_path / "in", 2, before=lambda ds, index: setattr(ds, "SliceThickness", "1e-6"))
    with open_source(tmp_path / "in") as source:
        assert source.acquisition.thickness_mm is None
        assert any("A thickness of 1e-06 mm is stated" in text for text in source.warnings)
    with open_source(tmp_path / "in", sizes=Sizes(thickness=2.0)) as source:
        assert source.acquisition.thickness_mm == 2.0
