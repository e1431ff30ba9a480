"""The runs behind the shipped anatomy network and its figures; each goes on where it was stopped.

    python benchmarks/anatomy/train.py STAGE OUT --bank FOLDER [--labelled FOLDER] [--set NAME=VALUE ...]

STAGE: coarse (digital patients, small images, most of the learning), then fine (the same, large images): trained
without any real slice. From fine: within (and the lower part of the labelled scan; the upper is for the test, three
slices between them) and shipped (and all of it). A stage starts from the model of the stage before in OUT.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lowdose.cli.training import report
from lowdose.data.labelled.scans import labelled_slices
from lowdose.recipes.anatomy import RECIPE
from lowdose.training.anatomy_run import train_anatomy
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.trainer import STATE_FILE

WITHIN = 8
"""Slices of the lower part; the upper starts three further on."""

SETTINGS = {
    "coarse": {"size": "256"},
    "fine": {"size": "320", "steps": "1500", "learning_rate": "1.5e-3", "warmup": "30"},
    "within": {"size": "320", "steps": "200", "learning_rate": "5e-4", "warmup": "20"},
    "shipped": {"size": "320", "steps": "450", "learning_rate": "1e-3", "warmup": "20", "real_share": "0.2"},
}
BEFORE = {"coarse": None, "fine": "coarse", "within": "fine", "shipped": "fine"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=SETTINGS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    changes = SETTINGS[given.stage] | dict(text.split("=") for text in given.set)
    recipe = replace(RECIPE, hyperparameters=RECIPE.hyperparameters.with_values(changes))
    real = []
    if given.stage in ("within", "shipped"):
        if given.labelled is None:
            parser.error(f"stage {given.stage} needs --labelled")
        found, _ = labelled_slices([given.labelled])
        real = found[:WITHIN] if given.stage == "within" else found
    before, run = BEFORE[given.stage], given.out / given.stage
    start = None if before is None else given.out / before / MODEL_FILE
    options = RunOptions(given.device, given.devices, resume=(run / STATE_FILE).exists())
    train_anatomy("anatomy", recipe, real, run, options, print, report(recipe.hyperparameters.steps), given.bank, start)


if __name__ == "__main__":
    main()
