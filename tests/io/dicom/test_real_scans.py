"""Real scans, where they are at hand: every oddity, and derived files as a validator sees them."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest

from lowdose.errors import CannotDecode, MixedSeries, NotCT
from lowdose.io.dicom.patients import number_patients
from lowdose.io.dicom.series import DicomSource
from lowdose.io.open_series import open_sink
from lowdose.io.pairing import find_pairs, pair_slices
from support.shared_scans import SHARED_CT
from support.synthetic_dicom import pixels

ODD = SHARED_CT / "oddities"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED_CT.is_dir(), reason="needs the real scans"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
SYNTAXES = sorted((ODD / "transfer-syntaxes").glob("CTImage*"))
UNREADABLE = ("4.51.dcm", "4.53.dcm", "4.55.dcm")
LOSSY = {"4.50.dcm": 65.0, "4.81.dcm": 1.0, "4.91.dcm": 3.0}
SERIES = [
    "low-dose/acrin-torso-ge-petct",
    "normal-dose/rider-chest-ge",
    "normal-dose/kits-abdomen-siemens",
    "normal-dose/totalsegmentator-abdomen-siemens/dicom",
    "sharp-kernel/cmb-crc-chest-ge",
    "oddities/philips-head-phantom-with-dirfile",
    "oddities/ge-gantry-tilt-variable-spacing",
    "pairs/mayo-2016/L096-3mm-D45f/quarter",
    "pairs/mayo-2016/L143-3mm-B30f/full",
    "phantoms/ge-ct750/imgA.dcm",
    "normal-dose/ny-sbu-chest/A002304/19001231-076.dcm",
    "normal-dose/ny-sbu-chest/A046441/19010101-23.dcm",
    "oddities/pydicom-samples/CT_small.dcm",
    "oddities/pydicom-samples/bad_sequence.dcm",
    "oddities/pydicom-samples/explicit_VR-UN.dcm",
    *(f"oddities/nema-wg04/{name}" for name in ("CT1_J2KI", "CT1_JLSL", "CT1_JPLL", "CT1_RLE", "CT2_J2KR", "CT2_JLSN")),
    *(f"oddities/transfer-syntaxes/{path.name}" for path in SYNTAXES if not path.name.endswith(UNREADABLE)),
]


@pytest.mark.parametrize("path", SYNTAXES, ids=lambda path: path.name[-14:])
def test_one_slice_in_every_transfer_syntax(path):
    if path.name.endswith(UNREADABLE):
        with pytest.raises(CannotDecode, match="dcmdjpeg"):
            DicomSource(path)
        return
    source = DicomSource(path)
    found, wanted = source.read(0), DicomSource(ODD / "transfer-syntaxes" / "CTImage.dcm").read(0)
    np.testing.assert_array_equal(found.valid, wanted.valid)
    tolerance = next((step for ending, step in LOSSY.items() if path.name.endswith(ending)), 0.0)
    difference = np.abs(found.hu - wanted.hu)[wanted.valid]
    assert np.percentile(difference, 99) <= tolerance
    assert bool(source.warnings) == path.name.endswith("4.50.dcm")


@pytest.mark.parametrize("kind", ["CT1", "CT2"])
def test_nema_samples(kind):
    wanted = DicomSource(ODD / "nema-wg04" / f"{kind}_RLE").read(0)
    for name in ("J2KR", "JLSL", "JPLL", "J2KI", "JLSN"):
        found = DicomSource(ODD / "nema-wg04" / f"{kind}_{name}").read(0)
        assert (found.valid == wanted.valid).mean() > 0.999
        if name not in ("J2KI", "JLSN"):
            np.testing.assert_array_equal(found.hu, wanted.hu)
    with pytest.raises(MixedSeries):
        DicomSource(ODD / "nema-wg04")


def test_tilted_gantry_with_uneven_gaps():
    source = DicomSource(ODD / "ge-gantry-tilt-variable-spacing")
    assert len(source) == 28
    assert source.geometry is None
    text = " ".join(source.warnings)
    assert "18.5 degrees" in text
    assert "uneven" in text
    assert (source.read(0).hu[~source.read(0).valid] == -1500).all()


def test_a_folder_with_something_else_in_it():
    source = DicomSource(ODD / "philips-head-phantom-with-dirfile")
    assert len(source) == 28
    assert source.geometry is not None
    assert len(source.skipped) == 1
    assert "DIRFILE" in source.skipped[0]


@pytest.mark.parametrize("name", ["pydicom-samples/eCT_Supplemental.dcm", "non-square-multiframe/mf.dcm"])
def test_not_in_hu(name):
    with pytest.raises(NotCT, match="RescaleType"):
        DicomSource(ODD / name)


def test_padding_stated_with_the_wrong_sign():
    found = DicomSource(SHARED_CT / "sharp-kernel/cmb-crc-chest-ge").read(0)
    np.testing.assert_array_equal(found.valid, found.hu > -3024)


def test_mayo_pairs_and_patients():
    pairs = sorted(find_pairs(SHARED_CT / "pairs"), key=lambda pair: pair.name)
    assert [pair.name.split("/")[-1] for pair in pairs] == ["L096-3mm-D45f", "L143-3mm-B30f", "L143-3mm-D45f"]
    sources = [(DicomSource(pair.low), DicomSource(pair.full)) for pair in pairs]
    for (low, full), count in zip(sources, (10, 7, 4), strict=True):
        assert pair_slices(low, full) == [(i, i) for i in range(count)]
    assert number_patients([source for pair in sources for source in pair]) == [0, 0, 1, 1, 1, 1]


def errors_of(path):
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
    return Counter(line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error"))


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy")
@pytest.mark.parametrize("name", SERIES, ids=lambda name: name[-40:])
def test_derived_files_are_as_valid_as_their_source_and_identical_at_strength_zero(tmp_path, provenance, name):
    source = DicomSource(SHARED_CT / name)
    source.images = source.images[:1]
    with open_sink(source, tmp_path / "out", provenance) as sink:
        original = source.read(0)
        sink.write(original, original.hu)
    made, path = next((tmp_path / "out").iterdir()), source.images[0].path
    np.testing.assert_array_equal(pixels(made), pixels(path))
    assert not errors_of(made) - errors_of(path)
