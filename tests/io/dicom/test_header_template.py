"""Headers made from that of another image are, byte for byte, what writing each header as a whole gives."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, config, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from lowdose.errors import CannotDecode, OutputRefused
from lowdose.io.dicom.header_template import EncodedHeader
from lowdose.io.dicom.series import DicomSource
from lowdose.io.open_series import open_sink
from support.derived_twice import derived_twice
from support.synthetic_dicom import make_bare, make_enhanced, make_series, save

LITTLE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
Edit = Callable[[Any, int], None]
pytestmark = pytest.mark.filterwarnings("ignore")


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def nothing(ds: Any, i: int) -> None:
    pass


def extremes(ds: Any, i: int) -> None:
    ds.add_new("SmallestImagePixelValue", "US", i)
    ds.add_new("LargestImagePixelValue", "US", 1000 + i)


def signed_pixels(ds: Any, i: int) -> None:
    ds.PixelRepresentation, ds.BitsStored, ds.HighBit, ds.RescaleIntercept = 1, 16, 15, 0
    ds.add_new("SmallestImagePixelValue", "SS", -i)
    ds.add_new("PixelPaddingValue", "SS", -2000 - i)


def times(ds: Any, i: int) -> None:
    ds.ContentTime, ds.AcquisitionTime, ds.InstanceCreationTime = f"10111{i}", f"10111{i}.25", "10" * (i + 1)


def private(ds: Any, i: int) -> None:
    block = ds.private_block(0x0029, "SIEMENS MEDCOM HEADER", create=True)
    block.add_new(0x08, "CS", f"TYPE {i}")
    block.add_new(0x10, "OB", bytes([i] * 70_000))
    ds.private_block(0x0051, "NOBODY KNOWS", create=True).add_new(0x01, "UN", b"x" * (2 * i))


def creators(ds: Any, i: int) -> None:
    ds.private_block(0x0029, f"OWNER {i}", create=True).add_new(0x08, "LO", "the same")


def sequences(ds: Any, i: int) -> None:
    code = item(CodeValue=f"{i}", CodingSchemeDesignator="DCM", CodeMeaning="m" * i)
    ds.ProcedureCodeSequence = Sequence([code])
    ds.RequestAttributesSequence = Sequence([item(ScheduledProtocolCodeSequence=Sequence([code]))])
    ds["RequestAttributesSequence"].is_undefined_length = True
    ds.RequestAttributesSequence[0].is_undefined_length_sequence_item = True


def look_up_table(ds: Any, i: int) -> None:
    table = item(LUTExplanation=f"table {i}")
    table.add_new("LUTDescriptor", "US", [3, i, 16])
    table.add_new("LUTData", "US", [1, 2, 3 + i])
    ds.VOILUTSequence = Sequence([table])


def overlay(ds: Any, i: int) -> None:
    for element, vr, value in ((0x10, "US", 64), (0x11, "US", 64), (0x100, "US", 1), (0x102, "US", 0)):
        ds.add_new((0x6000, element), vr, value)
    ds.add_new((0x6000, 0x3000), "OW", bytes([i]) * 512)


def derived_before(ds: Any, i: int) -> None:
    reference = item(ReferencedSOPClassUID=ds.SOPClassUID, ReferencedSOPInstanceUID=f"1.2.{i}")
    ds.ImageType, ds.SourceImageSequence = ["DERIVED", "PRIMARY", "AXIAL"], Sequence([reference])
    ds.DerivationDescription = "smoothed" * (i + 1)
    ds.ContributingEquipmentSequence = Sequence([item(Manufacturer="other")])


def stale(ds: Any, i: int) -> None:
    ds.PixelDataProviderURL, ds.SmallestPixelValueInSeries = f"http://example.org/{i}", i


def uids(ds: Any, i: int) -> None:
    ds.FrameOfReferenceUID = f"1.2.4.{10**i}" if i else ""
    ds.SOPInstanceUID = f"1.2.9.{10**i}"


def illegal_uid(ds: Any, i: int) -> None:
    ds.SOPInstanceUID = f"9.9.{i}" if i % 2 else f"1.9.{i}"


def letters(ds: Any, i: int) -> None:
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientComments, ds.PatientName = f"山田{i}", "Yamada^Tarou=山田^太郎"


def two_character_sets(ds: Any, i: int) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100" if i % 2 else "ISO_IR 192"
    ds.ImageComments = f"Schädel {i}"


def two_sets_of_elements(ds: Any, i: int) -> None:
    if i % 2:
        ds.ImageComments = f"odd {i}"


def descriptions(ds: Any, i: int) -> None:
    ds.SeriesDescription, ds.SeriesNumber = f"phase {i // 2}", 7 + i // 2


def scales(ds: Any, i: int) -> None:
    ds.RescaleIntercept, ds.RescaleSlope = ["-1024", "-1000.0"][i % 2], "1.0"


def bytes_of_pixels(ds: Any, i: int) -> None:
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.RescaleSlope = 8, 8, 7, 20


def spaces(ds: Any, i: int) -> None:
    ds.StationName, ds.Exposure, ds.SliceLocation = f"  scanner {i}  ", f" {i} ", f"+{i}.50E+00"


EDITS = (
    nothing, extremes, signed_pixels, times, private, sequences, look_up_table, overlay, derived_before, stale, uids,
    letters, descriptions, scales, bytes_of_pixels, spaces, two_character_sets, two_sets_of_elements,
)  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("syntax", LITTLE)
def test_files_are_the_same_to_the_byte(tmp_path, provenance, edit, syntax):
    with config.disable_value_validation():
        make_series(tmp_path / "in", 6, size=17, before=edit, syntax=syntax)
        whole, made, filled = derived_twice(DicomSource(tmp_path / "in"), tmp_path, provenance)
    assert made == whole
    assert filled >= 3  # of six slices, at most three kinds


@pytest.mark.parametrize("edit", [creators, illegal_uid])
@pytest.mark.parametrize("syntax", LITTLE)
def test_headers_that_cannot_be_filled_in_are_written_as_a_whole(tmp_path, provenance, edit, syntax):
    with config.disable_value_validation():
        make_series(tmp_path / "in", 4, before=edit, syntax=syntax)
        whole, made, filled = derived_twice(DicomSource(tmp_path / "in"), tmp_path, provenance)
    assert made == whole
    assert filled == (1 if edit is illegal_uid else 0)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_other_transfer_syntaxes(tmp_path, provenance, syntax):
    encoding = syntax if not syntax.is_encapsulated else ExplicitVRLittleEndian
    for path in make_series(tmp_path / "in", 3, before=extremes, syntax=encoding):
        if syntax.is_encapsulated:
            ds = dcmread(path)
            ds.compress(syntax, generate_instance_uid=False)
            save(ds, path, syntax)
    whole, made, filled = derived_twice(DicomSource(tmp_path / "in"), tmp_path, provenance)
    assert made == whole
    assert filled == (2 if syntax.is_encapsulated else 0)


def test_files_without_meta_information_and_multi_frame_objects(tmp_path, provenance):
    for name, path in (("bare", make_bare(tmp_path / "in")), ("enhanced", make_enhanced(tmp_path / "e.dcm"))):
        whole, made, filled = derived_twice(DicomSource(path), tmp_path / name, provenance)
        assert made == whole
        assert filled == 0


def test_elements_of_an_unknown_representation_odd_length_and_group_lengths(tmp_path, provenance):
    paths = make_series(tmp_path / "in", 4, before=lambda ds, i: setattr(ds, "ImageComments", f"comment {i}"))
    for i, path in enumerate(paths):
        data = path.read_bytes()
        at = data.index(b"\x20\x00\x00\x40LT")
        length = int.from_bytes(data[at + 6 : at + 8], "little")
        odd = b"\x20\x00\x00\x40XX" + (length - 1).to_bytes(2, "little") + data[at + 8 : at + 7 + length]
        group = data.index(b"\x18\x00\x50\x00DS")  # the first element of its group
        stated = b"\x18\x00\x00\x00UL\x04\x00" + i.to_bytes(4, "little")
        path.write_bytes(data[:group] + stated + data[group:at] + odd + data[at + 8 + length :])
    whole, made, filled = derived_twice(DicomSource(tmp_path / "in"), tmp_path, provenance)
    assert made == whole
    assert filled == 3


def test_a_scale_that_the_user_states(tmp_path, provenance):
    make_series(tmp_path / "in", 3, after=lambda ds, i: delattr(ds, "RescaleSlope"))
    source = DicomSource(tmp_path / "in", rescale=(1.0, -1024.0))
    whole, made, filled = derived_twice(source, tmp_path, provenance)
    assert made == whole
    assert filled == 2


def test_no_room_for_a_later_slice_leaves_nothing(tmp_path, provenance):
    make_series(tmp_path / "in", 3)
    source = DicomSource(tmp_path / "in")
    usual, out = resource.getrlimit(resource.RLIMIT_FSIZE), tmp_path / "out"
    try:
        with pytest.raises(OutputRefused, match="out: cannot be written"), open_sink(source, out, provenance) as sink:
            write_three(sink, source, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1])))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_source_that_is_gone_is_named(tmp_path, provenance):
    paths = make_series(tmp_path / "in", 3)
    source = DicomSource(tmp_path / "in")
    gone = pytest.raises(CannotDecode, match=f"{paths[1].name}: cannot be read a second time")
    with gone, open_sink(source, tmp_path / "out", provenance) as sink:
        write_three(sink, source, paths[1].unlink)


def write_three(sink, source, after_the_first):
    slices = [source.read(index) for index in range(3)]
    sink.write(slices[0], slices[0].hu)
    after_the_first()
    for item in slices[1:]:
        sink.write(item, item.hu)


def test_an_encoded_header_is_cut_at_its_elements(tmp_path: Path) -> None:
    path = make_series(tmp_path, 1)[0]
    header, data = EncodedHeader.read(path), path.read_bytes()
    assert bytes(128) + b"DICM" + b"".join(header.elements) == data[: -64 * 64 * 2]
    assert list(header.tags) == sorted(header.tags)
    np.testing.assert_array_equal(len(header.tags), len(dcmread(path)) + len(dcmread(path).file_meta))
