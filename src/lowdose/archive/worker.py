"""What one worker does: one series after the other, each whole, noted and apart from the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lowdose import memory
from lowdose.archive.ledger import DONE, QUARANTINED, STARTED, Ledger, LedgerEntry
from lowdose.device import choose_device
from lowdose.errors import LowDoseError, OutputRefused
from lowdose.infer import pipeline
from lowdose.infer.engines.select_engine import run_on_engine
from lowdose.infer.series_setup import build_manifest, set_up_series
from lowdose.io.dicom.derived import DicomSink
from lowdose.io.dicom.series import DicomSource
from lowdose.io.messages import printable, reason
from lowdose.models import checkpoint, load
from lowdose.models.load import LoadedModel

ATTEMPTS = 4
"""Times that a series is begun before it is put into quarantine, deaths of the worker included."""

BACKOFF_S = 2.0
"""Before the second attempt; twice as long before each that follows."""


@dataclass(frozen=True)
class ArchiveSettings:
    """What is done to every series. threads: of the processor, for one worker; 0 = its share."""

    model: str | None = None
    strength: float = 1.0
    device: str = "auto"
    engine: str = "auto"
    precision: str = "exact"
    threads: int = 0

    def ready(self) -> LoadedModel:
        """The model on its engine. Raises what ``load.load_by_name`` and ``run_on_engine`` raise."""
        pipeline.check_strength(self.strength)
        found = load.load_by_name(self.model or checkpoint.DEFAULT_MODEL, choose_device(self.device))
        return run_on_engine(found, self.engine, self.precision, lambda _: None)


class Worker:
    """Called with a row of ``series``, ``key`` and ``folders``, gives the series' entry in the ledger as a row."""

    def __init__(
        self, root: str, out: str, settings: ArchiveSettings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        torch.set_num_threads(max(1, settings.threads))
        memory.keep_for_reuse()
        self._root, self._ledger, self._settings, self._sleep = Path(root), Ledger(Path(out)), settings, sleep
        self._model = settings.ready()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Never raises for what a series is like; whatever happens is noted, and the rest goes on."""
        key, series, folders = str(row["key"]), str(row["series"]), tuple(str(folder) for folder in row["folders"])
        before = self._ledger.read(key)
        begun = before.attempts if before and before.state == STARTED else 0
        entry = LedgerEntry(key, series, folders, STARTED, begun, reason="" if before is None else before.reason)
        while entry.state == STARTED:
            entry = self._attempt(entry)
        return asdict(entry)

    def _attempt(self, entry: LedgerEntry) -> LedgerEntry:
        """The entry after one more attempt; still 'started' when another is worth while."""
        self._ledger.clear(entry.key)
        there = self._ledger.complete(entry.key, entry.series)
        if there is not None:  # by a worker that died before it could note it
            return self._noted(replace(entry, state=DONE, slices=there, reason=""))
        if entry.attempts >= ATTEMPTS:
            why = entry.reason or f"the worker died each of the {entry.attempts} times it tried"
            return self._noted(replace(entry, state=QUARANTINED, reason=why))
        if entry.attempts:
            self._sleep(BACKOFF_S * 2 ** (entry.attempts - 1))
        entry = self._noted(replace(entry, attempts=entry.attempts + 1))
        start = time.perf_counter()
        try:
            slices = self._denoise(entry)
        except (OutputRefused, OSError, MemoryError) as error:  # may be another time
            return self._noted(replace(entry, reason=self._why(error)))
        except Exception as error:
            return self._noted(replace(entry, state=QUARANTINED, reason=self._why(error)))
        spent = round(time.perf_counter() - start, 3)
        return self._noted(replace(entry, state=DONE, slices=slices, seconds=spent, reason=""))

    def _noted(self, entry: LedgerEntry) -> LedgerEntry:
        self._ledger.write(entry)
        return entry

    def _why(self, error: BaseException) -> str:
        text = str(error) if isinstance(error, LowDoseError) else f"{type(error).__name__}: {reason(error)}"
        return printable(text.replace(f"{self._root}/", ""))

    def _denoise(self, entry: LedgerEntry) -> int:
        """One series into its folder; returns the number of slices."""
        start = time.perf_counter()
        source = DicomSource.in_folders(self._root, [self._root / folder for folder in entry.folders], entry.series)
        prepared = set_up_series(source, self._model, self._settings.strength)
        with DicomSink(source, self._ledger.output(entry.key), prepared.provenance) as sink:
            outcome = pipeline.denoise_series(source, sink, prepared.model, self._settings.strength, _nothing)
            told = build_manifest(source, prepared, outcome, list(prepared.warnings), time.perf_counter() - start)
            sink.attach("manifest.json", json.dumps(told, indent=2).encode())
        return outcome.slices


def _nothing(done: int) -> None:
    """Progress is told by the series."""
