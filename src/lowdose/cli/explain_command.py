"""``lowdose explain``: slices as the words of the language-guided autoencoder, or as what a MAC-Net finds similar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.terminal import Pixel, Thickness, WordVocabulary, progress, refuse_given, say
from lowdose.io.messages import counted


def explain(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder, file, zip or tar; NIfTI; NPY or NPZ in HU.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="New folder for words.json, words.csv, pictures and index.html.")
    ],
    autoencoder: Annotated[str | None, typer.Option(help="Shipped autoencoder, or a safetensors file.")] = None,
    slices: Annotated[int, typer.Option(help="Number of slices to read, evenly spread; 0 = all.")] = 12,
    layers: Annotated[
        int | None,
        typer.Option(help="How fine: 2 for words of regions (the default); 3 adds a word for every cell of a grid."),
    ] = None,
    vocabulary: WordVocabulary = None,
    similarity: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Instead of words, what a network of a training looks at: of ascon, what it takes for similar to "
            "three places; of alden, where its discriminator looks. Folder of that training.",
        ),
    ] = None,
    series: Annotated[
        str | None, typer.Option(help="SeriesInstanceUID, or its end, if the input contains several series.")
    ] = None,
    pixel: Pixel = None,
    thickness: Thickness = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Describe slices in words: those of each quarter and region of a slice, and how near to the image they are."""
    from lowdose import api

    page = out / "index.html"
    if similarity is not None:
        way_out = "chooses words, and --similarity shows none; leave it out"
        refuse_given(way_out, autoencoder=autoencoder, layers=layers, vocabulary=vocabulary)
        with progress("comparing places") as advance:
            found = api.similar_places(
                source, similarity, out, slices=slices, series=series, pixel=pixel, thickness=thickness, device=device,
                progress=advance,
            )  # fmt: skip
        say(f"{len(found.readings)} of {counted(found.slices, 'slice')}\n{page}")
        return
    with progress("reading words") as advance:
        result = api.explain(
            source, out, autoencoder=autoencoder, slices=slices, layers=2 if layers is None else layers,
            vocabulary=vocabulary or "shown", series=series, pixel=pixel, thickness=thickness, device=device,
            progress=advance,
        )  # fmt: skip
    for line in result.lines():
        say(line)
    say(f"{len(result.explanations)} of {counted(result.slices, 'slice')}\n{page}")
