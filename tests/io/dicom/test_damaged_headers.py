"""Files with a few wrong bytes in the header: an answer in plain words or a result, never a traceback."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from lowdose.errors import CannotDecode, LowDoseError
from lowdose.io.dicom import series_catalog
from lowdose.io.dicom.series import DicomSource
from lowdose.io.open_series import open_sink
from support.synthetic_dicom import make_bare, make_enhanced, make_series

KINDS = {
    "explicit": lambda folder: make_series(folder, 1)[0],
    "implicit": lambda folder: make_series(folder, 1, syntax=ImplicitVRLittleEndian)[0],
    "big endian": lambda folder: make_series(folder, 1, syntax=ExplicitVRBigEndian)[0],
    "bare": make_bare,
    "enhanced": lambda folder: make_enhanced(folder / "e.dcm", 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_headers_never_end_in_a_traceback(tmp_path, provenance, kind):
    good = KINDS[kind](tmp_path / "good").read_bytes()
    rng = random.Random(kind)
    outcomes = set()
    for attempt in range(80):
        data = bytearray(good)
        for _ in range(rng.choice([1, 2, 4])):
            data[rng.randrange(len(data) - 8192)] = rng.choice([0, 255, rng.randrange(256)])
        path = tmp_path / "bad.dcm"
        path.write_bytes(data)
        try:
            source = DicomSource(path)
            with open_sink(source, tmp_path / f"{attempt}", provenance) as sink:
                for index in range(len(source)):
                    sink.write(source.read(index), source.read(index).hu)
            outcomes.add("written")
        except LowDoseError:
            outcomes.add("told")
    assert outcomes == {"written", "told"}


def test_a_file_that_cannot_be_opened_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked.dcm").write_bytes(b"x")

    def refuse(path: Path, rescale: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(series_catalog, "read_header", refuse)
    with pytest.raises(CannotDecode, match=r"locked\.dcm: cannot be opened \(Permission denied\)"):
        series_catalog.scan_path(tmp_path)


def test_a_pipe_in_the_folder_is_passed_by(tmp_path: Path) -> None:
    make_series(tmp_path / "in", 2)
    os.mkfifo(tmp_path / "in" / "pipe.dcm")
    source = DicomSource(tmp_path / "in")
    assert len(source) == 2
    assert "not a regular file" in source.skipped[0]
