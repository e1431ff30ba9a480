"""Reading DICOM: HU, order, geometry, and every way a folder can be odd."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from lowdose.errors import CannotDecode, GeometryMismatch, InvalidSetting, MixedSeries, NotCT, NothingToRead
from lowdose.io.dicom.series import DicomSource
from lowdose.io.open_series import open_source
from lowdose.volume_source import read_volume
from support.synthetic_dicom import anatomy, header, make_bare, make_enhanced, make_series, save, store


def hu_of(source: DicomSource) -> np.ndarray:
    return np.stack([source.read(index).hu for index in range(len(source))])


def expected(count: int) -> np.ndarray:
    return np.stack([anatomy(index) for index in range(count)]).astype(np.float32)


def test_regular_series(tmp_path):
    make_series(tmp_path)
    source = DicomSource(tmp_path)
    np.testing.assert_array_equal(hu_of(source), expected(4))
    assert source.warnings == []
    assert source.skipped == []
    assert source.geometry is not None
    assert source.geometry.spacing == (2.0, 0.7, 0.7)
    assert source.geometry.direction == ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    assert source.acquisition.kernel == "B30f"
    assert source.acquisition.thickness_mm == 2.0
    assert source.read(1).pixel_mm == (0.7, 0.7)
    assert source.read(1).hu.dtype == np.float32
    volume = read_volume(source)
    assert volume.hu.shape == (4, 64, 64)
    assert volume.valid is not None
    assert volume.valid.all()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_encodings(tmp_path, syntax):
    make_series(tmp_path, syntax=syntax)
    np.testing.assert_array_equal(hu_of(DicomSource(tmp_path)), expected(4))


def test_order_is_that_of_positions_not_of_names_or_numbers(tmp_path):
    make_series(tmp_path, after=lambda ds, i: setattr(ds, "ImagePositionPatient", [-20, -20, [4, 0, 6, 2][i]]))
    source = DicomSource(tmp_path)
    assert [source.read(i).position for i in range(4)] == [0, 2, 4, 6]
    np.testing.assert_array_equal(hu_of(source), expected(4)[[1, 3, 0, 2]])
    assert "Instance numbers do not follow" in source.warnings[0]


def test_slope_and_intercept_are_those_of_each_slice(tmp_path):
    def scale(ds, i):
        ds.RescaleSlope, ds.RescaleIntercept = [1, 0.5][i % 2], -1024 - i
        ds.BitsStored, ds.HighBit = 16, 15

    make_series(tmp_path, before=scale)
    np.testing.assert_allclose(hu_of(DicomSource(tmp_path)), expected(4), atol=1e-3)


def test_monochrome1_changes_no_hu(tmp_path):
    make_series(tmp_path, before=lambda ds, i: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"))
    np.testing.assert_array_equal(hu_of(DicomSource(tmp_path)), expected(4))


def test_non_square(tmp_path):
    ds = header(0, 0.0, "1.2.3.10", 64)
    ds.Rows, ds.Columns = 32, 64
    store(ds, anatomy()[:32])
    save(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(DicomSource(tmp_path).read(0).hu, anatomy()[:32])


def test_bits_above_the_pixel_are_ignored_and_the_sign_extended(tmp_path):
    def overlay(ds, i):
        stored = np.frombuffer(ds.PixelData, "<u2") | 0x8000
        ds.PixelData = stored.tobytes()

    make_series(tmp_path / "unsigned", after=overlay)
    np.testing.assert_array_equal(hu_of(DicomSource(tmp_path / "unsigned")), np.clip(expected(4), -1024, 3071))

    def signed(ds, i):
        ds.PixelRepresentation, ds.RescaleIntercept = 1, 0

    def cut(ds, i):
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") & 0x0FFF).tobytes()

    make_series(tmp_path / "signed", before=signed, after=cut)
    found = hu_of(DicomSource(tmp_path / "signed"))
    mask = expected(4) < 2000
    np.testing.assert_array_equal(found[mask], expected(4)[mask])


def test_without_preamble_and_meta(tmp_path):
    make_bare(tmp_path)
    np.testing.assert_array_equal(DicomSource(tmp_path).read(0).hu, anatomy())


def test_enhanced_frames_are_slices_in_spatial_order(tmp_path):
    for per_frame in (True, False):
        source = DicomSource(make_enhanced(tmp_path / f"{per_frame}.dcm", per_frame=per_frame))
        np.testing.assert_array_equal(hu_of(source), expected(3)[::-1])
        assert source.geometry is not None
        assert source.geometry.spacing == (2.0, 0.7, 0.7)
        assert source.acquisition.kernel == "Br40"


def test_enhanced_of_another_quantity_is_refused(tmp_path):
    with pytest.raises(NotCT, match="RescaleType is 'US'"):
        DicomSource(make_enhanced(tmp_path / "e.dcm", kind="US"))


def test_gantry_tilt(tmp_path):
    make_series(tmp_path, after=lambda ds, i: setattr(ds, "ImagePositionPatient", [-20, -20 + 0.5 * i, 2 * i]))
    source = DicomSource(tmp_path)
    assert any("14.0 degrees" in line for line in source.warnings)
    assert source.geometry is not None


def test_stated_tilt(tmp_path):
    make_series(tmp_path, after=lambda ds, i: setattr(ds, "GantryDetectorTilt", "12"))
    assert DicomSource(tmp_path).warnings == ["The gantry was tilted by 12 degrees."]


@pytest.mark.parametrize(
    ("zs", "told"),
    [
        ([0, 2, 6, 8], "About 1 slice is missing: gaps of up to 4 mm in a series with 2 mm"),
        ([0, 2, 6, 10], "About 2 slices are missing: gaps of up to 4 mm in a series with 2 mm"),
        ([0, 2, 4, 7], "uneven: 2 to 3 mm"),
        ([0, 2, 2, 4], "Duplicates: 1"),
    ],
)
def test_irregular_gaps_have_no_grid_but_can_be_read(tmp_path, zs, told):
    make_series(tmp_path, after=lambda ds, i: setattr(ds, "ImagePositionPatient", [-20, -20, zs[i]]))
    source = DicomSource(tmp_path)
    assert source.geometry is None
    assert any(told in line for line in source.warnings), source.warnings
    np.testing.assert_array_equal(hu_of(source), expected(4))
    with pytest.raises(GeometryMismatch, match="regular grid"):
        read_volume(source)


def told_of_gaps(folder, zs, **values):
    def edit(ds, i):
        ds.ImagePositionPatient = [-20, -20, zs[i]]
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    make_series(folder, len(zs), after=edit)
    return DicomSource(folder).warnings


def test_missing_slices_are_counted_from_what_is_usual_in_the_series(tmp_path):
    assert told_of_gaps(tmp_path / "a", [0, 3, 9], SliceThickness=3) == [
        "About 1 slice is missing: gaps of up to 6 mm in a series with 3 mm between slices."
    ]
    assert told_of_gaps(tmp_path / "b", [0, 4, 10], SliceThickness=4, SpacingBetweenSlices=2) == [
        "About 3 slices are missing: gaps of up to 6 mm in a series with 2 mm between slices."
    ]
    assert told_of_gaps(tmp_path / "c", [0, 51, 102, 156], SliceThickness=3) == [
        "The slices are not contiguous: 51 to 54 mm from one to the next in a series with 3 mm."
    ]
    mostly_five = [5.0 * i for i in range(30)] + [147.5]
    assert told_of_gaps(tmp_path / "d", mostly_five, SliceThickness=5) == [
        "The gaps between slices are uneven: 2.5 to 5 mm."
    ]
    assert told_of_gaps(tmp_path / "e", [0, 4, 8], SpacingBetweenSlices=2) == []


def test_no_positions(tmp_path):
    make_series(
        tmp_path, after=lambda ds, i: (delattr(ds, "ImagePositionPatient"), setattr(ds, "InstanceNumber", 9 - i))
    )
    source = DicomSource(tmp_path)
    np.testing.assert_array_equal(hu_of(source), expected(4)[::-1])
    assert "instance numbers" in source.warnings[0]
    assert source.read(0).position is None


def test_missing_pixel_spacing_and_mixtures(tmp_path):
    make_series(tmp_path / "a", after=lambda ds, i: delattr(ds, "PixelSpacing"))
    assert "do not state their pixel spacing" in DicomSource(tmp_path / "a").warnings[0]
    assert DicomSource(tmp_path / "a").geometry is None
    make_series(tmp_path / "b", 2)
    make_series(
        tmp_path / "b", 1, size=32, name="t", after=lambda ds, i: setattr(ds, "ImagePositionPatient", [0, 0, 9])
    )
    assert any("32x32, 64x64" in line for line in DicomSource(tmp_path / "b").warnings)


def test_what_is_left_out_is_told(tmp_path):
    make_series(tmp_path, 2)
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    make_series(
        tmp_path / "scout", 1, after=lambda ds, i: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    make_series(tmp_path / "mr", 1, after=lambda ds, i: setattr(ds, "Modality", "MR"))
    make_series(tmp_path / "sc", 1, after=lambda ds, i: setattr(ds, "SOPClassUID", SecondaryCaptureImageStorage))
    source = DicomSource(tmp_path)
    assert len(source) == 2
    text = "\n".join(source.skipped)
    assert len(source.skipped) == 5
    for reason in ("not a DICOM file", "localizer", "modality MR", "Secondary Capture"):
        assert reason in text


def test_nothing_to_read(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(NothingToRead):
            DicomSource(path)
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(NothingToRead, match=r"notes\.txt"):
        DicomSource(tmp_path)
    make_series(tmp_path, 1, after=lambda ds, i: setattr(ds, "Modality", "MR"))
    with pytest.raises(NotCT, match="modality MR"):
        DicomSource(tmp_path)


def test_several_series_are_listed_without_the_patient(tmp_path):
    make_series(tmp_path / "a", 2, series="1.2.3.101")
    make_series(tmp_path / "b", 3, series="1.2.3.202")
    with pytest.raises(MixedSeries) as caught:
        DicomSource(tmp_path)
    text = str(caught.value)
    assert "1.2.3.202  3 images  kernel B30f  2 mm  64x64" in text
    for private in ("Secret", "SECRET", "2020", "Chest"):
        assert private not in text
    assert len(DicomSource(tmp_path, "202")) == 3
    assert len(DicomSource(tmp_path, "1.2.3.101")) == 2
    for wrong in ("999", "2.3", ""):
        with pytest.raises(InvalidSetting, match=r"1\.2\.3\.101"):
            DicomSource(tmp_path, wrong)


def break_nothing(ds, i):
    pass


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda ds, i: delattr(ds, "RescaleSlope"), "RescaleSlope missing"),
        (lambda ds, i: delattr(ds, "RescaleIntercept"), "RescaleIntercept missing"),
        (lambda ds, i: setattr(ds, "RescaleSlope", "0"), "RescaleSlope is 0"),
        (lambda ds, i: setattr(ds, "RescaleType", "OD"), "RescaleType is 'OD'"),
        (lambda ds, i: setattr(ds, "RescaleType", "US"), "unspecified"),
    ],
)
def test_not_in_hu(tmp_path, edit, message):
    make_series(tmp_path, 2, after=lambda ds, i: edit(ds, i) if i else break_nothing(ds, i))
    with pytest.raises(NotCT, match=message) as caught:
        DicomSource(tmp_path)
    assert "s001.dcm" in str(caught.value)


def test_colour_images_are_refused_and_do_not_compete_with_ct(tmp_path):
    def colour(ds, i):
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = bytes(64 * 64 * 3)

    make_series(tmp_path / "rgb", 1, series="1.2.3.77", after=colour)
    with pytest.raises(NotCT, match="colour"):
        DicomSource(tmp_path)
    make_series(tmp_path / "ct", 2)
    assert len(DicomSource(tmp_path)) == 2


def test_truncated_file_fails_before_any_work(tmp_path):
    paths = make_series(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-1000])
    with pytest.raises(CannotDecode, match=r"s002\.dcm: truncated, 7192 of 8192 bytes"):
        DicomSource(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:600])
    for length in (1300, 600):  # inside the header: a slice of the patient all the same, so never just left out
        paths[2].write_bytes(paths[2].read_bytes()[:length])
        with pytest.raises(CannotDecode, match=r"s002\.dcm"):
            DicomSource(paths[2])


def test_truncated_compressed_file(tmp_path):
    path = make_series(tmp_path, 1)[0]
    ds = dcmread(path)
    ds.compress(RLELossless)
    ds.save_as(path)
    np.testing.assert_array_equal(DicomSource(path).read(0).hu, anatomy())
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(CannotDecode, match="truncated"):
        DicomSource(path)


def test_twelve_bit_lossy_jpeg_is_refused_with_a_way_out(tmp_path):
    path = make_series(tmp_path, 1)[0]
    ds = dcmread(path)
    ds.compress(RLELossless)  # any encapsulated pixels do: the header alone decides
    ds.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    ds.save_as(path)
    with pytest.raises(CannotDecode, match=r"s000\.dcm.*12-bit JPEG Extended.*dcmdjpeg"):
        DicomSource(path)


def test_coarse_copy_is_told(tmp_path):
    def coarse(ds, i):
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.RescaleSlope, ds.RescaleIntercept = 32, -4047

    make_series(tmp_path, before=coarse)
    assert "32 HU apart" in DicomSource(tmp_path).warnings[0]


def test_warnings_of_pydicom_are_suppressed(tmp_path, caplog, capfd):
    with config.disable_value_validation():
        make_series(tmp_path, after=lambda ds, i: (setattr(ds, "StudyDate", "2020-broken"), setattr(ds, "KVP", "")))
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        source = DicomSource(tmp_path)
        hu_of(source)
    assert not caplog.records
    assert capfd.readouterr().err == ""
    assert source.acquisition.kvp is None


def test_open_source_takes_files_and_folders(tmp_path):
    path = make_series(tmp_path)[0]
    for place, count in ((tmp_path, 4), (path, 1)):
        with open_source(place) as source:
            assert len(source) == count
    with pytest.raises(NothingToRead), open_source(tmp_path / "absent"):
        pass


def test_uids_are_kept_for_the_manifest(tmp_path):
    make_series(tmp_path)
    uids = DicomSource(tmp_path).uids
    assert uids["series"] == "1.2.3.10"
    assert uids["study"] == "1.2.3"
    assert isinstance(uids["instances"], list)
    assert len(uids["instances"]) == 4


def test_a_copy_of_a_path_is_not_read_twice(tmp_path: Path):
    make_series(tmp_path / "real", 2)
    (tmp_path / "again").symlink_to(tmp_path / "real")
    assert len(DicomSource(tmp_path)) == 2
