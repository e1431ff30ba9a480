"""``lowdose explain``: slices as the words of the language-guided autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowdose.cli.terminal import progress, say, say_all

if TYPE_CHECKING:
    import torch

    from lowdose.evaluation.words import WordReading
    from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
    from lowdose.language.explanation import Explanation
    from lowdose.language.relevance import AnatomyRelevance

INPUT = "input"
MOST_PICTURES = 4
MOST_SLICES = 12
"""Slices read when nobody asks for more: seconds of work each."""


def explain(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder, file or zip; NIfTI; NPY or NPZ in HU.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for words.json, words.csv, pictures and index.html.")],
    autoencoder: Annotated[str | None, typer.Option(help="Shipped autoencoder, or a safetensors file.")] = None,
    slices: Annotated[int, typer.Option(help="Slices to read, evenly spread; 0 = all.")] = MOST_SLICES,
    layers: Annotated[int, typer.Option(help="Layers to list: 2 are regions; 3 adds a word for every cell.")] = 2,
    series: Annotated[str | None, typer.Option(help="SeriesInstanceUID, or its end, where there are several.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Say in words what slices show: a few for each quarter and region, with where they stand and how far they are."""
    from lowdose.device import choose_device
    from lowdose.evaluation import words
    from lowdose.hounsfield import SOFT_TISSUE
    from lowdose.io.atomic import new_folder
    from lowdose.io.open_series import open_source
    from lowdose.report import overlay, words_page
    from lowdose.report import words as report

    check_slices(slices)
    where = choose_device(device)
    guided = ready_autoencoder(autoencoder, where)
    check_layers(layers, guided)
    with open_source(source, series) as opened, new_folder(out) as folder:
        say_all("skipped", opened.skipped)
        say_all("warning", opened.warnings)
        fit = relevance_of(guided, where)
        chosen = words.evenly_spread(len(opened), slices)
        shown = {chosen[place] for place in words.evenly_spread(len(chosen), MOST_PICTURES)}
        said: list[Explanation] = []
        readings: list[WordReading] = []
        entries = []
        with progress("reading words", len(chosen)) as advance:
            for done, index in enumerate(chosen, start=1):
                item = opened.read(index)
                place = words.SliceLocation("", index, item.position, item.pixel_mm, item.aspect)
                reading = words.read_words(guided, {INPUT: item.hu}, place, valid=item.valid, relevance=fit)
                entries.append(report.word_entry(reading, layers))
                said.append(reading.words[INPUT])
                if index in shown:
                    readings.append(reading)
                advance(done)
        for reading in readings:
            picture = overlay.side_by_side(reading, SOFT_TISSUE)
            (folder / f"words_{reading.index:04d}.png").write_bytes(picture)
        (folder / "words.json").write_text(report.words_json(guided, entries, opened.warnings, opened.uids))
        (folder / "words.csv").write_text(report.word_counts_csv({INPUT: said}, layers), encoding="utf-8")
        page = words_page.page(guided, readings, {INPUT: said}, SOFT_TISSUE, len(opened), opened.warnings)
        (folder / "index.html").write_text(page, encoding="utf-8")
    for line in lines({INPUT: said}):
        say(line)
    say(f"{len(chosen)} of {len(opened)} slices\n{out / 'index.html'}")


def check_slices(slices: int) -> None:
    """Raises InvalidSetting for a negative number."""
    from lowdose.errors import InvalidSetting

    if slices < 0:
        raise InvalidSetting(f"{slices} slices to read: give a number from 1, or 0 for all")


def check_layers(layers: int, guided: LanguageGuidedAutoencoder) -> None:
    """Raises InvalidSetting for layers that the pyramid does not have."""
    from lowdose.errors import InvalidSetting

    most = len(guided.autoencoder.quantiser.parts)
    if not 1 <= layers <= most:
        raise InvalidSetting(f"--layers {layers}: this autoencoder has layers 1 to {most}")


def ready_autoencoder(name: str | None, device: torch.device) -> LanguageGuidedAutoencoder:
    """The autoencoder by name or path, or the shipped one. Raises InvalidSetting for one without words."""
    from lowdose.language import autoencoder_file, explanation

    found = autoencoder_file.load_autoencoder(name or autoencoder_file.DEFAULT, device)
    explanation.vocabulary_of(found)
    return found


def relevance_of(guided: LanguageGuidedAutoencoder, device: torch.device) -> AnatomyRelevance | None:
    """What scores its words; None where the vocabulary has none of the words that the shipped table knows."""
    from lowdose.errors import InvalidSetting
    from lowdose.language import explanation
    from lowdose.language.relevance import AnatomyRelevance
    from lowdose.networks import anatomy

    try:
        return AnatomyRelevance(anatomy.load_anatomy().to(device), explanation.vocabulary_of(guided))
    except InvalidSetting:
        return None


def lines(said: dict[str, list[Explanation]], most: int = 8) -> list[str]:
    """The most frequent words of layers 1 and 2 of every version, for the terminal."""
    from lowdose.language import explanation

    found = []
    for name, explanations in said.items():
        counts = explanation.frequencies(explanations)
        for layer in (1, 2):
            words = [count.word for count in counts if count.layer == layer][:most]
            if words:
                found.append(f"{name:>16}  layer {layer}: {', '.join(words)}")
    return found
