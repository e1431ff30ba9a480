"""Several stacks in one series: phases, time points, energies, reconstructions, and images that are part of none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from lowdose.data.series import iterate_series
from lowdose.data.slice_context import stack_positions
from lowdose.io.dicom.series import DicomSource
from lowdose.io.neighbours import linked_slices, slice_windows
from lowdose.io.open_series import open_sink
from lowdose.io.pairing import pair_slices
from support.synthetic_dicom import make_enhanced, make_series, pixels, save


def stacks(
    folder: Path, mark: Callable[[Any, int, int], None], count: int = 3, places: int = 4, interleaved: bool = False
) -> Path:
    """A series of ``count`` stacks of ``places`` slices; ``mark(ds, stack, place)`` writes what tells them apart."""

    def edit(ds: Any, i: int) -> None:
        stack, place = (i % count, i // count) if interleaved else divmod(i, places)
        ds.ImagePositionPatient = [-20, -20, 2 * place]
        ds.StationName = f"{stack}"
        mark(ds, stack, place)

    make_series(folder, count * places, after=edit)
    return folder


def private(ds: Any, stack: int, place: int) -> None:
    del ds.StationName
    ds.private_block(0x0053, "GEHC_CT_ADVAPP_001", create=True).add_new(0x6F, "LO", f"{40 + 10 * stack} keV")


def by(**values: Any) -> Callable[[Any, int, int], None]:
    def mark(ds: Any, stack: int, place: int) -> None:
        for keyword, of_stack in values.items():
            setattr(ds, keyword, of_stack[stack] if isinstance(of_stack, (list, tuple)) else of_stack(stack, place))

    return mark


MARKS = {
    "AcquisitionNumber": by(AcquisitionNumber=[1, 2, 3]),
    "TemporalPositionIdentifier": by(TemporalPositionIdentifier=[1, 2, 10]),
    "ImageType": by(ImageType=lambda s, p: ["DERIVED", "SECONDARY", "AXIAL", f"MONO_{40 + s}KEV"]),
    "KVP": by(KVP=[80, 100, 140]),
    "MonoenergeticEnergyEquivalent": by(MonoenergeticEnergyEquivalent=[40.0, 70.0, 190.0]),
    "ConvolutionKernel": by(ConvolutionKernel=["B30f", "B60f", "B70f"]),
    "NominalPercentageOfCardiacPhase": by(NominalPercentageOfCardiacPhase=[30.0, 40.0, 75.0]),
    "SeriesDescription": by(SeriesDescription=["arterial", "portal", "late"]),
    "AcquisitionTime": by(AcquisitionTime=["101010", "101040", "101140"]),
    "PixelSpacing": by(PixelSpacing=[[0.5, 0.5], [0.7, 0.7], [0.9, 0.9]]),
    "StationName": lambda ds, s, p: None,
}


def stack_names(source: DicomSource) -> list[str]:
    return [str(dcmread(image.path, stop_before_pixels=True).get("StationName")) for image in source.images]


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("name", MARKS)
def test_stacks_are_told_apart_by_whatever_tells_them_apart(tmp_path, name, interleaved):
    source = DicomSource(stacks(tmp_path, MARKS[name], interleaved=interleaved))
    assert stack_names(source) == ["0"] * 4 + ["1"] * 4 + ["2"] * 4
    assert [image.plane.position for image in source.images] == [0, 2, 4, 6] * 3
    assert [plane.stack for plane in source.planes] == [0] * 4 + [1] * 4 + [2] * 4
    told = [line for line in source.warnings if "stack" in line]
    assert told == [
        f"The series holds 3 stacks of 4 slices, told apart by {name}; each is taken by itself, in this order."
    ]
    assert not any("Duplicates" in line or "missing" in line or "uneven" in line for line in source.warnings)
    assert source.geometry is None
    assert linked_slices(source.planes, 2.0) == [True, True, True, False] * 2 + [True] * 3


def nested(ds: Any, stack: int, place: int) -> None:
    del ds.StationName
    item = Dataset()
    item.MonoenergeticEnergyEquivalent = 40.0 + stack
    ds.MultienergyCTProcessingSequence = Sequence([item])


@pytest.mark.parametrize(
    ("mark", "name"), [(private, r"(0053,106F)"), (nested, "MonoenergeticEnergyEquivalent")], ids=["private", "nested"]
)
def test_private_and_nested_attributes_tell_stacks_apart(tmp_path, mark, name):
    source = DicomSource(stacks(tmp_path, mark))
    assert f"3 stacks of 4 slices, told apart by {name};" in source.warnings[0]


def test_the_order_at_each_place_tells_stacks_apart_where_nothing_else_does(tmp_path):
    source = DicomSource(stacks(tmp_path, lambda ds, s, p: delattr(ds, "StationName")))
    assert [image.numbers[1] for image in source.images] == list(range(1, 13))
    assert "3 stacks of 4 slices, told apart by their order at each place" in source.warnings[0]


@pytest.mark.parametrize(("number", "wanted"), [(lambda s, p: p + 1, "102"), (lambda s, p: 1 + p + 4 * s, "012")])
def test_stacks_are_in_the_order_of_their_images_else_of_what_tells_them_apart(tmp_path, number, wanted):
    source = DicomSource(stacks(tmp_path, by(KVP=[100, 80, 140], InstanceNumber=number)))
    assert "".join(dict.fromkeys(stack_names(source))) == wanted


def test_two_attributes_together(tmp_path):
    """Two energies of two phases."""
    source = DicomSource(stacks(tmp_path, by(KVP=[80, 140, 80, 140], AcquisitionNumber=[1, 1, 2, 2]), 4))
    assert stack_names(source) == ["0"] * 4 + ["1"] * 4 + ["2"] * 4 + ["3"] * 4
    assert "4 stacks of 4 slices, told apart by AcquisitionNumber and KVP" in source.warnings[0]


def test_stacks_of_unequal_length_and_of_one_place(tmp_path):
    for path in stacks(tmp_path / "a", MARKS["AcquisitionNumber"]).glob("s01[01].dcm"):
        path.unlink()
    source = DicomSource(tmp_path / "a")
    assert "3 stacks of 4, 4 and 2 slices" in source.warnings[0]
    perfusion = DicomSource(stacks(tmp_path / "b", by(AcquisitionTime=lambda s, p: f"10101{s}"), 8, 1))
    assert [plane.stack for plane in perfusion.planes] == list(range(8))
    assert not any(linked_slices(perfusion.planes, 2.0))


def test_stacks_that_lie_between_one_another(tmp_path):
    """Phases whose tables stood half a millimetre apart."""

    def edit(ds, s, p):
        ds.AcquisitionNumber, ds.ImagePositionPatient = s + 1, [-20, -20, 2 * p + 0.5 * s]

    source = DicomSource(stacks(tmp_path, edit, 2))
    assert stack_names(source) == ["0"] * 4 + ["1"] * 4


def test_an_even_series_is_one_stack_whatever_its_headers_say(tmp_path):
    """Rotations that follow one another, and two passes of which each fills the other's gaps."""
    make_series(tmp_path / "a", 8, after=lambda ds, i: setattr(ds, "AcquisitionNumber", 1 + i // 4))
    make_series(tmp_path / "b", 8, after=lambda ds, i: setattr(ds, "AcquisitionNumber", 1 + i % 2))
    for name in "ab":
        source = DicomSource(tmp_path / name)
        assert source.warnings == []
        assert source.geometry is not None


def test_a_slice_that_is_there_again_is_no_stack(tmp_path):
    make_series(tmp_path, 5, after=lambda ds, i: setattr(ds, "ImagePositionPatient", [-20, -20, [0, 2, 2, 4, 6][i]]))
    assert any("Duplicates: 1" in line for line in DicomSource(tmp_path).warnings)


def test_no_slice_is_seen_beside_one_of_another_stack(tmp_path):
    source = DicomSource(stacks(tmp_path, MARKS["KVP"], 2, 2))  # the step from stack to stack is a usual one
    own = [source.read(index).hu for index in range(4)]
    windows = list(slice_windows(source, 1))
    for index, beside in enumerate([(0, 1), (0, 1), (2, 3), (2, 3)]):
        for found, wanted in zip(windows[index], (beside[0], index, beside[1]), strict=True):
            np.testing.assert_array_equal(found.hu, own[wanted])
    (series,) = iterate_series(tmp_path, [])
    assert [place.name for place in stack_positions("x", series.planes, 2.0)] == ["x 0"] * 2 + ["x 1"] * 2


def test_all_stacks_are_derived_in_one_series_in_order(tmp_path, provenance):
    source = DicomSource(stacks(tmp_path / "in", MARKS["ConvolutionKernel"]))
    with open_sink(source, tmp_path / "out", provenance) as sink:
        for index in range(len(source)):
            sink.write(source.read(index), source.read(index).hu)
    made = [dcmread(path) for path in sorted((tmp_path / "out").iterdir())]
    assert len({ds.SeriesInstanceUID for ds in made}) == 1
    assert [ds.ConvolutionKernel for ds in made] == ["B30f"] * 4 + ["B60f"] * 4 + ["B70f"] * 4


def test_pairs_are_of_the_same_stack(tmp_path):
    low, full = (DicomSource(stacks(tmp_path / name, MARKS["AcquisitionNumber"])) for name in ("low", "full"))
    assert pair_slices(low, full) == [(i, i) for i in range(12)]


@pytest.mark.parametrize("representation", [b"DS", b"QQ"], ids=["sound", "unknown"])
def test_frames_of_several_time_points(tmp_path, representation):
    path = make_enhanced(tmp_path / "e.dcm", 6)
    ds = dcmread(path)
    for i, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex, content.FrameAcquisitionNumber = i % 2 + 1, 7
        frame.FrameContentSequence = Sequence([content])
        frame.PlanePositionSequence[0].ImagePositionPatient = [-20, -20, 2 * (i // 2)]
    slope = b"\x28\x00\x53\x10"
    path.write_bytes(save(ds, path).read_bytes().replace(slope + b"DS", slope + representation))
    source = DicomSource(path)
    assert [image.frame for image in source.images] == [0, 2, 4, 1, 3, 5]
    assert "2 stacks of 3 slices, told apart by TemporalPositionIndex" in source.warnings[0]


def test_a_frame_that_is_set_aside_stays_in_its_object_unchanged(tmp_path, provenance):
    path = make_enhanced(tmp_path / "e.dcm", 5)
    ds = dcmread(path)
    del ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    save(ds, path)
    source = DicomSource(path)
    assert [image.frame for image in source.images] == [4, 3, 1, 0]
    (line,) = source.skipped
    assert "frame 3: without a position" in line
    with open_sink(source, tmp_path / "out", provenance) as sink:
        for index in range(4):
            sink.write(source.read(index), source.read(index).hu + np.float32(7))
    (made,) = (tmp_path / "out").iterdir()
    before, after = pixels(path).astype(int), pixels(made).astype(int)
    np.testing.assert_array_equal(after[2], before[2])
    assert (after[0] - before[0]).max() == 7


def odd_one(ds: Any, i: int) -> None:
    if i == 5:
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-20, 0, 20]


def no_position(ds: Any, i: int) -> None:
    if i == 5:
        ds.InstanceNumber = 1
        del ds.ImagePositionPatient, ds.PixelSpacing
        ds.FrameOfReferenceUID = "1.2.99"


@pytest.mark.parametrize(("edit", "why"), [(odd_one, "of another orientation"), (no_position, "without a position")])
def test_an_image_that_is_part_of_no_stack_is_set_aside_and_the_rest_is_judged_without_it(tmp_path, edit, why):
    make_series(tmp_path, 6, after=edit)
    source = DicomSource(tmp_path)
    assert [image.plane.position for image in source.images] == [0, 2, 4, 6, 8]
    (line,) = source.skipped
    assert "s005.dcm" in line
    assert why in line
    (warning,) = source.warnings
    assert why in warning
    assert source.geometry is not None


def test_two_orientations_are_two_stacks(tmp_path):
    def edit(ds, i):
        if i >= 4:
            ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-20, 3 * i, 20]

    make_series(tmp_path, 8, after=edit)
    source = DicomSource(tmp_path)
    assert source.warnings == [
        "The series holds 2 stacks of 4 slices, told apart by ImageOrientationPatient; each is taken by itself, in "
        "this order."
    ]
    assert linked_slices(source.planes, 2.0) == [True] * 3 + [False] + [True] * 3
