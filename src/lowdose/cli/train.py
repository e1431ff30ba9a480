"""``lowdose train``: a recipe and pairs in, weights out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    from lowdose.train.pairing import Simulated

CALIBRATION = "fit to the kernel, else own noise: 1"
"""By which rule ``lowdose.simulate`` chooses scanners; counted up when that changes."""


def train(
    recipe: Annotated[str, typer.Argument(help="red_cnn, esau_net or unet.")],
    data: Annotated[
        list[Path], typer.Option(help="Folder in which pairs (or normal-dose scans, see --pairing) lie, or a pack.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder: model.safetensors, log.csv, tensorboard, state.pt, run.json.")],
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any number.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Published split whose training cases to use; 'lowdose data splits' lists them.")
    ] = None,
    pairing: Annotated[
        str, typer.Option(help="folders: pairs of scans; simulated: low dose is simulated from scans of normal dose.")
    ] = "folders",
    bank: Annotated[
        Path | None,
        typer.Option(help="With simulated: folder for the noise, to be used again; else noise-bank in the run folder."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of processes.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly.")] = False,
) -> None:
    """Train a denoiser on pairs of scans, or on scans of normal dose alone.

    Ctrl-C saves; --resume goes on as if nothing had happened.
    """
    from lowdose import recipes
    from lowdose.data.opening import open_training
    from lowdose.errors import InvalidSetting
    from lowdose.train import run

    chosen = recipes.find(recipe)
    chosen = replace(chosen, numbers=chosen.numbers.changed(_given(setting or [], pairing)))
    if bank is not None and pairing != "simulated":
        raise InvalidSetting("--bank: is for --pairing simulated")
    with ExitStack() as stack:
        opened = open_training(stack, data, split, pairing)
        say_all("warning", opened.warnings)
        items, numbers = opened.items, chosen.numbers
        if opened.validation_patients is not None and numbers.validation_patients < 0:
            chosen = replace(chosen, numbers=replace(numbers, validation_patients=opened.validation_patients))
        kind = "pairs of slices" if pairing == "folders" else "slices of normal dose"
        say(f"{len(items)} {kind}, {len({item.patient for item in items})} patient(s)")
        options = run.Options(device, devices, precision, resume)
        source = run.FOLDERS if pairing == "folders" else _simulated(device, bank)
        done = run.train(recipe, chosen, items, out, options, say, report(chosen.numbers.steps), source)
    if not done:
        say(f"stopped early; continue with --resume (state in {out})")
        raise typer.Exit(INTERRUPTED)
    say(str(out / run.MODEL))


def _given(settings: list[str], pairing: str) -> dict[str, str]:
    """Numbers by name, as text. Raises InvalidSetting for what is no NAME=VALUE, or is of the other pairing."""
    from lowdose.errors import InvalidSetting
    from lowdose.train.recipe import OF_PAIRING

    given = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign:
            raise InvalidSetting(f"--set {text}: write NAME=VALUE, for example --set steps=2000")
        if OF_PAIRING.get(name, pairing) != pairing:
            raise InvalidSetting(f"--set {text}: is for --pairing {OF_PAIRING[name]}")
        given[name] = value
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
