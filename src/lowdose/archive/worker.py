"""One worker of an archive: it denoises one series after the other and writes into the ledger what became of each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from lowdose import memory
from lowdose.api import denoise
from lowdose.archive.ledger import DONE, QUARANTINED, STARTED, Ledger, LedgerEntry
from lowdose.archive.settings import ArchiveSettings
from lowdose.errors import LowDoseError, OutputRefused
from lowdose.io.dicom.series import DicomSource
from lowdose.io.messages import printable, reason
from lowdose.logger import log

ATTEMPTS = 4
"""Times that a series is begun before it is put into quarantine, deaths of the worker included."""

BACKOFF_S = 2.0
"""Before the second attempt; twice as long before each that follows."""


class Worker:
    """Denoises one series a call: takes a row of ``key``, ``series``, ``folders`` and ``result``, gives its entry."""

    def __init__(
        self, root: str, out: str, settings: ArchiveSettings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        torch.set_num_threads(max(1, settings.threads))
        memory.keep_for_reuse()
        self._root, self._ledger, self._settings, self._sleep = Path(root), Ledger(Path(out)), settings, sleep
        self._model = settings.load()
        log.addHandler(logging.NullHandler())  # warnings go into the manifest

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Denoise one series. Never raises for a bad series: its entry says why, and the archive goes on."""
        key, series, folders = str(row["key"]), str(row["series"]), tuple(str(folder) for folder in row["folders"])
        before = self._ledger.read(key)
        attempts = before.attempts if before and before.state == STARTED else 0
        reason = "" if before is None else before.reason
        entry = LedgerEntry(key, series, folders, STARTED, attempts, reason=reason, result=str(row["result"]))
        while entry.state == STARTED:
            entry = self._attempt(entry)
        return asdict(entry)

    def _attempt(self, entry: LedgerEntry) -> LedgerEntry:
        """Make one more attempt and return the entry; it is still 'started' when another attempt is worth while."""
        slices = self._ledger.complete(entry.place, entry.series)
        if slices is not None:  # a worker finished it and died before it could write the entry
            return self._write(replace(entry, state=DONE, slices=slices, reason=""))
        if entry.attempts >= ATTEMPTS:
            cause = entry.reason or f"the worker died each of the {entry.attempts} times it tried"
            return self._write(replace(entry, state=QUARANTINED, reason=cause))
        if entry.attempts:
            self._sleep(BACKOFF_S * 2 ** (entry.attempts - 1))
        entry = self._write(replace(entry, attempts=entry.attempts + 1))
        start = time.perf_counter()
        try:
            slices = self._denoise(entry)
        except (OutputRefused, OSError, MemoryError) as error:  # may succeed another time
            return self._write(replace(entry, reason=self._reason(error)))
        except Exception as error:
            return self._write(replace(entry, state=QUARANTINED, reason=self._reason(error)))
        spent = round(time.perf_counter() - start, 3)
        return self._write(replace(entry, state=DONE, slices=slices, seconds=spent, reason=""))

    def _write(self, entry: LedgerEntry) -> LedgerEntry:
        self._ledger.write(entry)
        return entry

    def _reason(self, error: BaseException) -> str:
        text = str(error) if isinstance(error, LowDoseError) else f"{type(error).__name__}: {reason(error)}"
        return printable(text.removeprefix(f"{self._root}: ").replace(f"{self._root}/", ""))

    def _denoise(self, entry: LedgerEntry) -> int:
        """Denoise one series into its folder and return the number of slices."""
        folders = [self._root / folder for folder in entry.folders]
        source = DicomSource.in_folders(self._root, folders, entry.series, self._settings.rescale)
        wanted, output = self._settings, self._ledger.out / entry.place
        return denoise(
            source, output, model=self._model, strength=wanted.strength, dose=wanted.dose, noise_sd=wanted.noise_sd,
            texture=wanted.texture, pixel=wanted.pixel, thickness=wanted.thickness, strict=wanted.strict, manifest=True,
        ).slices  # fmt: skip
