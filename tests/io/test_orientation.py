"""Orientation of slices: axial up to any gantry tilt, sagittal, coronal, oblique."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.io.open_series import open_source
from lowdose.io.orientation import not_axial, orientation_of
from lowdose.io.source import Plane
from support.nifti_files import save_nifti

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def plane(down: tuple[float, float, float], along: tuple[float, float, float]) -> Plane:
    return Plane((8, 8), axes=(down, along))


@pytest.mark.parametrize(
    ("down", "along", "name"), [(Y, X, "axial"), (X, Y, "axial"), (Z, Y, "sagittal"), (Z, X, "coronal")]
)
def test_the_three_orientations(down: tuple[float, float, float], along: tuple[float, float, float], name: str) -> None:
    assert orientation_of([plane(down, along)]) == name
    assert orientation_of([plane(tuple(-v for v in down), along)]) == name  # type: ignore[arg-type]


@given(st.floats(-30, 30))
def test_a_tilted_gantry_is_axial(degrees: float) -> None:
    tilt = np.radians(degrees)
    assert orientation_of([plane((0.0, float(np.cos(tilt)), float(np.sin(tilt))), X)]) == "axial"


def test_most_slices_decide_and_unknown_ones_do_not_count() -> None:
    assert orientation_of([plane(Z, Y), plane(Y, X), plane(Y, X), Plane((8, 8))]) == "axial"
    assert orientation_of([Plane((8, 8))]) is None
    assert orientation_of([plane((0.0, 0.7071, 0.7071), X)]) == "oblique"
    assert not_axial([plane(Y, X)], "why") == []
    assert not_axial([plane(Z, Y)], "why") == ["the slices are sagittal, not axial: why"]


def test_a_nifti_file_whose_third_axis_runs_from_left_to_right_is_sagittal(tmp_path: Path) -> None:
    affine = np.array([[0, 0, -0.7, 0], [-0.7, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1.0]])
    with open_source(save_nifti(tmp_path / "a.nii", affine=affine)) as source:
        assert orientation_of(source.planes) == "sagittal"
