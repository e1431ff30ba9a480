"""The table of 'make furnace-status'."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from experiments.common.markdown import table
from experiments.furnace.jobs import Job
from experiments.furnace.state import Furnace, JobFolder
from experiments.furnace.validate import figure


def status_text(furnace: Furnace, jobs: Sequence[Job]) -> str:
    """Return hours, steps, time left, best validation and last message of every job."""
    rows = []
    for job in jobs:
        folder = furnace.job(job.name)
        progress, done = folder.progress(), steps_done(folder)
        best = max(map(figure, folder.validations()), default=None)
        whole = f" of {job.steps:,}" if job.steps else ""
        left = progress.hours * (job.steps - done) / done if done and job.steps else None
        rows.append([
            job.name, progress.status, f"{progress.hours:.2f}", f"{done:,}{whole}",
            "" if left is None else f"{left:.1f} h", "" if best is None else f"{best:+.3f} dB", progress.message,
        ])  # fmt: skip
    head = ["job", "status", "hours", "steps", "left", "best validation", "message"]
    state = "paused" if furnace.paused() else "not paused"
    return f"{furnace.folder}: {state}\n\n" + table(head, rows)


def steps_done(folder: JobFolder) -> int:
    """Return the steps that the training log counts; 0 where there is none."""
    try:
        with (folder.run / "log.csv").open(newline="") as file:
            return max((int(row["step"]) + 1 for row in csv.DictReader(file) if row["step"]), default=0)
    except (OSError, ValueError):
        return 0
