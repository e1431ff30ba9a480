"""What `train` returns: a run folder, with its model, its log and its settings."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api import html
from lowdose.api.reading import load_model
from lowdose.io.atomic import refuse_existing_file
from lowdose.io.atomic_replace import replace_file
from lowdose.models.load import LoadedModel
from lowdose.training.runner import DESCRIPTION_FILE, MODEL_FILE
from lowdose.training.training_log import LOG_FILE


@dataclass(frozen=True)
class TrainingRun:
    """A run folder and how far it is.

    Attributes
    ----------
    path : Path
        The run folder.
    complete : bool
        False when a signal stopped it early: ``train(..., resume=True)`` goes on.
    """

    path: Path
    complete: bool

    @property
    def weights(self) -> Path:
        """The weights file, for ``model=`` and ``lowdose models add``."""
        return self.path / MODEL_FILE

    @property
    def artefacts(self) -> dict[str, Path]:
        """The files of what was trained beside the model, such as a critic, by name; each can be a ``start=``."""
        found = sorted(self.path.glob(f"*{self.weights.suffix}"))
        return {path.stem: path for path in found if path != self.weights}

    def load(self, **options: Any) -> LoadedModel:
        """Load the trained denoiser; options as in `load_model`."""
        return load_model(self.weights, **options)

    def log(self) -> list[dict[str, float | str]]:
        """Return the rows of log.csv: step, name and value."""
        with (self.path / LOG_FILE).open(newline="") as file:
            return [
                {"step": int(row["step"]), "name": row["name"], "value": float(row["value"])}
                for row in csv.DictReader(file)
            ]

    def save(self, out: str | PathLike[str]) -> Path:
        """Copy the weights to a new .safetensors file. Raises OutputRefused when it exists."""
        target = Path(out)
        refuse_existing_file(target)
        replace_file(target, self.weights.read_bytes())
        return target

    def to_dict(self) -> dict[str, Any]:
        """Return run.json, and whether the run is complete."""
        content: dict[str, Any] = json.loads((self.path / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        return {**content, "complete": self.complete}

    def _repr_html_(self) -> str:
        """Show the last value of everything that was logged, for notebooks."""
        last = {str(row["name"]): row for row in self.log()}
        rows = [[name, row["step"], f"{row['value']:.4g}"] for name, row in sorted(last.items())]
        return html.table(["", "step", "value"], rows) + f"<p>{'complete' if self.complete else 'stopped early'}</p>"
