"""``lowdose detect``: lesions of a series, by a detector of ``lowdose train lidnet``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.rescale import RescaleOption, parse_rescale
from lowdose.cli.terminal import NetworkFile, Pixel, Thickness, progress, refuse_given, say


def detect(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SERIES", help="DICOM folder, file, zip or tar; NIfTI; NPY or NPZ in HU."),
    ],
    detector: Annotated[
        Path, typer.Option(metavar="RUN", help="Folder of a training with lidnet, or its detector.safetensors.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="New folder for lesions.json, lesions.png and, for DICOM, lesions.dcm; with several series, for a "
            "folder of each.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Denoiser whose output the detector looks at, by name or path; the one in RUN if left out; none: "
            "the series as it is."
        ),
    ] = None,
    score: Annotated[float, typer.Option(help="Least score at which a box counts, 0.05 to 1.")] = 0.5,
    network_file: NetworkFile = None,
    series: Annotated[
        str | None, typer.Option(help="SeriesInstanceUID, or its end, if the input contains several series.")
    ] = None,
    pixel: Pixel = None,
    thickness: Thickness = None,
    rescale: RescaleOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Find lesions with a trained detector. For research: what it finds is no diagnosis, and it may miss lesions."""
    from lowdose import api
    from lowdose.api.detection import detect_each

    if len(sources) > 1:
        refuse_given("chooses within one input; leave it out, or give one", series=series)
    with progress("detecting") as advance:
        if len(sources) > 1:
            results = detect_each(
                sources, detector, out, model=model, score=score, network_file=network_file, pixel=pixel,
                thickness=thickness, rescale=parse_rescale(rescale), device=device, progress=advance,
            )  # fmt: skip
        else:
            found = api.detect(
                sources[0], detector, out, model=model, score=score, network_file=network_file, series=series,
                pixel=pixel, thickness=thickness, rescale=parse_rescale(rescale), device=device, progress=advance,
            )  # fmt: skip
            results = {"": found}
    for name, result in results.items():
        for line in result.lines():
            say(f"{name}: {line}" if name else line)
    say(str(out))
