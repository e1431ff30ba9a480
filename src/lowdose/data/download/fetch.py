"""Public CT collections fetched through a client: a series appears under its name when all of its images are there.

Another run fetches only what is missing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lowdose.errors import DownloadFailed, InvalidSetting, OutputRefused
from lowdose.io.atomic import missing_parents, output_errors, remove_empty, temporary_path

PAGE = "https://www.cancerimagingarchive.net/collection"
SHOWN = 5


@dataclass(frozen=True)
class RemoteSeries:
    """One CT series to be had. megabytes, images: its size. folder: where it goes, below the patient's."""

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
        """As The Cancer Imaging Archive names it: 'L004/<study>/1.000000-Full Dose Images-12345'."""
        text = re.sub(r"[^\w .+-]+", "_", self.description).strip(" .") or "CT"
        end = re.sub(r"\D", "", self.uid)[-8:]
        return Path(_safe(self.patient), _safe(self.study[-12:]), f"{self.number}.000000-{text}-{end}")


class Client(Protocol):
    """What is asked of a source of collections."""

    def collections(self) -> Sequence[str]: ...

    def ct_series(self, collection: str) -> Sequence[RemoteSeries]: ...

    def fetch(self, uids: Sequence[str], folder: Path) -> str:
        """Puts each series into ``folder``/UID; what it said of failures, '' = nothing."""
        ...


@dataclass(frozen=True)
class DownloadSummary:
    """What was asked for, and how much of it was there before."""

    series: list[RemoteSeries]
    present: int


def download(
    client: Client,
    collection: str,
    out: Path,
    patients: Sequence[str],
    advance: Callable[[int], None] = lambda _: None,
) -> DownloadSummary:
    """Fetches the CT images of a collection, or of some of its patients, into ``out``.

    advance gets the number of series done. Raises InvalidSetting for unknown names, DownloadFailed when a series did
    not arrive whole, OutputRefused; complete series stay, nothing else does.
    """
    wanted = select_series(client, collection, patients)
    if out.exists() and not out.is_dir():
        raise OutputRefused(f"{out}: exists and is not a folder; choose another name")
    left = [series for series in wanted if not (out / series.folder).is_dir()]
    made = missing_parents(out / "x")
    scratch = temporary_path(out / "download")
    try:
        with output_errors(out):
            scratch.mkdir(parents=True)
        done = len(wanted) - len(left)
        for patient in dict.fromkeys(series.patient for series in left):
            advance(done)
            group = [series for series in left if series.patient == patient]
            told = client.fetch([series.uid for series in group], scratch)
            missing = [series for series in group if not _move(scratch / series.uid, out / series.folder, series, out)]
            if missing:
                raise DownloadFailed(_failure(collection, missing, told, out))
            done += len(group)
        advance(done)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        remove_empty(made)
    return DownloadSummary(list(wanted), len(wanted) - len(left))


def select_series(client: Client, collection: str, patients: Sequence[str]) -> Sequence[RemoteSeries]:
    """The CT series of a collection and patients. Raises InvalidSetting naming what there is."""
    name = collection.lower().replace("-", "_").replace(" ", "_")
    known = client.collections()
    if name not in known:
        like = [other for other in known if name[:4] in other]
        raise InvalidSetting(
            f"no collection '{collection}'" + (f"; similar: {', '.join(like[:SHOWN])}" if like else "")
        )
    found = client.ct_series(name)
    there = {series.patient for series in found}
    absent = [patient for patient in patients if patient not in there]
    if absent:
        example = ", ".join(sorted(there)[:SHOWN])
        raise InvalidSetting(
            f"{collection}: no CT images of {', '.join(absent)}; it has {len(there)} patients: {example}..."
        )
    if not found:
        raise InvalidSetting(f"{collection}: holds no CT images")
    return [series for series in found if not patients or series.patient in patients]


def _move(arrived: Path, target: Path, series: RemoteSeries, out: Path) -> bool:
    """Whether the series arrived whole; it then lies at its place."""
    if not arrived.is_dir() or sum(file.is_file() for file in arrived.rglob("*")) < series.images:
        return False
    with output_errors(out):
        target.parent.mkdir(parents=True, exist_ok=True)
        arrived.rename(target)
    return True


def _failure(collection: str, missing: Sequence[RemoteSeries], told: str, out: Path) -> str:
    names = ", ".join(str(series.folder) for series in missing[:SHOWN])
    why = f" ({told})" if told else ""
    return (
        f"{len(missing)} series of {missing[0].patient} did not arrive{why}: {names}. Complete series are kept: run "
        f"the same command again. {manual_instructions(collection, out, missing[0].doi)}"
    )


def manual_instructions(collection: str, out: Path, doi: str = "") -> str:
    """How to get a collection without a client."""
    page = f"{PAGE}/{collection.lower().replace('_', '-')}/" + (f" (doi {doi})" if doi else "")
    return f"By hand: download the images from {page} and put the folders of the patients into {out}"


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "_"
