"""``lowdose explain``: slices as the words of the language-guided autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.terminal import Pixel, Thickness, WordVocabulary, progress, say


def explain(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder, file, zip or tar; NIfTI; NPY or NPZ in HU.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="New folder for words.json, words.csv, pictures and index.html.")
    ],
    autoencoder: Annotated[str | None, typer.Option(help="Shipped autoencoder, or a safetensors file.")] = None,
    slices: Annotated[int, typer.Option(help="Slices to read, evenly spread; 0 = all.")] = 12,
    layers: Annotated[int, typer.Option(help="Token layers to list: 2 for regions; 3 adds a word for every cell.")] = 2,
    vocabulary: WordVocabulary = None,
    series: Annotated[
        str | None, typer.Option(help="SeriesInstanceUID, or its end, if the input contains several series.")
    ] = None,
    pixel: Pixel = None,
    thickness: Thickness = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Explain slices in words: words of each quadrant and region, with their position and distance."""
    from lowdose import api

    with progress("reading words") as advance:
        result = api.explain(
            source, out, autoencoder=autoencoder, slices=slices, layers=layers, vocabulary=vocabulary or "shown",
            series=series, pixel=pixel, thickness=thickness, device=device, progress=advance,
        )  # fmt: skip
    for line in result.lines():
        say(line)
    say(f"{len(result.explanations)} of {result.slices} slices\n{out / 'index.html'}")
