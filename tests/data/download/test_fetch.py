"""Downloads with a stub in place of the network: what arrives whole stays, nothing else does."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lowdose.data.download.fetch import RemoteSeries, download, select_series
from lowdose.data.download.imaging_data_commons import ImagingDataCommons
from lowdose.errors import DownloadFailed, InvalidSetting, OutputRefused
from lowdose.io.layouts import dose_of_name
from lowdose.io.locked_folder import locked_folder
from lowdose.io.mayo import case_in


def remote(patient: str, number: int, description: str, images: int = 2) -> RemoteSeries:
    uid = f"1.2.840.{ord(patient[0])}{int(patient[1:])}.{number}.123456789"
    return RemoteSeries(
        patient, f"1.3.{int(patient[1:])}.4567", uid, number, description, images, 10.0, "10.7937/9NPB-2637"
    )


class Stub:
    """A collection of two patients; ``broken`` series arrive with one image missing."""

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.series = [remote(p, n, f"{d} Dose Images") for p in ("L004", "L006") for n, d in ((1, "Full"), (2, "Low"))]
        self.broken, self.asked = set(broken), 0

    def collections(self) -> Sequence[str]:
        return ["ldct_and_projection_data", "ldct_other", "rider_pilot"]

    def ct_series(self, collection: str) -> Sequence[RemoteSeries]:
        return self.series if collection == "ldct_and_projection_data" else []

    def fetch(self, uids: Sequence[str], folder: Path) -> str:
        for uid in uids:
            self.asked += 1
            (series,) = (series for series in self.series if series.uid == uid)
            (folder / uid).mkdir()
            for number in range(series.images - (series.patient in self.broken)):
                (folder / uid / f"{number}.dcm").write_text(uid)
        return "no such host" if self.broken else ""


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_series_lie_as_the_archive_names_them(tmp_path: Path) -> None:
    counts: list[int] = []
    done = download(Stub(), "LDCT-and-Projection-data", tmp_path / "new" / "out", [], counts.append)
    assert (len(done.series), done.present, counts) == (4, 0, [0, 2, 4])
    files = everything(tmp_path / "new" / "out")
    assert len(files) == 8
    folders = sorted({Path(file).parent for file in files})
    assert [(case_in(str(f)), dose_of_name(f)) for f in folders] == [
        ("L004", ("full", "")), ("L004", ("low", "")), ("L006", ("full", "")), ("L006", ("low", ""))
    ]  # fmt: skip


def test_a_second_run_fetches_only_what_is_missing(tmp_path: Path) -> None:
    client = Stub(broken=["L006"])
    with pytest.raises(DownloadFailed) as caught:
        download(client, "ldct_and_projection_data", tmp_path / "out", [])
    for part in ("2 series of L006", "(no such host)", "Full Dose Images", "run the same command again", "By hand"):
        assert part in str(caught.value)
    assert "cancerimagingarchive.net/collection/ldct-and-projection-data/ (doi 10.7937/9NPB-2637)" in str(caught.value)
    assert {file[:4] for file in everything(tmp_path / "out")} == {"L004"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["L004"]
    client.broken, client.asked = set(), 0
    done = download(client, "ldct_and_projection_data", tmp_path / "out", [])
    assert (done.present, client.asked) == (2, 2)
    assert len(everything(tmp_path / "out")) == 8


def test_nothing_stays_when_nothing_arrives(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed):
        download(Stub(broken=["L004"]), "ldct_and_projection_data", tmp_path / "a" / "b", [])
    assert list(tmp_path.iterdir()) == []

    class Cut(Stub):
        def fetch(self, uids: Sequence[str], folder: Path) -> str:
            super().fetch(uids, folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(Cut(), "ldct_and_projection_data", tmp_path / "a" / "b", [])
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_download_left_is_removed_and_two_at_once_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".download.partial-77" / "1.2").mkdir(parents=True)
    download(Stub(), "LDCT-and-Projection-data", tmp_path, ["L006"])
    assert [path.name for path in tmp_path.iterdir()] == ["L006"]
    with locked_folder(tmp_path, ()), pytest.raises(OutputRefused, match="is writing it"):
        download(Stub(), "LDCT-and-Projection-data", tmp_path, ["L004"])


def test_some_patients(tmp_path: Path) -> None:
    client = Stub()
    download(client, "LDCT-and-Projection-data", tmp_path / "out", ["L006"])
    assert (client.asked, [path.name for path in (tmp_path / "out").iterdir()]) == (2, ["L006"])


def test_unknown_names_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="no collection 'ldct'; similar: ldct_and_projection_data, ldct_other"):
        select_series(Stub(), "ldct", [])
    with pytest.raises(InvalidSetting, match=r"no CT images of N090; it has 2 patients: L004, L006"):
        select_series(Stub(), "ldct_and_projection_data", ["N090"])
    with pytest.raises(InvalidSetting, match="holds no CT images"):
        select_series(Stub(), "rider-pilot", [])
    (tmp_path / "file").touch()
    with pytest.raises(OutputRefused, match="not a folder"):
        download(Stub(), "ldct_and_projection_data", tmp_path / "file", [])


def test_remote_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    client = Stub()
    client.series = [RemoteSeries("../../x", "../1", "1.2.3", 1, "../../evil\n*", 1, 1.0, "")]
    download(client, "ldct_and_projection_data", tmp_path / "out", [])
    (file,) = everything(tmp_path / "out")
    assert ".." not in Path(file).parts
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idc_index", None)
    with pytest.raises(DownloadFailed, match=r"pip install 'lowdose\[download\]'.*collection/rider-pilot/"):
        ImagingDataCommons("rider_pilot", tmp_path / "out")


class Column(list[Any]):
    def __eq__(self, other: object) -> Column:  # type: ignore[override]
        return Column(value == other for value in self)

    def isin(self, values: Sequence[object]) -> Column:
        return Column(value in values for value in self)

    def __and__(self, other: Column) -> Column:
        return Column(a and b for a, b in zip(self, other, strict=True))

    def unique(self) -> set[object]:
        return set(self)


class Frame:
    """As much of a data frame as the client's index is asked for."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return Column(row[key] for row in self.rows)
        return Frame([row for row, wanted in zip(self.rows, key, strict=True) if wanted])

    def to_dict(self, how: str) -> list[dict[str, Any]]:
        assert how == "records"
        return self.rows


