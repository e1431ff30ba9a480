"""``lowdose train`` for the anatomy network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lowdose.cli.terminal import say, say_all
from lowdose.cli.training import Asked, report

if TYPE_CHECKING:
    from lowdose.training.recipe import AnatomyRecipe


def train(asked: Asked, recipe: AnatomyRecipe) -> bool:
    """True when complete, False when stopped by a signal."""
    from lowdose.data.labelled.scans import labelled_slices
    from lowdose.training.anatomy_run import train_anatomy

    asked.only("bank", "start")
    recipe = replace(recipe, hyperparameters=recipe.hyperparameters.with_values(asked.hyperparameters()))
    real, warnings = labelled_slices(asked.data) if asked.data else ([], [])
    say_all("warning", warnings)
    say(f"{len(real)} labelled slices of {len({item.patient for item in real})} scan(s), and digital patients")
    progress = report(recipe.hyperparameters.steps)
    return train_anatomy(asked.recipe, recipe, real, asked.out, asked.options, say, progress, asked.bank, asked.start)
