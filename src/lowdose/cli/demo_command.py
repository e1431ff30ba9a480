"""``lowdose demo``: the whole way on a digital patient, without any data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.denoise_command import denoise
from lowdose.cli.evaluate_command import evaluate
from lowdose.cli.terminal import output_of, progress, say


def demo(
    output: Annotated[Path | None, typer.Argument(hidden=True)] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="New folder for the patient, the denoised series and the page. Required."),
    ] = None,
    slices: Annotated[int, typer.Option(help="Slices of the digital patient.")] = 6,
    seed: Annotated[int, typer.Option(help="Random seed of the digital patient.")] = 7,
) -> None:
    """Scan a digital patient at full and quarter dose, denoise it, measure it, and write a page."""
    from lowdose import api
    from lowdose.io.atomic import refuse_existing_folder
    from lowdose.language import autoencoder_file
    from lowdose.physics.scanner import FITTED_SCANNERS
    from lowdose.weights.identity import shipped_weights

    target = output_of(out, output, "OUT")
    refuse_existing_folder(target)
    scan = target / "scan"
    with progress(f"scanning a digital patient of {slices} slices") as advance:
        _, scanner = FITTED_SCANNERS["D45"]
        api.simulate_phantom(
            "abdomen", scan, dose=0.25, seed=seed, kernel="d45", slices=slices, scanner=scanner, progress=advance
        )
    denoise(scan / "low", out=target / "denoised", preview=True, manifest=True)
    words = autoencoder_file.DEFAULT in shipped_weights("autoencoder")
    if not words:
        say(f"no words: the autoencoder '{autoencoder_file.DEFAULT}' is not shipped with this version")
    evaluate(target / "report", low=[scan / "low"], full=[scan / "full"], model=["gaussian", "fast"], words=words)
    say(f"look at {(target / 'report' / 'index.html').resolve()}")
