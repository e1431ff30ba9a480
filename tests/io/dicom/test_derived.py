"""Writing derived DICOM: identity, headers, clamping, and all or nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config, dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from lowdose.errors import OutputRefused
from lowdose.io.dicom import derived
from lowdose.io.dicom.derivation import is_legal
from lowdose.io.dicom.rescale import changed_pixels, to_hu, to_stored
from lowdose.io.dicom.series import DicomSource
from lowdose.io.open_series import open_sink
from lowdose.io.provenance import denoising_provenance
from support.synthetic_dicom import anatomy, make_bare, make_enhanced, make_series, pixels, save


def run(source, output, provenance, change=lambda hu: hu):
    with open_sink(source, output, provenance) as sink:
        for index in range(len(source)):
            original = source.read(index)
            sink.write(original, change(original.hu))
    return sorted(output.iterdir())


NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


@pytest.mark.parametrize("syntax", NATIVE)
def test_pixels_survive_unchanged_when_nothing_is_done(tmp_path, provenance, syntax):
    paths = make_series(tmp_path / "in", syntax=syntax)
    before = [path.read_bytes() for path in paths]
    made = run(DicomSource(tmp_path / "in"), tmp_path / "out", provenance)
    assert [path.name for path in made] == ["00001.dcm", "00002.dcm", "00003.dcm", "00004.dcm"]
    for old, new in zip(paths, made, strict=True):
        np.testing.assert_array_equal(pixels(new), pixels(old))
        assert dcmread(new).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_identity_of_compressed_files(tmp_path, provenance, syntax):
    path = make_series(tmp_path / "in", 1)[0]
    stored = pixels(path)
    ds = dcmread(path)
    try:
        ds.compress(syntax)
    except RuntimeError:
        pytest.skip("no encoder for this syntax here")
    ds.save_as(path)
    np.testing.assert_array_equal(pixels(run(DicomSource(path), tmp_path / "out", provenance)[0]), stored)


def test_identity_without_meta(tmp_path, provenance):
    source = DicomSource(make_bare(tmp_path / "in"))
    made = run(source, tmp_path / "out", provenance)
    np.testing.assert_array_equal(pixels(made[0]), anatomy() + 1024)
    assert dcmread(made[0]).file_meta.MediaStorageSOPClassUID


def test_header_of_a_derived_image(tmp_path, provenance):
    def edit(ds, i):
        ds.SmallestImagePixelValue, ds.LargestImagePixelValue = 1, 2
        ds.PixelDataProviderURL = "http://example.org"
        ds.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "kept")

    paths = make_series(tmp_path / "in", 2, before=edit)
    made = run(DicomSource(tmp_path / "in"), tmp_path / "out", provenance, lambda hu: hu * 0.5)
    old, new = dcmread(paths[1]), dcmread(made[1])
    assert new.StudyInstanceUID == old.StudyInstanceUID
    assert new.FrameOfReferenceUID == old.FrameOfReferenceUID
    assert new.SeriesInstanceUID not in (old.SeriesInstanceUID, None)
    assert dcmread(made[0]).SeriesInstanceUID == new.SeriesInstanceUID
    assert len({old.SOPInstanceUID, new.SOPInstanceUID, dcmread(made[0]).SOPInstanceUID}) == 3
    assert list(new.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert new.SeriesDescription == "Chest [lowdose esau-net 80%]"
    assert new.SeriesNumber == 1002
    assert new.InstanceNumber == old.InstanceNumber
    for part in ("lowdose 0.1.0", "esau-net", "80%", "ab" * 32, "gantry"):
        assert part in new.DerivationDescription
    assert new.DerivationCodeSequence[0].CodeValue == "113087"
    reference = new.SourceImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    equipment = new.ContributingEquipmentSequence[-1]
    assert list(equipment.SoftwareVersions) == ["esau-net", "ab" * 32, "0.1.0"]
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert new.SmallestImagePixelValue == pixels(made[1]).min()
    assert new.LargestImagePixelValue == pixels(made[1]).max()
    assert "PixelDataProviderURL" not in new
    assert new[0x0011, 0x1001].value == "kept"
    np.testing.assert_array_equal(pixels(made[1]), np.rint(anatomy(1) * 0.5 + 1024))


def test_long_texts_are_cut_and_foreign_letters_kept(tmp_path):
    def edit(ds, i):
        ds.SeriesDescription = "Schädel " * 7

    make_series(tmp_path / "in", 1, before=edit)
    wordy = denoising_provenance("1", "m" * 40, "c" * 64, 1.0, ("Größe \\ unklar. " * 100,))
    new = dcmread(run(DicomSource(tmp_path / "in"), tmp_path / "out", wordy)[0])
    assert len(new.SeriesDescription) == 64
    assert new.SeriesDescription.endswith(" 100%]")
    assert new.SeriesDescription.startswith("Schä")
    assert len(new.DerivationDescription) <= 1024


@pytest.mark.parametrize(("bits", "signed", "low", "high"), [(12, 0, -1024, 3071), (16, 1, -33792, 31743)])
def test_results_are_clamped_to_what_pixels_hold(tmp_path, provenance, bits, signed, low, high):
    def edit(ds, i):
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, signed

    make_series(tmp_path / "in", 1, before=edit)
    for sign, limit in ((1, high), (-1, low)):
        made = run(DicomSource(tmp_path / "in"), tmp_path / f"{sign}", provenance, lambda hu, s=sign: hu * 0 + s * 1e6)
        assert (pixels(made[0]).astype(int) - 1024 == limit).all()


def test_invalid_pixels_come_out_as_they_were(tmp_path, provenance):
    def edit(ds, i):
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15
        ds.add_new("PixelPaddingValue", "SS", -2000)

    def pad(ds, i):
        stored = np.frombuffer(ds.PixelData, "<i2").copy()
        stored[:500] = -2000
        ds.PixelData = stored.tobytes()

    make_series(tmp_path / "in", 1, before=edit, after=pad)
    stored = pixels(run(DicomSource(tmp_path / "in"), tmp_path / "out", provenance, lambda hu: hu + 7)[0]).ravel()
    assert (stored[:500] == -2000).all()
    np.testing.assert_array_equal(stored[500:], anatomy().ravel()[500:] + 1024 + 7)


@pytest.mark.parametrize(("limit", "wanted"), [(None, {-974.3: 49, -973.7: 51}), (52, {-973.7: 49, -972.4: 53})])
def test_a_result_is_never_written_as_padding(tmp_path, provenance, limit, wanted):
    def edit(ds, i):
        ds.add_new("PixelPaddingValue", "US", 50)
        if limit is not None:
            ds.add_new("PixelPaddingRangeLimit", "US", limit)

    make_series(tmp_path / "in", 1, before=edit)
    source = DicomSource(tmp_path / "in")
    for number, (exact, stored) in enumerate(wanted.items()):
        made = run(source, tmp_path / f"{number}", provenance, lambda hu, exact=exact: hu * 0 + np.float32(exact))
        valid = source.read(0).valid
        assert set(pixels(made[0])[valid]) == {stored}


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_beside_the_pixel_value_stay_as_they_were(tmp_path, provenance, signed):
    """Overlays of old scanners lie in the bits above BitsStored."""

    def edit(ds, i):
        ds.PixelRepresentation, ds.RescaleIntercept = signed, 0 if signed else -1024
        ds.SmallestImagePixelValue, ds.LargestImagePixelValue = 1, 2

    def overlay(ds, i):
        stored = np.frombuffer(ds.PixelData, "<u2") & 0x0FFF
        stored = stored.reshape(64, 64).copy()
        stored[10:40, 10:20] |= 0x9000
        ds.PixelData = stored.tobytes()
        ds.add_new(0x60000102, "US", 12)

    path = make_series(tmp_path / "in", 1, before=edit, after=overlay)[0]
    source = DicomSource(path)
    made = run(source, tmp_path / "out", provenance, lambda hu: hu + 7)[0]
    old, new = (pixels_as_stored(name) for name in (path, made))
    np.testing.assert_array_equal(new & 0xF000, old & 0xF000)
    shift = 7 << 20  # the difference, compared in the upper bits of 32 so that the sign is extended
    assert (((new.astype(np.int32) << 20) - (old.astype(np.int32) << 20)) == shift)[source.read(0).hu < 2040].all()
    assert dcmread(made).LargestImagePixelValue <= 4095


def pixels_as_stored(path: Path) -> np.ndarray:
    return np.frombuffer(dcmread(path).PixelData, "<u2")[: 64 * 64].reshape(64, 64)


def test_the_sign_of_new_values_is_extended_as_it_was(tmp_path, provenance):
    def edit(ds, i):
        ds.PixelRepresentation, ds.RescaleIntercept = 1, 0

    make_series(tmp_path / "in", 1, before=edit)
    made = run(DicomSource(tmp_path / "in"), tmp_path / "out", provenance, lambda hu: -hu.clip(-1024, 1024))[0]
    inside = anatomy() < 2048  # the marker is more than 12 bits hold
    np.testing.assert_array_equal(pixels_as_stored(made).view("<i2")[inside], -anatomy().clip(-1024, 1024)[inside])


@pytest.mark.parametrize("number", [456115117112105110101, 2147483648, -2147483649])
def test_a_series_number_that_no_header_may_hold_counts_as_absent(tmp_path, provenance, number):
    def edit(ds, i):
        ds.SeriesNumber = ds.InstanceNumber = ds.AcquisitionNumber = number

    with config.disable_value_validation():
        make_series(tmp_path / "in", 2, after=lambda ds, i: edit(ds, i))
    source = DicomSource(tmp_path / "in")
    assert {image.numbers for image in source.images} == {(0, 0)}
    new = dcmread(run(source, tmp_path / "out", provenance)[0])
    assert new.SeriesNumber == 1000
    assert new.get_item("InstanceNumber").value.strip() == str(number).encode()  # the source's own, not another one


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("uid", ["3.2.1", "9.1.2", "1.40.2", "1", "1.02.3", "abc", "1." + "2" * 70])
def test_a_uid_that_breaks_the_rules_is_never_referred_to(tmp_path, provenance, uid):
    paths = make_series(tmp_path / "in", 1, after=lambda ds, i: setattr(ds, "SOPInstanceUID", uid))
    new = dcmread(run(DicomSource(paths[0]), tmp_path / "out", provenance)[0])
    assert "SourceImageSequence" not in new
    assert is_legal(new.SOPInstanceUID)
    path = make_enhanced(tmp_path / "e.dcm")
    ds = dcmread(path)
    ds.StudyInstanceUID = uid
    save(ds, path)
    new = dcmread(run(DicomSource(path), tmp_path / "out2", provenance)[0])
    assert "SourceImageEvidenceSequence" not in new
    assert new.StudyInstanceUID == uid  # an image is not moved to another study


@pytest.mark.parametrize(("number", "wanted"), [(2147482647, 2147483647), (2147482648, 2147482648), (-5, 995)])
def test_series_numbers_stay_within_what_a_header_holds(tmp_path, provenance, number, wanted):
    make_series(tmp_path / "in", 1, before=lambda ds, i: setattr(ds, "SeriesNumber", number))
    assert dcmread(run(DicomSource(tmp_path / "in"), tmp_path / "out", provenance)[0]).SeriesNumber == wanted


def test_words_of_provenance():
    filtered = denoising_provenance("1", "gauss", "", 0.004)
    assert filtered.label == "lowdose gauss 0.4%"
    assert "SHA-256" not in filtered.derivation
    assert "0.4%" in filtered.derivation


def test_enhanced_object_becomes_one_derived_object(tmp_path, provenance):
    path = make_enhanced(tmp_path / "in" / "e.dcm")
    made = run(DicomSource(path), tmp_path / "out", provenance)
    assert len(made) == 1
    np.testing.assert_array_equal(pixels(made[0]), pixels(path))
    new = dcmread(made[0])
    shared = new.SharedFunctionalGroupsSequence[0]
    assert shared.CTImageFrameTypeSequence[0].FrameType[0] == "DERIVED"
    source = shared.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == dcmread(path).SOPInstanceUID
    evidence = new.SourceImageEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == dcmread(path).SeriesInstanceUID
    assert new.ImageType[0] == "DERIVED"
    changed = run(DicomSource(path), tmp_path / "more", provenance, lambda hu: hu + 3)
    np.testing.assert_array_equal(pixels(changed[0]), pixels(path) + 3)


def test_signatures_and_icons_are_removed(tmp_path, provenance):
    path = make_series(tmp_path / "in", 1)[0]
    ds = dcmread(path)
    ds.add_new((0x0088, 0x0200), "SQ", [])
    ds.add_new((0x4FFE, 0x0001), "SQ", [])
    ds.add_new((0x0009, 0x0000), "UL", 1)
    save(ds, path)
    new = dcmread(run(DicomSource(path), tmp_path / "out", provenance)[0])
    assert not [tag for tag in ((0x0088, 0x0200), (0x4FFE, 0x0001), (0x0009, 0x0000)) if tag in new]


def test_attached_files_appear_with_the_folder(tmp_path, provenance):
    make_series(tmp_path / "in", 1)
    source = DicomSource(tmp_path / "in")
    with open_sink(source, tmp_path / "out", provenance) as sink:
        sink.write(source.read(0), source.read(0).hu)
        sink.attach("manifest.json", b"{}")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "manifest.json").read_bytes() == b"{}"
    assert len(DicomSource(tmp_path / "out")) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interruption_leaves_nothing(tmp_path, provenance, error):
    make_series(tmp_path / "in")
    seen = []

    def interrupt(hu):
        seen.extend(path.name for path in tmp_path.iterdir() if path.name.startswith(".out.partial-"))
        raise error

    with pytest.raises(error):
        run(DicomSource(tmp_path / "in"), tmp_path / "out", provenance, interrupt)
    assert seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_missing_slices_leave_nothing(tmp_path, provenance):
    make_series(tmp_path / "in")
    source = DicomSource(tmp_path / "in")
    with (
        pytest.raises(OutputRefused, match="1 of 4 slices"),
        open_sink(source, tmp_path / "out", provenance) as sink,
    ):
        sink.write(source.read(0), source.read(0).hu)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_full_disk_is_told_and_leaves_nothing(tmp_path, provenance, monkeypatch):
    make_series(tmp_path / "in")
    source = DicomSource(tmp_path / "in")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(derived, "save", full)
    with pytest.raises(OutputRefused, match="out: cannot be written"):
        run(source, tmp_path / "out", provenance)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_places_that_are_refused(tmp_path, provenance):
    make_series(tmp_path / "in")
    source = DicomSource(tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    for name in ("full", "file", "in", "in/out", "alias/out", "file/out", "out.nii"):
        with pytest.raises(OutputRefused), open_sink(source, tmp_path / name, provenance):
            pass
    (tmp_path / "empty").mkdir()
    assert len(run(source, tmp_path / "empty", provenance)) == 4
    assert len(run(source, tmp_path / "new" / "deep", provenance)) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path, provenance):
    make_series(tmp_path / "in")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(OutputRefused, match="ermission"):
        run(DicomSource(tmp_path / "in"), tmp_path / "closed" / "out", provenance)


def test_a_read_only_file_system_is_refused(tmp_path, provenance, monkeypatch):
    make_series(tmp_path / "in")
    source = DicomSource(tmp_path / "in")

    def closed(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", closed)
    with pytest.raises(OutputRefused, match="Permission denied"):
        run(source, tmp_path / "out", provenance)


def test_results_that_are_no_numbers_are_refused(tmp_path, provenance):
    make_series(tmp_path / "in")
    with pytest.raises(OutputRefused, match="NaN"):
        run(DicomSource(tmp_path / "in"), tmp_path / "out", provenance, lambda hu: hu * np.float32("nan"))
    assert not (tmp_path / "out").exists()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(8, 16),
    st.booleans(),
    st.sampled_from([1.0, 0.5, 2.0, 0.1, 2.0002442, 32.1216, -1.0, 0.01]),
    st.integers(-8192, 8192),
    st.integers(0, 10**6),
)
def test_stored_to_hu_to_stored_is_identity(bits, signed, slope, intercept, seed):
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    stored = np.random.default_rng(seed).integers(low, high + 1, 200).astype("i2" if signed else "u2")
    hu = to_hu(stored, slope, intercept)
    np.testing.assert_array_equal(to_stored(hu, slope, intercept, low, high), stored)
    assert not changed_pixels(hu, hu, np.ones(200, bool)).any()


def test_bare_dataset_stays_readable_by_others(tmp_path, provenance):
    made = run(DicomSource(make_bare(tmp_path / "in")), tmp_path / "out", provenance)[0]
    ds = dcmread(made)
    dcmwrite(tmp_path / "again.dcm", ds)
    np.testing.assert_array_equal(pixels(tmp_path / "again.dcm"), pixels(made))
