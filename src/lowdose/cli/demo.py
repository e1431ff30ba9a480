"""``lowdose demo``: the whole way on a synthetic patient, without any data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.terminal import say


def demo(
    out: Annotated[Path, typer.Argument(help="New folder for the patient, the denoised series and the page.")],
    slices: Annotated[int, typer.Option(help="Slices of the synthetic patient.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed is another patient.")] = 7,
) -> None:
    """Make a small synthetic patient as DICOM, at full and quarter dose; denoise it; measure; show the page."""
    from lowdose.cli.denoise import denoise
    from lowdose.cli.evaluate import evaluate
    from lowdose.errors import OutputRefused
    from lowdose.io.dicom.fresh import write_series
    from lowdose.io.dicom.pedigree import new_uid
    from lowdose.physics import phantom

    if out.exists() and any(out.iterdir()):
        raise OutputRefused(f"{out}: exists and is not empty; choose another folder or remove it")
    say(f"a synthetic patient of {slices} slices")
    body = phantom.abdomen(slices, seed)
    quarter = phantom.with_noise(body, sd=20.0, dose=0.25, seed=seed)
    full = phantom.with_noise(body, sd=20.0, dose=1.0, seed=seed)
    study, frame = new_uid(), new_uid()
    for name, scan in (("quarter", quarter), ("full", full)):
        text = f"synthetic patient, {name} dose"
        write_series(scan, out / name, description=text, study_uid=study, frame_uid=frame)
    denoise(out / "quarter", out / "denoised", preview=True, manifest=True)
    evaluate(out / "report", low=[out / "quarter"], full=[out / "full"], model=["gaussian", "unet"])
    say(f"look at {(out / 'report' / 'index.html').resolve()}")
