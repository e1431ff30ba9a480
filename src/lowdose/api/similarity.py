"""Maps of similarity or attention: the function behind ``lowdose explain --similarity``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from lowdose.api.checks import MAX_SLICES, check_slices, check_whole_numbers, free_folder, path_of
from lowdose.api.html import picture
from lowdose.api.messages import Progress, no_progress
from lowdose.api.reading import Input, Spacing, check_given, open_input, stated_sizes
from lowdose.device import choose_device
from lowdose.evaluation.similarity import SimilarityReading, read_attention, read_similarity
from lowdose.evaluation.words import evenly_spread
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import Slice
from lowdose.io.atomic import new_folder
from lowdose.logger import log_lines
from lowdose.networks.anatomy_discriminator import ARTEFACT, LoadedDiscriminator, load_discriminator
from lowdose.networks.mac_net import load_mac_net
from lowdose.report import similarity as report


@dataclass(frozen=True)
class SimilarPlaces:
    """Slices of a series with the places that a network takes for similar to a few of them, or looks at from there.

    Attributes
    ----------
    slices : int
        Slices of the series, of which ``readings`` holds some.
    readings : sequence of SimilarityReading
        Places of each slice that was read, with their maps.
    warnings : tuple of str
        What is odd about the series.
    kind : {"similarity", "attention"}
        What the maps show.
    """

    slices: int
    readings: Sequence[SimilarityReading] = field(repr=False)
    warnings: tuple[str, ...]
    kind: str
    _run: str = field(repr=False)

    def save(self, out: str | PathLike[str]) -> Path:
        """Write index.html and a picture of each slice into a new folder.

        Raises OutputRefused when the folder exists or cannot be written.
        """
        with new_folder(path_of(out, "out")) as folder:
            drawn = [report.picture(reading, SOFT_TISSUE, self._shown) for reading in self.readings]
            for reading, one in zip(self.readings, drawn, strict=True):
                (folder / f"{self.kind}_{reading.index + 1:04d}.png").write_bytes(one)
            page = report.page(self.readings, drawn, self._shown, self._run, self.slices, self.warnings)
            (folder / "index.html").write_text(page, encoding="utf-8")
        return Path(out)

    def to_dict(self) -> dict[str, Any]:
        """Return the places of every slice that was read, without their maps."""
        read = [
            {
                "slice": reading.index,
                "places": [{"tissue": q.tissue, "row": q.row, "column": q.column} for q in reading.queries],
            }
            for reading in self.readings
        ]
        return {"kind": self.kind, "slices": self.slices, "read": read, "warnings": list(self.warnings)}

    def _repr_html_(self) -> str:
        """Show the middle slice that was read, for notebooks."""
        middle = self.readings[len(self.readings) // 2]
        return picture(report.picture(middle, SOFT_TISSUE, self._shown), f"{self.kind} of places of a slice")

    @property
    def _shown(self) -> report.Kind:
        return report.SIMILARITY if self.kind == report.SIMILARITY.name else report.ATTENTION


def similar_places(
    source: Input,
    run: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    slices: int = MAX_SLICES,
    series: str | None = None,
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> SimilarPlaces:
    """Show what a training's network takes for similar to three places of each slice, or looks at from there.

    The MAC-Net of ASCON tells what is similar; the discriminator of ALDEN, where it looks to judge a place.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        See `read`.
    run : str or Path
        Folder of a training with the recipe ``ascon`` or ``alden``, or its mac_net.safetensors or
        discriminator.safetensors.
    out : str or Path, optional
        New folder for pictures and a page; ``save`` of the result writes the same.
    slices : int
        Slices to read, evenly spread; 0 = all.
    series, spacing, pixel, thickness
        See `read`.
    device : {"auto", "cpu", "cuda"}
        Where the network runs.
    progress : callable
        Called with (slices done, slices).

    Returns
    -------
    SimilarPlaces
        Can be saved, shown in a notebook, and turned into a dict.

    Raises
    ------
    LowDoseError
        Any of `lowdose.errors`.

    Examples
    --------
    >>> import lowdose
    >>> lowdose.similar_places("SERIES", "ASCON").save("SIMILAR")  # doctest: +SKIP
    """
    check_whole_numbers(slices=slices)
    check_slices(slices)
    sizes = stated_sizes(pixel, thickness)
    check_given(source, series, spacing)
    target = free_folder(out)
    folder = path_of(run, "run")
    kind, read = _reader(folder, choose_device(device))
    with open_input(source, series, spacing, sizes) as opened:
        log_lines(logging.INFO, opened.skipped, "skipped: ")
        log_lines(logging.WARNING, opened.warnings)
        chosen, readings = evenly_spread(len(opened), slices), list[SimilarityReading]()
        for index in chosen:
            readings.append(read(opened.read(index), index))
            progress(len(readings), len(chosen))
        result = SimilarPlaces(len(opened), readings, tuple(opened.warnings), kind, folder.resolve().name)
    if target is not None:
        result.save(target)
    return result


def _reader(run: Path, device: torch.device) -> tuple[str, Callable[[Slice, int], SimilarityReading]]:
    """Return what the network of a run shows, and how a slice is read with it."""
    file = run / f"{ARTEFACT}.safetensors" if run.is_dir() else run
    if file.stem == ARTEFACT and file.is_file():
        loaded = load_discriminator(file)
        moved = LoadedDiscriminator(loaded.discriminator.to(device), loaded.features.to(device))
        return report.ATTENTION.name, partial(read_attention, moved)
    return report.SIMILARITY.name, partial(read_similarity, load_mac_net(run).to(device))
