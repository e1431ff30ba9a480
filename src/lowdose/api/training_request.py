"""One training as it was asked for, and how each kind of recipe is run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from lowdose.api.messages import log_engine_message
from lowdose.api.noise_training import FOLDER, check_low, learn_noise_first, noise_values, train_noise
from lowdose.data.labelled.dataset import LabelledSlice
from lowdose.data.normal_dose import normal_dose_slices
from lowdose.data.training_set import find_normal_dose, open_training_set
from lowdose.errors import InvalidSetting
from lowdose.io.messages import counted
from lowdose.language.vocabulary import load_vocabulary
from lowdose.logger import log, log_lines
from lowdose.recipes import get_recipe
from lowdose.simulation.calibration import calibrate_slices
from lowdose.training.adversary import parse_adversary
from lowdose.training.anatomy_recipe import AnatomyRecipe
from lowdose.training.anatomy_run import train_anatomy
from lowdose.training.artefacts import model_file
from lowdose.training.denoiser_run import train_denoiser
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.hooks import Progress
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.learned_noise.recipe import NoiseRecipe
from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
from lowdose.training.leda_autoencoder.run import train_autoencoder
from lowdose.training.pairing import Pairing
from lowdose.training.pairing_registry import PairingOptions, make_pairing
from lowdose.training.recipe import PAIRINGS_OF, DenoiserHyperparameters, DenoiserRecipe
from lowdose.training.runner import RunOptions
from lowdose.training.teachers import choose_teachers

CALIBRATION = "fit to the kernel, else own noise: 2"
"""By which rule ``lowdose.simulation`` chooses scanners; counted up when that changes."""

H = TypeVar("H", bound=Hyperparameters)

OPTIONAL = (
    "split", "pairing", "bank", "noise", "low", "start", "network", "teacher", "adversary", "base", "size",
    "vocabulary", "clip", "findings",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One call of ``train``; the options of OPTIONAL are None where they were left out."""

    recipe: str
    out: Path
    data: list[Path]
    hyperparameters: dict[str, str]
    options: RunOptions
    progress: Progress
    split: str | None = None
    pairing: str | None = None
    bank: Path | None = None
    noise: Path | None = None
    low: Sequence[Path] | None = None
    start: Path | None = None
    network: str | None = None
    teacher: Sequence[str] | None = None
    adversary: str | None = None
    base: str | None = None
    size: str | None = None
    vocabulary: str | None = None
    clip: str | None = None
    findings: Sequence[Path] | None = None

    def accept_only(self, *names: str) -> None:
        """Raise InvalidSetting for the first optional one that was given and is not an option of this recipe."""
        for option in OPTIONAL:
            value = getattr(self, option)
            if value is not None and option not in names:
                shown = value if isinstance(value, (str, Path)) else " ".join(map(str, value))
                raise InvalidSetting(f"--{option} {shown}: is not an option of the recipe {self.recipe}; leave it out")


def train_denoiser_recipe(request: Request, recipe: DenoiserRecipe) -> bool:
    """Train a denoiser on pairs, or on scans of normal dose. True when complete, False when stopped by a signal."""
    recipe, pairing = _with_choices(recipe, request), request.pairing or recipe.pairing
    if not request.data:
        raise InvalidSetting(f"recipe {request.recipe}: give the folder to train on with --data")
    of_noise, values = (
        noise_values(request.hyperparameters) if request.low is not None else ({}, request.hyperparameters)
    )
    request = replace(request, hyperparameters=values)
    _check_pairing(request.hyperparameters, pairing)
    recipe = replace(recipe, hyperparameters=_with_values(request, recipe.hyperparameters))
    source: Pairing | None = None
    if request.low is None:
        source = make_pairing(pairing, _pairing_options(request, recipe.hyperparameters))
    else:
        check_low(request.low, request.noise, pairing, request.options)
    find = find_normal_dose if source is None else source.find
    with ExitStack() as stack:
        # Before the noise is learned: what is wrong with the data or the findings shall not be said minutes later.
        training_set = open_training_set(stack, request.data, request.split, find, request.findings or ())
        log_lines(logging.WARNING, training_set.warnings)
        if request.low is not None:
            options = learn_noise_first(request.low, request.out, of_noise, request.options, request.progress)
            if options is None:
                return False
            request = replace(request, noise=request.out / FOLDER, options=options)
        source = source or make_pairing(pairing, _pairing_options(request, recipe.hyperparameters))
        items, hyperparameters = training_set.items, recipe.hyperparameters
        held_out = training_set.validation_patients
        if held_out is not None and hyperparameters.validation_patients < 0:
            recipe = replace(recipe, hyperparameters=replace(hyperparameters, validation_patients=held_out))
        patients = counted(len({item.patient for item in items}), "patient")
        log.info("%d %s, %s", len(items), source.found, patients)
        if training_set.labels:
            labels = ", ".join(f"{number} = '{name}'" for number, name in enumerate(training_set.labels, 1))
            marked = sum(bool(item.boxes) for item in items)
            log.info("findings in %d of them, with the labels %s", marked, labels)
        return train_denoiser(
            request.recipe, recipe, items, request.out, request.options, log_engine_message,
            request.progress, source, request.start,
        )  # fmt: skip


