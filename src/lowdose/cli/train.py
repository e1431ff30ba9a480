"""``lowdose train``: a recipe and pairs in, weights out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.terminal import INTERRUPTED, say, say_all


def train(
    recipe: Annotated[str, typer.Argument(help="red_cnn, esau_net or unet.")],
    data: Annotated[
        list[Path], typer.Option(help="Folder in which pairs of low- and full-dose folders are found, or a pack.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder: model.safetensors, log.csv, tensorboard, state.pt, run.json.")],
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any number.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Published split whose training cases to use; 'lowdose data splits' lists them.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of processes.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly.")] = False,
) -> None:
    """Train a denoiser on paired series. Ctrl-C saves; --resume goes on as if nothing had happened."""
    from lowdose import recipes
    from lowdose.data.opening import open_training
    from lowdose.errors import InvalidSetting
    from lowdose.train import run

    chosen = recipes.find(recipe)
    pairs = [text.partition("=") for text in setting or []]
    wrong = next((name + sign + value for name, sign, value in pairs if not sign), None)
    if wrong is not None:
        raise InvalidSetting(f"--set {wrong}: write NAME=VALUE, for example --set steps=2000")
    chosen = replace(chosen, numbers=chosen.numbers.changed({name: value for name, _, value in pairs}))
    with ExitStack() as stack:
        opened = open_training(stack, data, split)
        say_all("warning", opened.warnings)
        items, numbers = opened.items, chosen.numbers
        if opened.validation_patients is not None and numbers.validation_patients < 0:
            chosen = replace(chosen, numbers=replace(numbers, validation_patients=opened.validation_patients))
        say(f"{len(items)} pairs of slices, {len({item.patient for item in items})} patient(s)")
        options = run.Options(device, devices, precision, resume)
        done = run.train(recipe, chosen, items, out, options, say, report(chosen.numbers.steps))
    if not done:
        say(f"stopped early; continue with --resume (state in {out})")
        raise typer.Exit(INTERRUPTED)
    say(str(out / run.MODEL))


def report(steps: int) -> Callable[[int, float, float], None]:
    """A line of progress with the time left."""

    def line(step: int, loss: float, left: float) -> None:
        say(f"step {step}/{steps}  loss {loss:.4g}  {int(left) // 60} min {int(left) % 60:02d} s left")

    return line
