"""Which slices are neighbours: along the series, not across gaps, other grids or unknown places; each decoded once."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from weakref import ref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.image import AXIAL, Slice
from lowdose.io.dicom.series import DicomSource
from lowdose.io.neighbours import context_of, linked_slices, slice_windows
from lowdose.io.open_series import open_source
from lowdose.io.pairing import find_pairs
from lowdose.io.source import Plane
from support.shared_scans import SHARED_CT
from support.synthetic_dicom import make_enhanced, make_series

AXES = AXIAL[1:]
PLANE = Plane((4, 4), (0.7, 0.7), (0.0, 0.0, 0.0), AXES, 0.0)
PAIRS = SHARED_CT / "pairs/mayo-2016"


def at(*positions: float | None) -> list[Plane]:
    return [
        replace(PLANE, corner=None if z is None else (0.0, 0.0, z), position=None if z is None else z)
        for z in positions
    ]


class Counted:
    """A ``Source`` that knows what was read, and how many slices were alive when the next one was."""

    def __init__(self, planes: list[Plane], thickness_mm: float | None = None) -> None:
        self.planes, self.acquisition = planes, SimpleNamespace(thickness_mm=thickness_mm)
        self.reads: list[int] = []
        self.most_alive = 0
        self._given: list[ref[Slice]] = []

    def __len__(self) -> int:
        return len(self.planes)

    def read(self, index: int) -> Slice:
        self.reads.append(index)
        shape = self.planes[index].shape
        item = Slice(np.full(shape, index, np.float32), np.ones(shape, bool), self.planes[index].position, None)
        self._given.append(ref(item))
        self.most_alive = max(self.most_alive, sum(other() is not None for other in self._given))
        return item


def numbers(planes: list[Plane], context: int, thickness_mm: float | None = None) -> list[list[int]]:
    links = linked_slices(planes, thickness_mm)
    return [context_of(links, index, context) for index in range(len(planes))]


def test_ends_repeat_the_slice_itself() -> None:
    assert numbers(at(0, 2, 4, 6), 1) == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert numbers(at(0, 2, 4, 6), 2) == [[0, 0, 0, 1, 2], [1, 0, 1, 2, 3], [0, 1, 2, 3, 2], [1, 2, 3, 3, 3]]
    assert numbers(at(0, 2), 0) == [[0], [1]]
    assert numbers(at(7), 2) == [[0] * 5]


def test_nothing_is_taken_from_beyond_a_gap() -> None:
    assert linked_slices(at(0, 2, 4, 8, 10, 12), None) == [True, True, False, True, True]
    assert numbers(at(0, 2, 4, 8, 10, 12), 2)[2] == [0, 1, 2, 2, 2]
    assert linked_slices(at(0, 2, 5, 7), None) == [True, True, True]  # 3 mm are 1.5 times the usual 2
    assert linked_slices(at(0, 2, 5.1, 7.1), None) == [True, False, True]
    # every other gap is a missing slice: the smaller of the two steps is the usual one
    assert linked_slices(at(0, 3, 9, 12, 18), None) == [True, False, True, False]


def test_slices_picked_by_hand_have_no_neighbours() -> None:
    assert linked_slices(at(0, 10, 20), 1.0) == [False, False]
    assert linked_slices(at(0, 10, 20), None) == linked_slices(at(0, 3, 6), 1.0) == [True, True]
    assert linked_slices(at(0, 0.5, 1.0), 5.0) == [True, True]  # overlapping slices


def test_two_slices_of_one_place_are_no_neighbours() -> None:
    assert linked_slices(at(0, 2, 2, 4), None) == [True, False, True]
    assert linked_slices(at(5, 5, 5), 2.0) == [False, False]


def test_without_a_position_there_is_no_neighbour() -> None:
    assert linked_slices(at(None, None, None), 2.0) == [False, False]
    assert linked_slices(at(0, 2, None, 6, 8), 2.0) == [True, False, False, True]
    assert linked_slices([], 1.0) == linked_slices(at(3), None) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"shape": (4, 5)},
        {"pixel_mm": (0.7, 0.8)},
        {"pixel_mm": None},
        {"axes": AXIAL[:2]},
        {"axes": None},
        {"corner": (2.5, 0.0, 2.0)},
    ],
)
def test_another_grid_is_no_neighbour(odd: dict[str, object]) -> None:
    planes = at(0, 2, 4, 6)
    planes[1] = replace(planes[1], **odd)  # type: ignore[arg-type]
    assert linked_slices(planes, None) == [False, False, True]


def test_a_tilted_stack_is_a_stack() -> None:
    # The step along the patient is 5 mm, the gantry is tilted by 25 degrees; pixels lie above each other all the same.
    tilt = np.radians(25)
    axes = (0.0, float(np.cos(tilt)), float(np.sin(tilt))), (1.0, 0.0, 0.0)
    normal = np.cross(axes[1], axes[0])
    corners = [(0.0, 0.0, 5.0 * k) for k in range(4)]
    planes = [Plane((4, 4), (0.7, 0.7), corner, axes, float(normal @ corner)) for corner in corners]
    assert linked_slices(planes, 5.0) == [True] * 3


def test_arrays_without_a_grid_know_of_no_neighbours(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(-500, 400, (3, 8, 8)).astype(np.float32))
    with open_source(tmp_path / "a.npy") as source:
        assert [[float(item.hu[0, 0]) for item in group] for group in slice_windows(source, 1)] == [
            [float(source.read(index).hu[0, 0])] * 3 for index in range(3)
        ]


def test_dicom_in_order_of_position_whatever_the_numbers(tmp_path: Path) -> None:
    def reverse(ds: object, index: int) -> None:
        ds.ImagePositionPatient = [-20.0, -20.0, 20.0 - 2 * index]  # type: ignore[attr-defined]
        ds.Rows = 64  # type: ignore[attr-defined]

    make_series(tmp_path / "series", 4, before=reverse)
    source = DicomSource(tmp_path / "series")
    assert [[item.position for item in group] for group in slice_windows(source, 1)] == [
        [14.0, 14.0, 16.0], [14.0, 16.0, 18.0], [16.0, 18.0, 20.0], [18.0, 20.0, 20.0]
    ]  # fmt: skip
    make_enhanced(tmp_path / "enhanced" / "one.dcm", 3)
    frames = DicomSource(tmp_path / "enhanced")
    assert [[item.position for item in group] for group in slice_windows(frames, 1)][1] == [-4.0, -2.0, 0.0]


@pytest.mark.data
@pytest.mark.skipif(not PAIRS.is_dir(), reason="real pairs are not here")
def test_real_series_of_picked_slices_have_no_neighbours() -> None:
    for pair in find_pairs(PAIRS):
        with open_source(pair.low) as source:
            assert not any(linked_slices(source.planes, source.acquisition.thickness_mm))


def test_windows_of_selected_slices() -> None:
    source = Counted(at(*range(0, 20, 2)))
    places = [[int(item.hu[0, 0]) for item in group] for group in slice_windows(source, 1, [1, 2, 7])]  # type: ignore[arg-type]
    assert places == [[0, 1, 2], [1, 2, 3], [6, 7, 8]]
    assert source.reads == [0, 1, 2, 3, 6, 7, 8]


POSITIONS = st.lists(st.sampled_from([0.0, 1.0, 1.0, 1.0, 1.4, 2.0, 5.0, None]), max_size=12)


@given(POSITIONS, st.integers(0, 3), st.sampled_from([None, 0.2, 1.0]))
def test_windows_of_random_series(steps: list[float | None], context: int, thickness_mm: float | None) -> None:
    z, positions = 0.0, list[float | None]([0.0])
    for step in steps:
        z += 1.0 if step is None else step
        positions.append(None if step is None else z)
    source, links = Counted(at(*positions), thickness_mm), linked_slices(at(*positions), thickness_mm)
    indices = iter(range(len(positions)))  # enumerate and zip would hold on to the list before
    for group in slice_windows(source, context):  # type: ignore[arg-type]
        index = next(indices)
        places = [int(item.hu[0, 0]) for item in group]
        assert len(group) == 2 * context + 1
        for offset, place in zip(range(-context, context + 1), places, strict=True):
            between = links[min(index, index + offset) : max(index, index + offset)]
            inside = 0 <= index + offset < len(positions)
            assert place == (index + offset if inside and all(between) else index)
        assert all(one is other for one in group for other in group if one.hu[0, 0] == other.hu[0, 0])
        del group  # as a caller does that wants no more slices in memory than these
    assert source.reads == list(range(len(positions)))
    assert source.most_alive <= 2 * context + 1
