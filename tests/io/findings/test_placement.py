"""Which slices of a series a file of findings names: by UID, by file, by place, in files and in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lowdose
from lowdose.io.findings.finding import SliceName
from lowdose.io.findings.placement import SeriesSlices, series_slices
from lowdose.io.open_series import open_source
from lowdose.io.source import Plane, SliceFile
from lowdose.volume_source import VolumeSource
from support.synthetic_dicom import make_enhanced, make_series

AXES = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def stack(*positions: float) -> SeriesSlices:
    """Return slices at these places (mm) of a file each."""
    planes = [Plane((8, 8), (1.0, 1.0), (0.0, 0.0, z), AXES, z) for z in positions]
    files = [SliceFile(Path(f"/data/case1/ct/{index:03d}.dcm"), 0, f"1.2.{index}") for index in range(len(planes))]
    return SeriesSlices("1.2", planes, files)


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("001.png", [1]), ("001", [1]), ("001.nii.gz", [1]), ("CT/001.PNG", [1]), ("case1\\ct\\001.dcm", [1]),
        ("ct_001.png", [1]), ("1.2.1.dcm", [1]), ("1.2.1", [1]), ("case2/ct/001.png", []), ("case1/001.png", []),
        ("01.png", []),
    ],
)  # fmt: skip
def test_names_of_files(file: str, found: list[int]) -> None:
    assert stack(0, 1, 2).find(SliceName(file=file)) == found


@pytest.mark.parametrize(
    ("position", "found"), [(2.0, [1]), (2.09, [1]), (2.11, []), (-0.09, [0]), (5.0, []), (9.0, [])]
)
def test_places_are_the_same_within_a_tenth_of_a_millimetre(position: float, found: list[int]) -> None:
    """Also where the series lacks slices: 0, 2 and 6 mm."""
    plane = Plane((8, 8), (1.0, 1.0), (0.0, 0.0, position), AXES)
    assert stack(0, 2, 6).find(SliceName(plane=plane)) == found


def test_several_images_at_one_place_are_all_named() -> None:
    assert stack(0, 2, 0, 2).find(SliceName(plane=Plane((8, 8), (1.0, 1.0), (0.0, 0.0, 2.0), AXES))) == [1, 3]


def test_slices_of_other_pixels_or_across_are_others() -> None:
    for plane in (
        Plane((8, 8), (1.0, 1.0), (3.0, 0.0, 2.0), AXES),
        Plane((8, 9), (1.0, 1.0), (0.0, 0.0, 2.0), AXES),
        Plane((8, 8), (2.0, 2.0), (0.0, 0.0, 2.0), AXES),
        Plane((8, 8), (1.0, 1.0), (0.0, 0.0, 2.0), ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))),
    ):
        assert stack(0, 2).find(SliceName(plane=plane)) == []


def test_frames_are_counted_from_0(tmp_path: Path) -> None:
    """The frames of the enhanced image lie in reverse order in the file."""
    with open_source(make_enhanced(tmp_path / "enhanced.dcm", 3)) as source:
        slices = series_slices(source)
    uid = slices.files[0].sop_uid
    assert [slices.find(SliceName(sop_uid=uid, frame=frame)) for frame in range(3)] == [[2], [1], [0]]
    assert slices.find(SliceName(sop_uid=uid)) == [0, 1, 2]
    assert slices.find(SliceName(file="enhanced.png")) == []  # no name of one slice


def test_a_volume_in_memory_knows_its_images(tmp_path: Path) -> None:
    make_series(tmp_path / "ct", 3)
    volume = lowdose.read(tmp_path / "ct")
    slices = series_slices(VolumeSource(volume))
    with open_source(tmp_path / "ct") as source:
        uids = [file.sop_uid for file in source.files]
    assert [slices.find(SliceName(sop_uid=uid)) for uid in uids] == [[0], [1], [2]]
    made = lowdose.Volume.from_array(np.zeros((2, 8, 8)), spacing=(3.0, 1.0, 1.0))
    assert series_slices(VolumeSource(made)).find(SliceName(sop_uid=uids[0])) == []
