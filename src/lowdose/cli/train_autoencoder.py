"""``lowdose train`` for LEDA's autoencoder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from lowdose.cli.terminal import say, say_all
from lowdose.cli.training import Asked, report

if TYPE_CHECKING:
    from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe


def train(asked: Asked, recipe: AutoencoderRecipe) -> bool:
    """True when complete, False when stopped by a signal."""
    from lowdose.data.normal_dose import normal_dose_slices
    from lowdose.language import vocabulary
    from lowdose.training.leda_autoencoder.run import train_autoencoder

    asked.only("bank", "start", "features", "size", "vocabulary", "clip")
    recipe = replace(
        recipe,
        hyperparameters=recipe.hyperparameters.with_values(asked.hyperparameters()),
        size=asked.size or recipe.size,
        features=asked.features or recipe.features,
    )
    words = vocabulary.load_vocabulary(asked.vocabulary)
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, asked.data) if asked.data else ([], [])
        say_all("warning", warnings)
        patients = len({item.patient for item in items})
        say(f"{len(items)} slices of normal dose, {patients} patient(s), {len(words)} words")
        progress = report(recipe.hyperparameters.steps)
        return train_autoencoder(
            asked.recipe, recipe, items, asked.out, asked.options, say, progress, words, asked.bank, asked.start,
            asked.clip,
        )  # fmt: skip
