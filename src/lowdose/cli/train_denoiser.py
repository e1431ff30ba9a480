"""``lowdose train`` for denoisers: on pairs, or on scans of normal dose with the low dose simulated."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lowdose.cli.terminal import say, say_all
from lowdose.cli.training import Asked, report

if TYPE_CHECKING:
    from pathlib import Path

    from lowdose.training.pairing import SimulatedPairing
    from lowdose.training.recipe import DenoiserRecipe

CALIBRATION = "fit to the kernel, else own noise: 1"
"""By which rule ``lowdose.simulate`` chooses scanners; counted up when that changes."""


def train(asked: Asked, recipe: DenoiserRecipe) -> bool:
    """True when complete, False when stopped by a signal."""
    from lowdose.data.training_set import open_training_set
    from lowdose.errors import InvalidSetting
    from lowdose.training import denoiser_run

    recipe = _chosen(recipe, asked)
    pairing = asked.pairing or "folders"
    if not asked.data:
        raise InvalidSetting(f"recipe {asked.recipe}: give the folder to train on with --data")
    recipe = replace(
        recipe, hyperparameters=recipe.hyperparameters.with_values(_of_pairing(asked.hyperparameters(), pairing))
    )
    if asked.bank is not None and pairing != "simulated":
        raise InvalidSetting("--bank: is for --pairing simulated")
    with ExitStack() as stack:
        opened = open_training_set(stack, asked.data, asked.split, pairing)
        say_all("warning", opened.warnings)
        items, hyperparameters = opened.items, recipe.hyperparameters
        if opened.validation_patients is not None and hyperparameters.validation_patients < 0:
            recipe = replace(
                recipe, hyperparameters=replace(hyperparameters, validation_patients=opened.validation_patients)
            )
        kind = "pairs of slices" if pairing == "folders" else "slices of normal dose"
        say(f"{len(items)} {kind}, {len({item.patient for item in items})} patient(s)")
        source = denoiser_run.FROM_FOLDERS if pairing == "folders" else _simulated(asked.options.device, asked.bank)
        progress = report(recipe.hyperparameters.steps)
        return denoiser_run.train_denoiser(
            asked.recipe, recipe, items, asked.out, asked.options, say, progress, source, asked.start
        )


def _chosen(recipe: DenoiserRecipe, asked: Asked) -> DenoiserRecipe:
    """With the network and the teacher of the command line, where the recipe leaves them open."""
    from lowdose.training.denoisers import parse_denoiser

    taken = ["split", "pairing", "bank", "start"]
    taken += ["network"] if recipe.accepts_any_network else []
    taken += [recipe.teacher.option] if recipe.teacher else []
    asked.only(*taken)
    if asked.network is not None:
        found = parse_denoiser(asked.network)
        recipe = replace(recipe, network=found.network, scale=found.scale)
    named = recipe.teacher and getattr(asked, recipe.teacher.option)
    if recipe.teacher and named is not None:
        recipe = replace(recipe, teacher=recipe.teacher._replace(name=named))
    return recipe


def _of_pairing(given: dict[str, str], pairing: str) -> dict[str, str]:
    """The same. Raises InvalidSetting for a number that is of the other pairing."""
    from lowdose.errors import InvalidSetting
    from lowdose.training.recipe import PAIRING_OF

    for name, value in given.items():
        if PAIRING_OF.get(name, pairing) != pairing:
            raise InvalidSetting(f"--set {name}={value}: is for --pairing {PAIRING_OF[name]}")
    return given


def _simulated(device: str, bank: Path | None) -> SimulatedPairing:
    from lowdose.device import choose_device
    from lowdose.simulation.calibration import calibrate_slices
    from lowdose.training.pairing import SimulatedPairing

    return SimulatedPairing(partial(calibrate_slices, device=str(choose_device(device))), CALIBRATION, bank)
