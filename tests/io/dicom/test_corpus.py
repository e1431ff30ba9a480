"""Every file of pydicom and pydicom-data is derived right, or refused in one line that says why; so is enhanced CT."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

import lowdose
from lowdose.errors import LowDoseError
from lowdose.models.load import LoadedModel
from support.synthetic_dicom import make_enhanced, save

CORPUS = Path(pydicom.data.__file__).parent
MORE = find_spec("data_store")  # of pydicom-data
FOLDERS = [CORPUS, *(Path(place) for place in (MORE.submodule_search_locations or () if MORE else ()))]
FILES = sorted(
    path
    for folder in FOLDERS
    for path in folder.rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
)
DIRECTORY = CORPUS / "test_files/dicomdirtests"
CT_FILES = (
    "CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "CT2/17106", "CT2/17136", "CT2/17166", "CT2/17196",
    "CT5N/2062", "CT5N/2392", "CT5N/2693", "CT5N/3023", "CT5N/3353",
)  # fmt: skip
"""Ends of the names of the files that are CT in HU."""
CT_OF_DATA = ("693_J2KR.dcm", "693_UNCI.dcm", "693_UNCR.dcm", "bad_sequence.dcm", "explicit_VR-UN.dcm")
CT = [path for path in FILES if path.as_posix().endswith((*CT_FILES, *CT_OF_DATA))]
KEPT = (
    "StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "Rows", "Columns", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept", "BitsStored",
    "PixelRepresentation", "PixelPaddingValue", "NumberOfFrames",
)  # fmt: skip
"""Attributes that a derived image shares with its source, as far as it states them."""
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def gaussian() -> LoadedModel:
    return lowdose.load_model("gaussian")


def short(path: Path) -> str:
    folder = next(folder for folder in FOLDERS if path.is_relative_to(folder))
    return path.relative_to(folder).as_posix().partition("/")[2] or path.name


def test_the_corpus_holds_the_ct_files_that_are_named() -> None:
    assert len(CT) == len(CT_FILES) + (len(CT_OF_DATA) if MORE else 0)


@pytest.mark.parametrize("path", CT, ids=short)
def test_a_ct_file_of_pydicom_is_derived_right(path: Path, tmp_path: Path, gaussian: LoadedModel) -> None:
    before = path.read_bytes()
    lowdose.denoise(path, tmp_path / "out", model=gaussian, strength=0.0)
    (derived,) = (tmp_path / "out").iterdir()
    check_derived(path, derived)
    assert path.read_bytes() == before


@pytest.mark.parametrize("path", sorted(set(FILES) - set(CT)), ids=short)
def test_any_other_file_of_pydicom_is_refused_in_one_line(path: Path, tmp_path: Path, gaussian: LoadedModel) -> None:
    with pytest.raises(LowDoseError) as refusal:
        lowdose.denoise(path, tmp_path / "out", model=gaussian, strength=0.0)
    check_refused(refusal.value, path, tmp_path)


@pytest.mark.parametrize("name", ["98892001/CT5N", "77654033/CT2"])
def test_a_series_of_pydicom_is_derived_right(name: str, tmp_path: Path, gaussian: LoadedModel) -> None:
    lowdose.denoise(DIRECTORY / name, tmp_path / "out", model=gaussian, strength=0.0)
    by_uid = {dcmread(path).SOPInstanceUID: path for path in (DIRECTORY / name).iterdir()}
    for path in (tmp_path / "out").iterdir():
        check_derived(by_uid.pop(dcmread(path).SourceImageSequence[0].ReferencedSOPInstanceUID), path)
    assert by_uid == {}


@pytest.mark.parametrize("name", [".", "98892001/CT2N", "98892003/MR1", "TINY_ALPHA"])
def test_a_folder_of_pydicom_without_one_ct_series_is_refused(name: str, tmp_path: Path, gaussian: LoadedModel) -> None:
    with pytest.raises(LowDoseError) as refusal:
        lowdose.denoise(DIRECTORY / name, tmp_path / "out", model=gaussian)
    assert str(DIRECTORY / name) in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def check_refused(error: LowDoseError, path: Path, folder: Path) -> None:
    """The reason is one line of readable length that names the file; nothing is written."""
    assert "\n" not in str(error)
    assert str(path) in str(error)
    assert 20 < len(str(error).replace(str(path), "")) < 400
    assert list(folder.iterdir()) == []


def check_derived(source: Path, derived: Path) -> None:
    """Pixels are the source's bit for bit, as pydicom decodes both, and so are geometry, study and patient."""
    old, new = dcmread(source), dcmread(derived)
    np.testing.assert_array_equal(new.pixel_array, old.pixel_array)
    assert {keyword: new.get(keyword) for keyword in KEPT} == {keyword: old.get(keyword) for keyword in KEPT}
    assert old.get("FrameOfReferenceUID") in (None, new.FrameOfReferenceUID)
    assert new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID != old.SOPInstanceUID
    assert new.SeriesInstanceUID != old.SeriesInstanceUID
    assert new.ImageType[0] == "DERIVED"
    assert [groups(new, index) for index in range(new.get("NumberOfFrames") or 0)] == [
        groups(old, index) for index in range(old.get("NumberOfFrames") or 0)
    ]


