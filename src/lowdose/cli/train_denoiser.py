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

    from lowdose.training.pairing import Simulated
    from lowdose.training.recipe import Recipe

CALIBRATION = "fit to the kernel, else own noise: 1"
"""By which rule ``lowdose.simulate`` chooses scanners; counted up when that changes."""


def train(asked: Asked, recipe: Recipe) -> bool:
    """True when complete, False when stopped by a signal."""
    from lowdose.data.training_set import open_training
    from lowdose.errors import InvalidSetting
    from lowdose.training import denoiser_run

    recipe = _chosen(recipe, asked)
    pairing = asked.pairing or "folders"
    if not asked.data:
        raise InvalidSetting(f"recipe {asked.recipe}: give the folder to train on with --data")
    recipe = replace(recipe, numbers=recipe.numbers.changed(_of_pairing(asked.numbers(), pairing)))
    if asked.bank is not None and pairing != "simulated":
        raise InvalidSetting("--bank: is for --pairing simulated")
    with ExitStack() as stack:
        opened = open_training(stack, asked.data, asked.split, pairing)
        say_all("warning", opened.warnings)
        items, numbers = opened.items, recipe.numbers
        if opened.validation_patients is not None and numbers.validation_patients < 0:
            recipe = replace(recipe, numbers=replace(numbers, validation_patients=opened.validation_patients))
        kind = "pairs of slices" if pairing == "folders" else "slices of normal dose"
        say(f"{len(items)} {kind}, {len({item.patient for item in items})} patient(s)")
        source = denoiser_run.FOLDERS if pairing == "folders" else _simulated(asked.options.device, asked.bank)
        progress = report(recipe.numbers.steps)
        return denoiser_run.train(
            asked.recipe, recipe, items, asked.out, asked.options, say, progress, source, asked.start
        )


def _chosen(recipe: Recipe, asked: Asked) -> Recipe:
    """With the network and the teacher of the command line, where the recipe leaves them open."""
    from lowdose.training.denoisers import backbone

    taken = ["split", "pairing", "bank", "start"]
    taken += ["network"] if recipe.any_network else []
    taken += [recipe.teacher.option] if recipe.teacher else []
    asked.only(*taken)
    if asked.network is not None:
        found = backbone(asked.network)
        recipe = replace(recipe, network=found.network, scale=found.scale)
    named = recipe.teacher and getattr(asked, recipe.teacher.option)
    if recipe.teacher and named is not None:
        recipe = replace(recipe, teacher=recipe.teacher._replace(name=named))
    return recipe


def _of_pairing(given: dict[str, str], pairing: str) -> dict[str, str]:
    """The same. Raises InvalidSetting for a number that is of the other pairing."""
    from lowdose.errors import InvalidSetting
    from lowdose.training.recipe import OF_PAIRING

    for name, value in given.items():
        if OF_PAIRING.get(name, pairing) != pairing:
            raise InvalidSetting(f"--set {name}={value}: is for --pairing {OF_PAIRING[name]}")
    return given


def _simulated(device: str, bank: Path | None) -> Simulated:
    from lowdose.device import choose_device
    from lowdose.simulation.calibration import calibrate_slices
    from lowdose.training.pairing import Simulated

    return Simulated(partial(calibrate_slices, device=str(choose_device(device))), CALIBRATION, bank)
