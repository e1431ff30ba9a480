"""``lowdose demo``: the whole way on a digital patient, without any data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.terminal import progress, say


def demo(
    out: Annotated[Path, typer.Argument(help="New folder for the patient, the denoised series and the page.")],
    slices: Annotated[int, typer.Option(help="Slices of the digital patient.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed is another patient.")] = 7,
) -> None:
    """Scan a digital patient at full and quarter dose into DICOM; denoise it; measure; show page and words."""
    from lowdose.cli.denoise_command import denoise
    from lowdose.cli.evaluate_command import evaluate
    from lowdose.errors import OutputRefused
    from lowdose.language import autoencoder_file
    from lowdose.physics.scanner import FITTED
    from lowdose.simulation.phantoms import ScanSettings, scan_phantom
    from lowdose.weights import files

    if out.exists() and any(out.iterdir()):
        raise OutputRefused(f"{out}: exists and is not empty; choose another folder or remove it")
    kernel, scanner = FITTED["D45"]
    scan = out / "scan"
    with progress(f"scanning a digital patient of {slices} slices", slices) as advance:
        scan_phantom("abdomen", scan, slices, ScanSettings(scanner, kernel, mas=200.0, dose=0.25, seed=seed), advance)
    denoise(scan / "low", out / "denoised", preview=True, manifest=True)
    words = autoencoder_file.DEFAULT in files.shipped_weights("autoencoder")
    if not words:
        say(f"no words: the autoencoder '{autoencoder_file.DEFAULT}' is not shipped with this version")
    evaluate(out / "report", low=[scan / "low"], full=[scan / "full"], model=["gaussian", "fast"], words=words)
    say(f"look at {(out / 'report' / 'index.html').resolve()}")
