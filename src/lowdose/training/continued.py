"""How one of several trainings that a single call makes is started, or gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from lowdose.training.runner import DESCRIPTION_FILE
from lowdose.training.trainer import STATE_FILE


class Continued(NamedTuple):
    """Options of a training in a folder that may hold it already.

    Attributes
    ----------
    resume : bool
        Whether the folder holds it.
    minutes : float or None
        Time for it, if it is new.
    steps : dict
        Of one that goes on, the hyperparameter ``steps``, which had been fitted to the time.
    """

    resume: bool
    minutes: float | None
    steps: dict[str, str]


def continued(run: Path, minutes: float | None) -> Continued:
    """Return how to train in the folder ``run``: go on with what it holds, or start in the given minutes."""
    if not (run / STATE_FILE).exists():
        return Continued(False, minutes, {})
    settings = json.loads((run / DESCRIPTION_FILE).read_text(encoding="utf-8"))["settings"]
    return Continued(True, None, {"steps": str(settings["steps"])})