ROW = {
    "collection_id": "rider_pilot", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "PatientID": "P1",
    "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "SeriesNumber": "304", "SeriesDescription": "Body",
    "instanceCount": 7, "series_size_MB": 3.5, "source_DOI": "10.1/2",
}  # fmt: skip


def test_the_client_is_asked_for_ct_images_and_its_log_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class IDCClient:
        index = Frame([ROW, {**ROW, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, {**ROW, "collection_id": "other"}])

        def download_from_selection(self, downloadDir: str, **options: Any) -> None:  # noqa: N803 (its name)
            assert (downloadDir, options["seriesInstanceUID"]) == (str(tmp_path), ["1.2.3"])
            logging.getLogger("idc_index.index").error('failed:\nERROR "cp a b": dial tcp: no such host\n')

    module = ModuleType("idc_index")
    module.IDCClient = IDCClient  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "idc_index", module)
    client = ImagingDataCommons("rider_pilot", tmp_path)
    assert client.collections() == ["other", "rider_pilot"]
    assert client.ct_series("rider_pilot") == [RemoteSeries("P1", "1.2", "1.2.3", 304, "Body", 7, 3.5, "10.1/2")]
    assert client.fetch(["1.2.3"], tmp_path) == "dial tcp: no such host"


def test_a_client_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("idc_index")
    monkeypatch.setitem(sys.modules, "idc_index", module)
    with pytest.raises(DownloadFailed, match=r"cannot be started.*By hand"):
        ImagingDataCommons("rider_pilot", tmp_path)
