"""Headers that break the rules: read as they are meant where that is clear, else refused with value and way out."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

import lowdose
from lowdose import cli
from lowdose.errors import CannotDecode, InvalidSetting, LowDoseError, NotCT
from lowdose.io.dicom.series import DicomSource
from lowdose.io.open_series import open_sink, open_source
from support.synthetic_dicom import anatomy, make_enhanced, make_series, pixels, save


def derive(source, folder, provenance, change=0.0):
    with open_sink(source, folder, provenance) as sink:
        for index in range(len(source)):
            sink.write(source.read(index), source.read(index).hu + np.float32(change))
    return [dcmread(path) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize(
    "edit",
    [
        lambda ds, i: setattr(ds, "RescaleType", "Hounsfield"),
        lambda ds, i: setattr(ds, "RescaleType", "HOUNSFIELD UNITS"),
        lambda ds, i: setattr(ds, "RescaleType", "[HU]"),
        lambda ds, i: setattr(ds, "RescaleIntercept", ["-1024", "-1024"]),
        lambda ds, i: delattr(ds, "BitsStored"),
        lambda ds, i: (delattr(ds, "BitsStored"), delattr(ds, "HighBit")),
        lambda ds, i: delattr(ds, "HighBit"),
    ],
)
def test_what_is_meant_is_clear(tmp_path, provenance, edit):
    make_series(tmp_path / "in", 2, after=edit)
    source = DicomSource(tmp_path / "in")
    np.testing.assert_array_equal(source.read(1).hu, anatomy(1))
    for made in derive(source, tmp_path / "out", provenance, 7):
        assert float(made.RescaleIntercept) == -1024
        assert made.BitsStored in (12, 16)
        assert made.HighBit == made.BitsStored - 1


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda ds: delattr(ds, "RescaleSlope"), "RescaleSlope missing"),
        (lambda ds: setattr(ds, "RescaleIntercept", ""), "RescaleIntercept missing or empty"),
        (lambda ds: setattr(ds, "RescaleIntercept", "-1024,0"), "RescaleIntercept is '-1024,0'"),
        (lambda ds: setattr(ds, "RescaleIntercept", ["-1024", "0"]), r"RescaleIntercept is '-1024\\0'"),
        (lambda ds: setattr(ds, "RescaleSlope", "0"), "RescaleSlope is 0"),
        (lambda ds: setattr(ds, "RescaleType", "US"), r"RescaleType is 'US' \(unspecified units\)"),
    ],
)
def test_a_scale_that_is_not_stated_may_be_given(tmp_path, provenance, edit, told):
    path = make_series(tmp_path / "in", 1)[0]
    ds = dcmread(path)
    with config.disable_value_validation():
        ds.add_new("RescaleIntercept", "LO", "-1024")  # DS refuses to hold what some files hold
        edit(ds)
        save(ds, path)
    path.write_bytes(path.read_bytes().replace(b"\x28\x00\x52\x10LO", b"\x28\x00\x52\x10DS"))
    with pytest.raises(NotCT, match=told + ".*--rescale SLOPE,INTERCEPT"):
        DicomSource(path)
    with open_source(path, rescale=(1.0, -1024.0)) as source:
        np.testing.assert_array_equal(source.read(0).hu, anatomy())
        (made,) = derive(source, tmp_path / "out", provenance)
    assert (made.RescaleSlope, made.RescaleIntercept, made.RescaleType) == (1, -1024, "HU")
    np.testing.assert_array_equal(DicomSource(tmp_path / "out").read(0).hu, anatomy())


def test_the_option_rescale_from_the_command_line_and_python(tmp_path):
    make_series(tmp_path / "in", 3, after=lambda ds, i: delattr(ds, "RescaleSlope"))
    given, common = str(tmp_path / "in"), ["--model", "gaussian", "--strength", "0"]
    assert cli.run(["denoise", given, "-o", str(tmp_path / "a"), *common]) == 2
    assert cli.run(["denoise", given, "-o", str(tmp_path / "a"), *common, "--rescale", "1,-1024"]) == 0
    np.testing.assert_array_equal(lowdose.read(tmp_path / "a").hu, np.stack([anatomy(i) for i in range(3)]))
    volume = lowdose.read(given, rescale=(1, -1024))
    assert len(DicomSource(volume.save(tmp_path / "b"))) == 3
    result = lowdose.denoise(given, model="gaussian", strength=0.0, rescale=(1, -1024))
    assert len(DicomSource(result.save(tmp_path / "c"))) == 3
    for wrong in ("1", "a,b", "0,-1024", "nan,1", "1,2,3"):
        assert cli.run(["denoise", given, "-o", str(tmp_path / "d"), *common, "--rescale", wrong]) == 2
    with pytest.raises(InvalidSetting, match="states its slope and intercept; leave it out"):
        lowdose.read(tmp_path / "a", rescale=(1, -1024))
    with pytest.raises(InvalidSetting, match="is for DICOM"):
        lowdose.read(volume, rescale=(1, -1024))


def test_frames_of_one_header_are_derived_in_their_order(tmp_path, provenance):
    def frames(ds: Any, i: int) -> None:
        ds.NumberOfFrames = 3
        ds.PixelData = b"".join(np.rint(anatomy(k) + 1024).astype("<u2").tobytes() for k in range(3))

    path = make_series(tmp_path / "in", 1, after=frames)[0]
    source = DicomSource(path)
    assert len(source) == 3
    for k in range(3):
        np.testing.assert_array_equal(source.read(k).hu, anatomy(k))
    assert "do not say where each slice lies" in source.warnings[0]
    (made,) = derive(source, tmp_path / "out", provenance)
    assert "SharedFunctionalGroupsSequence" not in made
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == dcmread(path).SOPInstanceUID
    np.testing.assert_array_equal(pixels(next((tmp_path / "out").iterdir())), pixels(path))


@pytest.mark.parametrize(
    ("syntax", "told"),
    [
        ("1.2.840.10008.1.2.4.110", r"JPEG XL Lossless \(1\.2\.840\.10008\.1\.2\.4\.110\).*dcm2dcm"),
        ("1.2.840.10008.1.2.4.112", r"JPEG XL \(1\.2\.840\.10008\.1\.2\.4\.112\)"),
        ("1.2.840.113619.5.2", r"GE.*\(1\.2\.840\.113619\.5\.2\).*gdcmconv --raw"),
        ("1.3.46.670589.33.1.4.1", r"a private transfer syntax \(1\.3\.46\.670589\.33\.1\.4\.1\).*Explicit VR"),
        ("1.2.840.10008.1.2.4.999", r"an unknown transfer syntax \(1\.2\.840\.10008\.1\.2\.4\.999\)"),
    ],
)
def test_a_syntax_that_cannot_be_decoded_is_named_with_a_way_out(tmp_path, syntax, told):
    path = make_series(tmp_path, 1)[0]
    old, new = ExplicitVRLittleEndian.encode(), syntax.encode()
    new += b"\0" * (len(new) % 2)
    element = b"\x02\x00\x10\x00UI"
    path.write_bytes(
        path.read_bytes().replace(element + b"\x14\x00" + old + b"\0", element + bytes([len(new), 0]) + new)
    )
    with pytest.raises(CannotDecode, match=told) as caught:
        DicomSource(path)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("order", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_floating_point_pixels_are_refused_by_name(tmp_path, keyword, order):
    path = make_series(tmp_path, 1, syntax=order)[0]
    ds = dcmread(path)
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.BitsAllocated = 32
    setattr(ds, keyword, anatomy().astype("<f4" if keyword[0] == "F" else "<f8").tobytes())
    ds.save_as(path)
    with pytest.raises(CannotDecode, match=rf"floating-point numbers \({keyword}\).*dcm2niix"):
        DicomSource(path)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda ds, i: delattr(ds, "BitsAllocated"), "BitsAllocated is missing"),
        (lambda ds, i: setattr(ds, "BitsStored", 17), "17 of 16 bits"),
        (lambda ds, i: setattr(ds, "HighBit", 5), "12 of 16 bits up to bit 5"),
    ],
)
def test_a_pixel_format_that_cannot_be_is_refused_by_name(tmp_path, edit, told):
    make_series(tmp_path, 1, after=edit)
    with pytest.raises(CannotDecode, match=told + ".*dcmodify"):
        DicomSource(tmp_path)


@pytest.mark.parametrize("per_frame", [True, False])
def test_a_scale_may_be_given_for_an_enhanced_object(tmp_path, provenance, per_frame):
    path = make_enhanced(tmp_path / "e.dcm", kind="US", per_frame=per_frame)
    with pytest.raises(NotCT, match=r"RescaleType is 'US'.*--rescale SLOPE,INTERCEPT"):
        DicomSource(path)
    source = DicomSource(path, rescale=(0.5, -1024))
    derive(source, tmp_path / "out", provenance)
    again = DicomSource(tmp_path / "out")
    for index in range(3):
        np.testing.assert_array_equal(again.read(index).hu, source.read(index).hu)
    with pytest.raises(NotCT, match="RescaleType is 'OD'"):
        DicomSource(make_enhanced(tmp_path / "o.dcm", kind="OD"), rescale=(1, 0))


@pytest.mark.parametrize("keyword", ["PatientID", "RescaleType", "ImageComments"])
def test_a_representation_that_dicom_does_not_know_becomes_that_of_the_attribute(tmp_path, provenance, keyword):
    path = make_series(tmp_path / "in", 1, before=lambda ds, i: setattr(ds, "ImageComments", "none"))[0]
    element = dcmread(path)[keyword]
    start = struct.pack("<HH", element.tag.group, element.tag.element)
    path.write_bytes(path.read_bytes().replace(start + element.VR.encode(), start + b"QQ"))
    (made,) = derive(DicomSource(path), tmp_path / "out", provenance)
    assert made[keyword].VR == element.VR
    assert made[keyword].value == element.value


def test_an_unknown_representation_within_functional_groups_is_put_right(tmp_path, provenance):
    path = make_enhanced(tmp_path / "in" / "e.dcm")
    path.write_bytes(path.read_bytes().replace(b"\x28\x00\x53\x10DS", b"\x28\x00\x53\x10D\xff"))
    (made,) = derive(DicomSource(path), tmp_path / "out", provenance)
    scales = [group.PixelValueTransformationSequence[0] for group in made.PerFrameFunctionalGroupsSequence]
    assert [(scale["RescaleSlope"].VR, scale.RescaleSlope) for scale in scales] == [("DS", 1)] * 3


@pytest.mark.parametrize("keyword", ["Rows", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"])
@pytest.mark.parametrize("representation", [b"IS", b"UN", b"SH"])
def test_the_pixel_format_is_stated_in_its_own_representation(tmp_path, provenance, keyword, representation):
    path = make_series(tmp_path / "in", 1)[0]
    element = dcmread(path)[keyword]
    start = struct.pack("<HH", element.tag.group, element.tag.element)
    header = start + b"UN\0\0\x02\0\0\0" if representation == b"UN" else start + representation + b"\x02\0"
    path.write_bytes(path.read_bytes().replace(start + b"US\x02\0", header))
    (made,) = derive(DicomSource(path), tmp_path / "out", provenance)
    assert (made[keyword].VR, made[keyword].value) == ("US", element.value)
    np.testing.assert_array_equal(made.pixel_array, anatomy() + 1024)


def test_images_without_a_frame_of_reference_get_that_of_their_series(tmp_path, provenance):
    make_series(tmp_path / "in", 3, after=lambda ds, i: delattr(ds, "FrameOfReferenceUID") if i == 1 else None)
    made = derive(DicomSource(tmp_path / "in"), tmp_path / "out", provenance)
    assert [ds.FrameOfReferenceUID for ds in made] == ["1.2.4"] * 3
    assert len(DicomSource(tmp_path / "out")) == 3


@pytest.mark.parametrize("keyword", ["RescaleType", "Modality", "SOPClassUID", "RescaleSlope"])
def test_a_value_of_any_length_and_content_is_named_in_one_short_line(tmp_path, keyword):
    path = make_series(tmp_path / "in", 1)[0]
    ds = dcmread(path)
    del ds[keyword]
    ds.add_new(keyword, "UT", "no\nsuch \x1b[31mthing " * 1000)
    with config.disable_value_validation():
        ds.save_as(path)
    with pytest.raises(LowDoseError, match=r"no such \?\[31mthing") as refusal:
        DicomSource(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400