def _with_values(request: Request, values: H) -> H:
    """Put in the hyperparameters that were given. Raises InvalidSetting for steps beside a time limit."""
    if request.options.minutes is not None and "steps" in request.hyperparameters:
        raise InvalidSetting(
            f"--set steps={request.hyperparameters['steps']}: --minutes {request.options.minutes:g} sets the number of "
            "steps; leave one of them out"
        )
    return values.with_values(request.hyperparameters)


def _with_choices(recipe: DenoiserRecipe, request: Request) -> DenoiserRecipe:
    """Put in the network and the teachers that were asked for, where the recipe leaves them open."""
    recipe = _around_base(recipe, request)
    names = ["split", "pairing", "bank", "noise", "low", "start", "teacher", "adversary", "findings"]
    names += ["base"] if recipe.around is not None else []
    names += ["network"] if recipe.accepts_any_network else []
    request.accept_only(*names)
    if request.findings and not recipe.learns_from_boxes:
        raise InvalidSetting(
            f"--findings: the recipe {request.recipe} looks at no boxes of lesions; take one that does, such as lidnet "
            "(with --base for another training of the denoiser), or leave --findings out"
        )
    if request.network is not None:
        choice = parse_denoiser(request.network)
        recipe = replace(recipe, network=choice.network, scale=choice.scale)
    if request.adversary is not None:
        teachers = {"features": "anatomy", **recipe.teachers}
        recipe = replace(recipe, adversary=parse_adversary(request.adversary), teachers=teachers)
    return replace(recipe, teachers=choose_teachers(request.recipe, recipe.teachers, request.teacher or ()))


def _around_base(recipe: DenoiserRecipe, request: Request) -> DenoiserRecipe:
    """Return the recipe made of the one that ``--base`` names, where both are given."""
    if recipe.around is None or request.base is None:
        return recipe
    base = get_recipe(request.base)
    if not isinstance(base, DenoiserRecipe) or base.around is not None:
        raise InvalidSetting(f"--base {request.base}: trains no denoiser by itself; take one like red_cnn or wgan_vgg")
    return replace(recipe.around(base), base=request.base)


def _check_pairing(values: dict[str, str], pairing: str) -> None:
    """Raise InvalidSetting for a hyperparameter that belongs to other pairings."""
    for name, value in values.items():
        of = PAIRINGS_OF.get(name, (pairing,))
        if pairing not in of:
            raise InvalidSetting(f"--set {name}={value}: is for --pairing {', '.join(of)}")


def _pairing_options(request: Request, hyperparameters: DenoiserHyperparameters) -> PairingOptions:
    # On the CPU, one process for each core: photons are drawn there in any case, and that takes most of the time.
    count_floor = hyperparameters.count_floor
    rule = f"{CALIBRATION}, count floor {count_floor:g}" if count_floor else CALIBRATION
    calibrate = partial(calibrate_slices, count_floor=count_floor)
    return PairingOptions(hyperparameters, calibrate, rule, request.bank, request.noise)


def train_anatomy_recipe(request: Request, recipe: AnatomyRecipe) -> bool:
    """Train the anatomy network. True when complete, False when stopped by a signal."""
    request.accept_only("bank", "start")
    recipe = replace(recipe, hyperparameters=_with_values(request, recipe.hyperparameters))
    real = _labelled_slices(request.data) if request.data else []
    scans = len({item.patient for item in real})
    log.info("%s of %s, and digital patients", counted(len(real), "labelled slice"), counted(scans, "scan"))
    return train_anatomy(
        request.recipe, recipe, real, request.out, request.options, log_engine_message,
        request.progress, request.bank, _model_of(request.start),
    )  # fmt: skip


def _model_of(start: Path | None) -> Path | None:
    return None if start is None else model_file(start)


def _labelled_slices(roots: Sequence[Path]) -> list[LabelledSlice]:
    from lowdose.data.labelled.scans import labelled_slices  # needs nibabel, which no other training does

    real, warnings = labelled_slices(roots)
    log_lines(logging.WARNING, warnings)
    return real


def train_autoencoder_recipe(request: Request, recipe: AutoencoderRecipe) -> bool:
    """Train LEDA's autoencoder. True when complete, False when stopped by a signal."""
    request.accept_only("bank", "start", "teacher", "size", "vocabulary", "clip")
    recipe = recipe.of_size(request.size)
    recipe = replace(
        recipe,
        hyperparameters=_with_values(request, recipe.hyperparameters),
        features=choose_teachers(request.recipe, recipe.teachers, request.teacher or ())["features"],
    )
    words = load_vocabulary(request.vocabulary)
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, request.data) if request.data else ([], [])
        log_lines(logging.WARNING, warnings)
        slices, patients = counted(len(items), "slice"), counted(len({item.patient for item in items}), "patient")
        log.info("%s of normal dose, %s, %d words", slices, patients, len(words))
        return train_autoencoder(
            request.recipe, recipe, items, request.out, request.options, log_engine_message,
            request.progress, words, request.bank, _model_of(request.start), request.clip,
        )  # fmt: skip


def train_noise_recipe(request: Request, recipe: NoiseRecipe) -> bool:
    """Train a noise model on scans of low dose. True when complete, False when stopped by a signal."""
    request.accept_only()
    if not request.data:
        raise InvalidSetting(f"recipe {request.recipe}: give the low-dose series whose noise to learn with --data")
    recipe = replace(recipe, hyperparameters=_with_values(request, recipe.hyperparameters))
    return train_noise(request.recipe, recipe, request.data, request.out, request.options, request.progress)
