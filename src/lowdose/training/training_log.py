"""Log of a training run as log.csv and for TensorBoard; a resumed run continues both without duplicate rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from lowdose.io.atomic_replace import replace_file

LOG_FILE = "log.csv"
COLUMNS = ("step", "name", "value")


class TrainingLog:
    """Log in long format with rows (step, name, value), in the folder ``run``.

    Rows of an earlier, interrupted run at or after the step ``first`` are removed.
    """

    def __init__(self, run: Path, first: int) -> None:
        path = run / LOG_FILE
        kept: list[list[str]] = []
        if first > 0 and path.exists():
            with path.open(newline="") as file:
                rows = list(csv.reader(file))[1:]
            # The last line may be incomplete: the run may have ended while writing it.
            kept = [row for row in rows if len(row) == len(COLUMNS) and row[0].isdigit() and int(row[0]) < first]
        text = io.StringIO()
        csv.writer(text).writerows([COLUMNS, *kept])
        replace_file(path, text.getvalue().encode())
        self._file = path.open("a", newline="")
        self._csv = csv.writer(self._file)
        self._tensorboard = SummaryWriter(str(run / "tensorboard"), purge_step=first)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values of one step by name."""
        for name, value in values.items():
            self._csv.writerow((step, name, f"{value:.9g}"))
            self._tensorboard.add_scalar(name, value, step)
        self._file.flush()

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._tensorboard.close()
