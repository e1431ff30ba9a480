"""Random series, regular and odd in many ways at once, and what holds for every one of them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

import lowdose
from lowdose.errors import LowDoseError, MixedSeries
from lowdose.io.dicom.series import DicomSource
from lowdose.io.provenance import Provenance
from lowdose.models.load import LoadedModel
from support.derived_twice import derived_twice
from support.synthetic_dicom import header, save

SIZE = 16
REMOVABLE = (
    "FrameOfReferenceUID", "PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID",
    "SeriesNumber", "InstanceNumber", "AcquisitionNumber", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "ConvolutionKernel", "KVP", "RescaleType", "ImageType", "SeriesDescription",
    "BitsStored", "HighBit", "PositionReferenceIndicator",
)  # fmt: skip
ODD_VALUES = {
    "SeriesNumber": ["456115117112105110101", "-1", "x", ""],
    "InstanceNumber": ["99999999999", "3", "1.5", ""],
    "AcquisitionNumber": ["2", "2147483648"],
    "StudyDate": ["2020-broken", "19000101"],
    "SliceThickness": ["0", "-2", "thick"],
    "PixelSpacing": ["0.7", "0\\0", "0.7\\0.9"],
    "ImagePositionPatient": ["0\\0", "-20\\-20\\0", "0\\0\\1e400"],
    "ImageOrientationPatient": ["1\\0\\0\\0\\0\\-1", "0\\0\\0\\0\\0\\0", "1\\0\\0\\0\\1\\0.0001"],
    "RescaleType": ["Hounsfield", "US"],
    "StudyInstanceUID": ["3.1.2", "1.2.9"],
    "PatientID": ["B", "ANON"],
    "FrameOfReferenceUID": ["1.2.99"],
    "SOPInstanceUID": ["1.2.3.4.5"],
    "ImageType": ["DERIVED", "ORIGINAL\\PRIMARY\\LOCALIZER", ""],
}
APART = {
    "AcquisitionNumber": ["1", "2", "3"], "KVP": ["80", "120", "140"], "ConvolutionKernel": ["B30f", "B70f", "B50f"],
    "TemporalPositionIdentifier": ["1", "2", "10"], "ImageType": ["A\\B\\C\\1", "A\\B\\C\\2", "A\\B\\C\\3"],
    "nothing": ["", "", ""],
}  # fmt: skip


@dataclass(frozen=True)
class Oddity:
    """A value that one image, or every image, has in place of a good one; None removes the attribute."""

    keyword: str
    value: str | None
    image: int | None


@dataclass(frozen=True)
class Series:
    stacks: int
    places: int
    apart: str
    interleaved: bool
    bits: int
    high_bit: int
    signed: bool
    beside: bool
    padding: int | None
    slope: float
    oddities: list[Oddity] = field(default_factory=list)
    copies: list[int] = field(default_factory=list)
    syntax: str = ExplicitVRLittleEndian
    seed: int = 0

    def write(self, folder: Path) -> None:
        count = self.stacks * self.places
        names = np.random.default_rng(self.seed).permutation(count)
        for i in range(count):
            ds = header(i, 0.0, "1.2.3.10", SIZE)
            stack, place = (i % self.stacks, i // self.stacks) if self.interleaved else divmod(i, self.places)
            ds.ImagePositionPatient, ds.StationName = [-20, -20, 2 * place], f"{i}"
            ds.BitsStored, ds.HighBit, ds.PixelRepresentation = self.bits, self.high_bit, int(self.signed)
            ds.RescaleSlope, ds.RescaleIntercept = self.slope, 0 if self.signed else -1024
            if self.padding is not None:
                ds.add_new("PixelPaddingValue", "SS" if self.signed else "US", self.padding)
            self._mark(ds, stack, i)
            self._store(ds, i)
            path = save(ds, folder / f"f{names[i]:03d}.dcm", self.syntax)
            if i in self.copies:
                shutil.copy(path, folder / f"copy of {path.name}")

    def _mark(self, ds: Any, stack: int, i: int) -> None:
        if self.apart != "nothing":
            setattr(ds, self.apart, APART[self.apart][stack].split("\\"))
        for oddity in self.oddities:
            if oddity.image not in (None, i):
                continue
            if oddity.keyword in ds:
                del ds[oddity.keyword]
            if oddity.value is not None:
                ds.add_new(oddity.keyword, "LO", oddity.value)  # LO holds what the attribute's own VR refuses

    def _store(self, ds: Any, i: int) -> None:
        rng = np.random.default_rng(self.seed + i)
        values = rng.integers(0, 1 << self.bits, (SIZE, SIZE)) << (self.high_bit + 1 - self.bits)
        if self.beside:
            values |= rng.integers(0, 1 << 16, (SIZE, SIZE)) & ~(
                ((1 << self.bits) - 1) << (self.high_bit + 1 - self.bits)
            )
        ds.PixelData = values.astype(">u2" if self.syntax == ExplicitVRBigEndian else "<u2").tobytes()
        ds["PixelData"].VR = "OW"


oddities = st.builds(
    lambda choice, image: Oddity(*choice, image),
    st.sampled_from([(name, None) for name in REMOVABLE] + [(k, v) for k, vs in ODD_VALUES.items() for v in vs]),
    st.one_of(st.none(), st.integers(0, 5)),
)


@st.composite
def any_series(draw: st.DrawFn) -> Series:
    bits = draw(st.integers(8, 16))
    return Series(
        stacks=draw(st.integers(1, 3)),
        places=draw(st.integers(1, 4)),
        apart=draw(st.sampled_from(list(APART))),
        interleaved=draw(st.booleans()),
        bits=bits,
        high_bit=draw(st.integers(bits - 1, 15)),
        signed=draw(st.booleans()),
        beside=draw(st.booleans()),
        padding=draw(st.one_of(st.none(), st.integers(0, 255))),
        slope=draw(st.sampled_from([1, 0.5, 0.0123, -1, 2.5])),
        oddities=draw(st.lists(oddities, max_size=3)),
        copies=draw(st.lists(st.integers(0, 5), max_size=2)),
        syntax=draw(st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])),
        seed=draw(st.integers(0, 999)),
    )


@pytest.fixture(scope="module")
def gaussian() -> LoadedModel:
    return lowdose.load_model("gaussian")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("examples", [15, pytest.param(150, marks=pytest.mark.long)])
def test_every_image_is_derived_once_bit_for_bit_or_named(gaussian: LoadedModel, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(any_series())
    def check_any(series: Series) -> None:
        check_series(gaussian, series)

    check_any()


def check_series(gaussian: LoadedModel, series: Series) -> None:
    with tempfile.TemporaryDirectory() as name, config.disable_value_validation():
        folder, root = Path(name) / "in", Path(name)
        series.write(folder)
        before = {path: path.read_bytes() for path in folder.iterdir()}
        derived: list[str] = []
        named: set[str] = set()
        refused = ""
        for chosen in names_of_series(folder):
            out = root / "out"
            try:
                lowdose.denoise(folder, out, model=gaussian, strength=0.0, series=chosen)
                source = DicomSource(folder, chosen)
            except LowDoseError as error:
                refused = f"{error}"
            else:
                derived += check(folder, out)
                named |= {line.partition(".dcm: ")[0] for line in source.skipped if "of another series" not in line}
                shutil.rmtree(out)
            assert {path.name for path in root.iterdir()} == {"in"}
        assert "\n" not in refused
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
        assert len(set(derived)) == len(derived)
        if not refused:
            missing = set(map(str, before)) - {str(path) for path in before if station(path) in derived}
            assert {path.removesuffix(".dcm") for path in missing} <= named


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("examples", [15, pytest.param(150, marks=pytest.mark.long)])
def test_headers_made_from_another_are_the_same_to_the_byte(provenance: Provenance, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(any_series())
    def check_any(series: Series) -> None:
        with tempfile.TemporaryDirectory() as name, config.disable_value_validation(), suppress(LowDoseError):
            series.write(Path(name) / "in")
            for number, chosen in enumerate(names_of_series(Path(name) / "in")):
                source = DicomSource(Path(name) / "in", chosen)
                whole, made, _ = derived_twice(source, Path(name) / f"{number}", provenance)
                assert made == whole

    check_any()


def names_of_series(folder: Path) -> list[str | None]:
    """Return the series that a user has to choose from; None alone where there is one."""
    try:
        DicomSource(folder)
    except MixedSeries as error:
        lines = str(error).splitlines()[1:]
        return [line.split()[0] for line in lines] or [None]
    except LowDoseError:
        pass
    return [None]


def check(folder: Path, out: Path) -> list[str]:
    """Compare each derived image with its source; return what names them."""
    sources = {station(path): path for path in sorted(folder.iterdir())}
    found, series_uids = [], set()
    for path in sorted(out.iterdir()):
        new, old = dcmread(path), dcmread(sources[station(path)])
        order = ">" if old.original_encoding[1] is False else "<"
        np.testing.assert_array_equal(np.frombuffer(new.PixelData, "<u2"), np.frombuffer(old.PixelData, f"{order}u2"))
        for keyword in ("PatientID", "PatientName", "PatientBirthDate"):
            assert str(new.get(keyword, "")) == str(old.get(keyword, ""))
        assert new.StudyInstanceUID == (old.get("StudyInstanceUID") or new.StudyInstanceUID)
        assert new.SOPInstanceUID != old.get("SOPInstanceUID")
        assert abs(int(new.SeriesNumber)) < 1 << 31
        series_uids.add(new.SeriesInstanceUID)
        found.append(station(path))
    assert len(series_uids) == 1
    return found


def station(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).StationName)
