"""``lowdose train``: a recipe and pairs in, weights out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowdose.cli.terminal import INTERRUPTED, say, say_all

if TYPE_CHECKING:
    from lowdose.data.pairs import PairedSlice
    from lowdose.io.source import Source


def train(
    recipe: Annotated[str, typer.Argument(help="red_cnn, esau_net or unet.")],
    data: Annotated[list[Path], typer.Option(help="Folder in which pairs of low- and full-dose folders are found.")],
    out: Annotated[Path, typer.Option(help="Run folder: model.safetensors, log.csv, tensorboard, state.pt, run.json.")],
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any number.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of processes.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly.")] = False,
) -> None:
    """Train a denoiser on paired series. Ctrl-C saves; --resume goes on as if nothing had happened."""
    from lowdose import recipes
    from lowdose.errors import InvalidSetting
    from lowdose.train import run

    chosen = recipes.find(recipe)
    pairs = [text.partition("=") for text in setting or []]
    wrong = next((name + sign + value for name, sign, value in pairs if not sign), None)
    if wrong is not None:
        raise InvalidSetting(f"--set {wrong}: write NAME=VALUE, for example --set steps=2000")
    chosen = replace(chosen, numbers=chosen.numbers.changed({name: value for name, _, value in pairs}))
    with ExitStack() as stack:
        items = open_pairs(stack, data)
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


def open_pairs(stack: ExitStack, roots: list[Path]) -> list[PairedSlice]:
    """Every pair of slices below ``roots``; sources stay open for as long as ``stack`` lives."""
    from lowdose.io.dicom.patients import patients
    from lowdose.io.open import open_source
    from lowdose.io.pairing import find_pairs, pair_slices, unpaired

    found = [pair for root in roots for pair in find_pairs(root)]
    opened = [
        (pair.name, stack.enter_context(open_source(pair.low, None)), stack.enter_context(open_source(pair.full, None)))
        for pair in found
    ]
    items = []
    for (name, low, full), patient in zip(opened, patients([full for _, _, full in opened]), strict=True):
        indices = pair_slices(low, full)
        say_all(f"warning: {name}", [*low.warnings, *unpaired(low, full, indices)])
        items += [paired(low, full, pair, patient) for pair in indices]
    return items


def paired(low: Source, full: Source, pair: tuple[int, int], patient: int) -> PairedSlice:
    """One training item that decodes its two slices when asked."""
    import numpy as np

    from lowdose.data.pairs import PairedSlice
    from lowdose.infer.pipeline import AIR
    from lowdose.volume import HU

    def read() -> tuple[HU, HU]:
        a, b = low.read(pair[0]), full.read(pair[1])
        valid = a.valid & b.valid
        return np.where(valid, a.hu, AIR), np.where(valid, b.hu, AIR)

    pixel = low.planes[pair[0]].pixel_mm
    size = float(np.sqrt(pixel[0] * pixel[1])) if pixel else None
    key = f"{low.uids.get('series', '')} {full.uids.get('series', '')} {pair}"
    return PairedSlice(patient, key, size, low.acquisition.thickness_mm, read)
