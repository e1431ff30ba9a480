"""Train the anatomy network in the stages behind the shipped weights; each stage can be stopped and continued.

    python -m experiments.anatomy.train STAGE OUT --bank FOLDER [--labelled FOLDER] [--set NAME=VALUE ...]

STAGE: "coarse" (digital patients, small images, most of the learning), then "fine" (the same with large images);
neither sees a real slice. From "fine" start "within", which adds the lower part of the labelled scan (the upper part is
for the test, three slices lie between them), and "shipped", which adds all of it. A stage starts from the model of the
stage before in OUT. FOLDER of --bank keeps the digital patients.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lowdose.data.labelled.scans import labelled_slices
from lowdose.recipes.anatomy import RECIPE
from lowdose.training.anatomy_run import train_anatomy
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.trainer import STATE_FILE

WITHIN = 8
"""Number of slices in the lower part of the labelled scan; the upper part starts three slices later."""

SETTINGS = {
    "coarse": {"size": "256"},
    "fine": {"size": "320", "steps": "1500", "learning_rate": "1.5e-3", "warmup": "30"},
    "within": {"size": "320", "steps": "200", "learning_rate": "5e-4", "warmup": "20"},
    "shipped": {"size": "320", "steps": "450", "learning_rate": "1e-3", "warmup": "20", "real_share": "0.2"},
}
PREVIOUS_STAGE = {"coarse": None, "fine": "coarse", "within": "fine", "shipped": "fine"}


def print_progress(step: int, steps: int, loss: float, seconds_left: float) -> None:
    """Print a line of progress."""
    print(f"step {step}/{steps}  loss {loss:.4g}  {seconds_left / 60:.0f} min left", flush=True)


def main() -> None:
    """Train one stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=SETTINGS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    changes = SETTINGS[arguments.stage] | dict(text.split("=") for text in arguments.set)
    recipe = replace(RECIPE, hyperparameters=RECIPE.hyperparameters.with_values(changes))
    real = []
    if arguments.stage in ("within", "shipped"):
        if arguments.labelled is None:
            parser.error(f"stage {arguments.stage} needs --labelled")
        found, _ = labelled_slices([arguments.labelled])
        real = found[:WITHIN] if arguments.stage == "within" else found
    previous, run = PREVIOUS_STAGE[arguments.stage], arguments.out / arguments.stage
    start = None if previous is None else arguments.out / previous / MODEL_FILE
    options = RunOptions(arguments.device, arguments.devices, resume=(run / STATE_FILE).exists())
    train_anatomy("anatomy", recipe, real, run, options, print, print_progress, arguments.bank, start)


if __name__ == "__main__":
    main()
