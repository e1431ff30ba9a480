"""Validation of a job's model beside its training, and the choice of its best weights."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping

from experiments.furnace.priority import lowest_priority
from experiments.furnace.state import Furnace, JobFolder, Progress

log = logging.getLogger("furnace")
FIGURES = ("psnr_gain", "psnr")
"""The figure by which the best weights are chosen: PSNR over quarter dose, or that of reconstructions."""
SCORERS = {"leda_autoencoder": "experiments.furnace.score_teacher"}
"""Scores by recipe; ``experiments.furnace.score`` for all others."""


def figure(row: Mapping[str, float]) -> float:
    """Return the figure by which the best weights are chosen."""
    return next(row[name] for name in FIGURES if name in row)


class Validation:
    """Scores a model in a process of its own, one at a time."""

    def __init__(self, furnace: Furnace, recipe: str) -> None:
        self._furnace, self._scorer = furnace, SCORERS.get(recipe, "experiments.furnace.score")
        self._process: subprocess.Popen[str] | None = None
        self._hours, self._scored = 0.0, 0

    def advance(self, folder: JobFolder, progress: Progress, due: bool) -> None:
        """Start a validation if one is due and there are new weights; take in the result of one that has ended."""
        if self._process is not None:
            if self._process.poll() is not None:
                self._take_in(folder, progress)
        elif due and folder.model.exists() and folder.model.stat().st_mtime_ns != self._scored:
            self.start(folder, progress)

    @property
    def busy(self) -> bool:
        """Whether a validation runs."""
        return self._process is not None

    def start(self, folder: JobFolder, progress: Progress) -> None:
        """Start to validate the present weights."""
        candidate = folder.folder / "candidate.safetensors"
        candidate.unlink(missing_ok=True)
        os.link(folder.model, candidate)  # training replaces its file, and never changes it
        self._scored, self._hours = folder.model.stat().st_mtime_ns, progress.hours
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._scorer, str(self._furnace.validation_set), str(candidate)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            preexec_fn=lowest_priority,
            env={**os.environ, "OMP_NUM_THREADS": "1", **self._furnace.python_path}, cwd=self._furnace.folder,
        )  # fmt: skip

    def _take_in(self, folder: JobFolder, progress: Progress) -> None:
        assert self._process is not None
        output, code = self._process.communicate()[0], self._process.returncode
        self._process = None
        progress.validated = self._hours
        if code != 0:
            log.warning("%s: the validation failed (exit code %d)", folder.folder.name, code)
            return
        figures = json.loads(output.splitlines()[-1])
        best = max(map(figure, folder.validations()), default=float("-inf"))
        folder.add_validation({"hours": self._hours, **figures})
        candidate = folder.folder / "candidate.safetensors"
        if figure(figures) > best:
            candidate.replace(folder.best)
        log.info("%s: after %.2f hours %+.3f dB", folder.folder.name, self._hours, figure(figures))
