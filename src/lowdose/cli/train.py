"""``lowdose train``: a recipe and pairs in, weights out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowdose.cli.terminal import INTERRUPTED, say, say_all

if TYPE_CHECKING:
    from lowdose.data.noise_build import Exposed
    from lowdose.data.normal import NormalSlice
    from lowdose.train.conduct import Options
    from lowdose.train.pairing import Simulated
    from lowdose.train.recipe import AnatomyRecipe, Recipe

CALIBRATION = "fit to the kernel, else own noise: 1"
"""By which rule ``lowdose.simulate`` chooses scanners; counted up when that changes."""


def train(
    recipe: Annotated[str, typer.Argument(help="anatomy, esau_net, red_cnn or unet.")],
    out: Annotated[Path, typer.Option(help="Run folder: model.safetensors, log.csv, tensorboard, state.pt, run.json.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder in which pairs (or normal-dose scans, see --pairing) lie, or a pack. For anatomy, which can "
            "do without: folders with a CT and its organ labels."
        ),
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any number.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Published split whose training cases to use; 'lowdose data splits' lists them.")
    ] = None,
    pairing: Annotated[
        str | None,
        typer.Option(
            help="folders (the default): pairs of scans; simulated: low dose is simulated from scans of normal dose."
        ),
    ] = None,
    bank: Annotated[
        Path | None,
        typer.Option(
            help="With simulated, folder for the noise; with anatomy, for the digital patients: to be used again. "
            "Else a folder in the run folder."
        ),
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Weights to go on from, of the same network.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of processes.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly.")] = False,
) -> None:
    """Train a denoiser on pairs of scans, or on scans of normal dose alone; or the anatomy network.

    Ctrl-C saves; --resume goes on as if nothing had happened.
    """
    from lowdose import recipes
    from lowdose.train.conduct import MODEL, Options
    from lowdose.train.recipe import AnatomyRecipe

    chosen = recipes.find(recipe)
    options = Options(device, devices, precision, resume)
    if isinstance(chosen, AnatomyRecipe):
        _refuse({"--pairing": pairing, "--split": split}, recipe)
        done = _anatomy(recipe, chosen, data or [], out, setting or [], options, bank, start)
    else:
        done = _denoiser(
            recipe, chosen, data or [], out, setting or [], options, split, pairing or "folders", bank, start
        )
    if not done:
        say(f"stopped early; continue with --resume (state in {out})")
        raise typer.Exit(INTERRUPTED)
    say(str(out / MODEL))


def _denoiser(
    name: str, recipe: Recipe, data: list[Path], out: Path, setting: list[str], options: Options,
    split: str | None, pairing: str, bank: Path | None, start: Path | None,
) -> bool:  # fmt: skip
    from lowdose.data.opening import open_training
    from lowdose.errors import InvalidSetting
    from lowdose.train import run

    if not data:
        raise InvalidSetting(f"recipe {name}: give the folder to train on with --data")
    recipe = replace(recipe, numbers=recipe.numbers.changed(_of_pairing(_given(setting), pairing)))
    if bank is not None and pairing != "simulated":
        raise InvalidSetting("--bank: is for --pairing simulated")
    with ExitStack() as stack:
        opened = open_training(stack, data, split, pairing)
        say_all("warning", opened.warnings)
        items, numbers = opened.items, recipe.numbers
        if opened.validation_patients is not None and numbers.validation_patients < 0:
            recipe = replace(recipe, numbers=replace(numbers, validation_patients=opened.validation_patients))
        kind = "pairs of slices" if pairing == "folders" else "slices of normal dose"
        say(f"{len(items)} {kind}, {len({item.patient for item in items})} patient(s)")
        source = run.FOLDERS if pairing == "folders" else _simulated(options.device, bank)
        return run.train(name, recipe, items, out, options, say, report(recipe.numbers.steps), source, start)


def _anatomy(
    name: str, recipe: AnatomyRecipe, data: list[Path], out: Path, setting: list[str], options: Options,
    bank: Path | None, start: Path | None,
) -> bool:  # fmt: skip
    from lowdose.data.labelled_scans import labelled_slices
    from lowdose.train.anatomy import train_anatomy

    recipe = replace(recipe, numbers=recipe.numbers.changed(_given(setting)))
    real, warnings = labelled_slices(data) if data else ([], [])
    say_all("warning", warnings)
    say(f"{len(real)} labelled slices of {len({item.patient for item in real})} scan(s), and digital patients")
    return train_anatomy(name, recipe, real, out, options, say, report(recipe.numbers.steps), bank, start)


def _refuse(given: Mapping[str, object], recipe: str) -> None:
    """Raises InvalidSetting naming the first option that was given and means nothing for this recipe."""
    from lowdose.errors import InvalidSetting

    for option, value in given.items():
        if value is not None:
            raise InvalidSetting(f"{option} {value}: means nothing for the recipe {recipe}; leave it out")


def _given(settings: list[str]) -> dict[str, str]:
    """Numbers by name, as text. Raises InvalidSetting for what is no NAME=VALUE."""
    from lowdose.errors import InvalidSetting

    given = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign:
            raise InvalidSetting(f"--set {text}: write NAME=VALUE, for example --set steps=2000")
        given[name] = value
    return given


def _of_pairing(given: dict[str, str], pairing: str) -> dict[str, str]:
    """The same. Raises InvalidSetting for a number that is of the other pairing."""
    from lowdose.errors import InvalidSetting
    from lowdose.train.recipe import OF_PAIRING

    for name, value in given.items():
        if OF_PAIRING.get(name, pairing) != pairing:
            raise InvalidSetting(f"--set {name}={value}: is for --pairing {OF_PAIRING[name]}")
    return given


def _simulated(device: str, bank: Path | None) -> Simulated:
    from lowdose.device import choose_device
    from lowdose.train.pairing import Simulated

    return Simulated(partial(_calibrated, device=str(choose_device(device))), CALIBRATION, bank)


def _calibrated(slices: Sequence[NormalSlice], device: str) -> list[Exposed]:
    """How the slices of one series were scanned."""
    from lowdose.data.noise_build import Exposed
    from lowdose.simulate.calibration import Scan, calibrate
    from lowdose.volume import Acquisition

    first = slices[0]
    assert first.pixel_mm is not None  # slices without are left out when the data are opened
    made = Acquisition(first.kernel, first.thickness_mm, first.kvp, first.manufacturer)
    currents = tuple(item.mas for item in slices)
    scan = Scan(first.series, made, first.thickness_mm, currents, first.pixel_mm, lambda index: slices[index].read())
    found = calibrate(scan, device=device)
    return [Exposed(found.simulator, exposure) for exposure in found.exposures]


def report(steps: int) -> Callable[[int, float, float], None]:
    """A line of progress with the time left."""

    def line(step: int, loss: float, left: float) -> None:
        say(f"step {step}/{steps}  loss {loss:.4g}  {int(left) // 60} min {int(left) % 60:02d} s left")

    return line
