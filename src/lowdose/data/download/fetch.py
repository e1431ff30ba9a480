"""Download of public CT collections through a client.

A series appears under its name only when all of its images have arrived, so another run fetches only what is missing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lowdose.errors import DownloadFailed, InvalidSetting, OutputRefused
from lowdose.io.atomic import output_errors, temporary_path
from lowdose.io.locked_folder import locked_folder

PAGE = "https://www.cancerimagingarchive.net/collection"
SCRATCH = "download"
SHOWN = 5
"""Number of names that an error message lists."""


@dataclass(frozen=True)
class RemoteSeries:
    """CT series available for download.

    Attributes
    ----------
    patient : str
        PatientID.
    study, uid : str
        StudyInstanceUID and SeriesInstanceUID.
    number : int
        SeriesNumber; 0 where it is not a number.
    description : str
        SeriesDescription.
    images : int
        Number of images.
    megabytes : float
        Size in MB.
    doi : str
        DOI of the collection.
    """

    patient: str
    study: str
    uid: str
    number: int
    description: str
    images: int
    megabytes: float
    doi: str

    @property
    def folder(self) -> Path:
        """Folder named as in The Cancer Imaging Archive: 'L004/<study>/1.000000-Full Dose Images-12345'."""
        text = re.sub(r"[^\w .+-]+", "_", self.description).strip(" .") or "CT"
        end = re.sub(r"\D", "", self.uid)[-8:]
        return Path(_safe_name(self.patient), _safe_name(self.study[-12:]), f"{self.number}.000000-{text}-{end}")


class Client(Protocol):
    """Client of an image archive."""

    def collections(self) -> Sequence[str]:
        """List the identifiers of all collections."""
        ...

    def ct_series(self, collection: str) -> Sequence[RemoteSeries]:
        """List the CT series of a collection."""
        ...

    def fetch(self, uids: Sequence[str], folder: Path) -> str:
        """Download each series into ``folder``/UID; return an error message, '' = no error."""
        ...


@dataclass(frozen=True)
class DownloadSummary:
    """Result of a download.

    Attributes
    ----------
    series : list of RemoteSeries
        The requested series.
    present : int
        Number of these that were there before.
    """

    series: list[RemoteSeries]
    present: int


def download(
    client: Client,
    collection: str,
    out: Path,
    patients: Sequence[str],
    advance: Callable[[int], None] = lambda _: None,
) -> DownloadSummary:
    """Download the CT images of a collection, or of some of its patients, into ``out``.

    patients: PatientIDs; empty = all. advance: called with the number of series done. Raises InvalidSetting for unknown
    names, DownloadFailed when a series is incomplete, and OutputRefused; complete series are kept, all else is removed.
    """
    wanted = select_series(client, collection, patients)
    if out.exists() and not out.is_dir():
        raise OutputRefused(f"{out}: exists and is not a folder; choose another name")
    with locked_folder(out, (SCRATCH,)):
        left = [series for series in wanted if not (out / series.folder).is_dir()]
        _fetch(client, collection, out, left, lambda done: advance(len(wanted) - len(left) + done))
    return DownloadSummary(list(wanted), len(wanted) - len(left))


def _fetch(
    client: Client, collection: str, out: Path, wanted: Sequence[RemoteSeries], advance: Callable[[int], None]
) -> None:
    """Download series patient by patient into a folder of which nothing stays, and move those that are complete."""
    scratch = temporary_path(out / SCRATCH)
    try:
        with output_errors(out):
            scratch.mkdir()
        done = 0
        for patient in dict.fromkeys(series.patient for series in wanted):
            advance(done)
            group = [series for series in wanted if series.patient == patient]
            client_error = client.fetch([series.uid for series in group], scratch)
            missing = [
                series
                for series in group
                if not _move_if_complete(scratch / series.uid, out / series.folder, series, out)
            ]
            if missing:
                raise DownloadFailed(_failure_message(collection, missing, client_error, out))
            done += len(group)
        advance(done)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def select_series(client: Client, collection: str, patients: Sequence[str]) -> Sequence[RemoteSeries]:
    """Select the CT series of a collection, or of some of its patients.

    Raises InvalidSetting, which lists the known names, for unknown ones.
    """
    name = collection.lower().replace("-", "_").replace(" ", "_")
    known = client.collections()
    if name not in known:
        similar = [other for other in known if name[:4] in other]
        raise InvalidSetting(
            f"no collection '{collection}'" + (f"; similar: {', '.join(similar[:SHOWN])}" if similar else "")
        )
    found = client.ct_series(name)
    available = {series.patient for series in found}
    absent = [patient for patient in patients if patient not in available]
    if absent:
        example = ", ".join(sorted(available)[:SHOWN])
        raise InvalidSetting(
            f"{collection}: no CT images of {', '.join(absent)}; it has {len(available)} patients: {example}..."
        )
    if not found:
        raise InvalidSetting(f"{collection}: holds no CT images")
    return [series for series in found if not patients or series.patient in patients]


def _move_if_complete(arrived: Path, target: Path, series: RemoteSeries, out: Path) -> bool:
    """Move a series to its folder if it arrived completely; return whether it did."""
    if not arrived.is_dir() or sum(file.is_file() for file in arrived.rglob("*")) < series.images:
        return False
    with output_errors(out):
        target.parent.mkdir(parents=True, exist_ok=True)
        arrived.rename(target)
    return True


def _failure_message(collection: str, missing: Sequence[RemoteSeries], client_error: str, out: Path) -> str:
    names = ", ".join(str(series.folder) for series in missing[:SHOWN])
    why = f" ({client_error})" if client_error else ""
    return (
        f"{len(missing)} series of {missing[0].patient} did not arrive{why}: {names}. Complete series are kept: run "
        f"the same command again. {manual_instructions(collection, out, missing[0].doi)}"
    )


def manual_instructions(collection: str, out: Path, doi: str = "") -> str:
    """Explain how to download a collection without a client."""
    page = f"{PAGE}/{collection.lower().replace('_', '-')}/" + (f" (doi {doi})" if doi else "")
    return f"By hand: download the images from {page} and put the folders of the patients into {out}"


def _safe_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "_"