def groups(ds: Any, frame: int) -> list[Any]:
    """Return what the functional groups say of place and scale of a frame."""
    names = ["PlanePosition", "PlaneOrientation", "PixelMeasures", "PixelValueTransformation", "FrameContent"]
    stated = [*ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence[frame]]
    return [group.get(f"{name}Sequence") for group in stated for name in names]


def slope_per_frame(ds: Any) -> None:
    for index, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PixelValueTransformationSequence[0].RescaleSlope = f"{0.5 + 0.25 * index:g}"
        frame.PixelValueTransformationSequence[0].RescaleIntercept = f"{-1000 - 50 * index}"


def orientation_per_frame(ds: Any) -> None:
    orientation = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    del ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.PlaneOrientationSequence = orientation


def two_stacks(ds: Any) -> None:
    for index, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [-20, -20, 2 * (index // 2)]
        content = Dataset()
        content.StackID, content.InStackPositionNumber = str(1 + index % 2), 1 + index // 2
        frame.FrameContentSequence = [content]


def no_scale_in_one_frame(ds: Any) -> None:
    del ds.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence


def another_quantity_in_one_frame(ds: Any) -> None:
    ds.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence[0].RescaleType = "Z_EFF"


def frames_too_many(ds: Any) -> None:
    ds.NumberOfFrames = 5


def group_too_few(ds: Any) -> None:
    del ds.PerFrameFunctionalGroupsSequence[2]


def no_groups(ds: Any) -> None:
    del ds.PerFrameFunctionalGroupsSequence, ds.SharedFunctionalGroupsSequence


def nothing_odd(ds: Any) -> None:
    pass


DERIVED = [nothing_odd, slope_per_frame, orientation_per_frame, two_stacks]
SYNTAXES = [None, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless]


def enhanced(folder: Path, edit: Callable[[Any], None], syntax: str | None = None) -> Path:
    """Write an enhanced object of four frames that ``edit`` has changed."""
    path = make_enhanced(folder / "enhanced.dcm", 4)
    ds = dcmread(path)
    edit(ds)
    if syntax in (RLELossless, JPEG2000Lossless):
        ds.compress(syntax, generate_instance_uid=False)
    return save(ds, path, syntax or ds.file_meta.TransferSyntaxUID)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("edit", DERIVED)
def test_enhanced_ct_is_derived_right(
    edit: Callable[[Any], None], syntax: str | None, tmp_path: Path, gaussian: LoadedModel
) -> None:
    path = enhanced(tmp_path, edit, syntax)
    lowdose.denoise(path, tmp_path / "out", model=gaussian, strength=0.0)
    (derived,) = (tmp_path / "out").iterdir()
    check_derived(path, derived)


def test_what_is_denoised_is_stored_by_the_slope_of_its_frame(tmp_path: Path, gaussian: LoadedModel) -> None:
    path = enhanced(tmp_path, slope_per_frame)
    wanted = lowdose.denoise(path, model=gaussian).volume.hu
    lowdose.denoise(path, tmp_path / "out", model=gaussian)
    (derived,) = (dcmread(file) for file in (tmp_path / "out").iterdir())
    frames = zip(derived.pixel_array[::-1], derived.PerFrameFunctionalGroupsSequence[::-1], wanted, strict=True)
    for stored, group, hu in frames:  # the frames lie in reverse order
        scale = group.PixelValueTransformationSequence[0]
        error = stored * float(scale.RescaleSlope) + float(scale.RescaleIntercept) - hu
        assert np.abs(error).max() <= float(scale.RescaleSlope) / 2 + 1e-3


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (no_scale_in_one_frame, "RescaleSlope missing"),
        (another_quantity_in_one_frame, "RescaleType is 'Z_EFF'"),
        (frames_too_many, "truncated"),
        (group_too_few, "4 frames, but headers of 3"),
        (no_groups, "RescaleSlope missing"),
    ],
)
def test_enhanced_ct_that_cannot_be_read_is_refused_by_name(
    edit: Callable[[Any], None], names: str, tmp_path: Path, gaussian: LoadedModel
) -> None:
    path = enhanced(tmp_path / "in", edit)
    with pytest.raises(LowDoseError, match=names) as refusal:
        lowdose.denoise(path, tmp_path / "out", model=gaussian, strength=0.0)
    (tmp_path / "empty").mkdir()
    check_refused(refusal.value, path, tmp_path / "empty")
    assert not (tmp_path / "out").exists()
