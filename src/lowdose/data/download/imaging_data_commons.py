"""Download from the NCI Imaging Data Commons through its own client idc-index (an optional extra).

The client includes its index, so only transfers need the network. It reports failed transfers in its log only.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from lowdose.data.download.fetch import RemoteSeries, manual_instructions
from lowdose.errors import DownloadFailed

CT_IMAGES = [str(uid) for uid in (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)]
INSTALL = "pip install 'lowdose[download]'"


class ImagingDataCommons:
    """Client of the NCI Imaging Data Commons (see ``data.download.fetch.Client``).

    Raises DownloadFailed when idc-index is not installed or cannot be started.
    """

    def __init__(self, collection: str, out: Path) -> None:
        try:
            module = importlib.import_module("idc_index")
        except ImportError as error:
            raise DownloadFailed(
                f"downloading needs the client idc-index: {INSTALL}. {manual_instructions(collection, out)}"
            ) from error
        try:
            with _captured_errors():
                self._client: Any = module.IDCClient()
        except Exception as error:  # its database and a missing network can raise anything
            raise DownloadFailed(
                f"idc-index cannot be started ({error}). {manual_instructions(collection, out)}"
            ) from error

    def collections(self) -> Sequence[str]:
        """List the identifiers of all collections."""
        return sorted(self._client.index["collection_id"].unique())

    def ct_series(self, collection: str) -> Sequence[RemoteSeries]:
        """List the CT series of a collection, sorted by patient, study and number."""
        index = self._client.index
        rows = index[(index["collection_id"] == collection) & index["SOPClassUID"].isin(CT_IMAGES)]
        series = [_remote_series(row) for row in rows.to_dict("records")]
        return sorted(series, key=lambda one: (one.patient, one.study, one.number, one.uid))

    def fetch(self, uids: Sequence[str], folder: Path) -> str:
        """Download each series into ``folder``/UID; return the first error message, '' = no error."""
        with _captured_errors() as lines:
            try:
                self._client.download_from_selection(
                    str(folder), seriesInstanceUID=list(uids), dirTemplate="%SeriesInstanceUID", show_progress_bar=False
                )
            except Exception as error:  # its own checks (disk space, names) can raise anything
                lines.append(str(error))
        return lines[0] if lines else ""


def _remote_series(row: Mapping[str, Any]) -> RemoteSeries:
    number = str(row["SeriesNumber"])
    return RemoteSeries(
        str(row["PatientID"]),
        str(row["StudyInstanceUID"]),
        str(row["SeriesInstanceUID"]),
        int(number) if number.isdecimal() else 0,
        str(row["SeriesDescription"] or ""),
        int(row["instanceCount"]),
        float(row["series_size_MB"]),
        str(row["source_DOI"] or ""),
    )


@contextmanager
def _captured_errors() -> Iterator[list[str]]:
    """Collect the last lines of the client's error messages, and keep its log from being printed."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                message = [line for line in record.getMessage().splitlines() if line.strip()]
                lines.extend(line.rpartition('": ')[2] for line in message[-1:])

    logger, handler = logging.getLogger("idc_index"), Collect()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
