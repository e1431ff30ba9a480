"""Training of noise models: alone, or as the first of two trainings that one call makes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lowdose.api.messages import log_engine_message
from lowdose.data.normal_dose import normal_dose_slices
from lowdose.errors import InvalidSetting
from lowdose.io.messages import counted
from lowdose.logger import log, log_lines
from lowdose.recipes import get_recipe
from lowdose.training.continued import continued
from lowdose.training.hooks import Progress
from lowdose.training.launch import torchrun_processes
from lowdose.training.learned_noise.recipe import NOISE_SHARE, NoiseRecipe
from lowdose.training.learned_noise.run import train_noise_model
from lowdose.training.recipe import NOISY
from lowdose.training.runner import RunOptions
from lowdose.training.trainer import STATE_FILE

RECIPE, FOLDER = "noise_vae", "noise"
"""Recipe by which the noise is learned first, and its folder in that of the run."""
PREFIX = "noise."
"""What hyperparameters of the first of two trainings begin with."""


def train_noise(
    name: str, recipe: NoiseRecipe, data: Sequence[Path], run: Path, options: RunOptions, progress: Progress
) -> bool:
    """Train a noise model on scans of low dose. True when complete, False when stopped by a signal."""
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, data, any_dose=True)
        log_lines(logging.WARNING, warnings)
        patients = counted(len({item.patient for item in items}), "patient")
        log.info("%s, %s", counted(len(items), "slice"), patients)
        return train_noise_model(name, recipe, items, run, options, log_engine_message, progress)


def noise_values(values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hyperparameters of the noise model, without 'noise.' before their names, and the others."""
    own = {name.removeprefix(PREFIX): text for name, text in values.items() if name.startswith(PREFIX)}
    return own, {name: text for name, text in values.items() if not name.startswith(PREFIX)}


def check_low(low: Sequence[Path], noise: Path | None, pairing: str, options: RunOptions) -> None:
    """Raise InvalidSetting where noise cannot be learned first."""
    given = f"--low {' '.join(map(str, low))}"
    if noise is not None:
        raise InvalidSetting(f"{given}: its noise is learned, so --noise {noise} would be without effect; give one")
    if pairing not in NOISY:
        raise InvalidSetting(f"{given}: is for --pairing {', '.join(NOISY)}")
    if options.devices * options.nodes > 1 or torchrun_processes():
        raise InvalidSetting(
            f"{given}: two trainings in one call take one process; learn the noise first, 'lowdose train {RECIPE} "
            "--data LOWDOSE --out NOISE', and give --noise NOISE"
        )


def learn_noise_first(
    low: Sequence[Path], run: Path, values: Mapping[str, str], options: RunOptions, progress: Progress
) -> RunOptions | None:
    """Learn the noise of ``low`` in a folder in that of the run, for a quarter of the time if there is a limit.

    Returns the options of the second training, or None when the first was stopped by a signal.
    """
    folder, recipe = run / FOLDER, get_recipe(RECIPE)
    assert isinstance(recipe, NoiseRecipe)
    how = continued(folder, options.minutes)
    minutes = None if how.minutes is None else NOISE_SHARE * how.minutes
    h = recipe.hyperparameters.with_values({**values, **(how.steps if options.resume else {})})
    log.info("1 of 2: the noise of low dose, in %s", folder)
    first = replace(options, minutes=minutes)
    if not train_noise(RECIPE, replace(recipe, hyperparameters=h), low, folder, first, progress):
        return None
    log.info("2 of 2: a denoiser on pairs with this noise, in %s", run)
    rest = None if options.minutes is None else (1 - NOISE_SHARE) * options.minutes
    return replace(options, minutes=rest, resume=options.resume and (run / STATE_FILE).exists())
