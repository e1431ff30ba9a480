"""Findings as a file states them, before it is known which slices of which series they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from lowdose.boxes import Box
from lowdose.image import Mask
from lowdose.io.source import Plane


@dataclass(frozen=True)
class SliceName:
    """What a file of findings says of the slice that it marks; empty or None = not stated.

    Attributes
    ----------
    sop_uid : str
        SOPInstanceUID of the image.
    frame : int or None
        Number of the frame in that image, from 0.
    series_uid : str
        SeriesInstanceUID.
    file : str
        Name of the image file of this slice, with or without folders and ending.
    index, count : int or None
        Number of the slice in a stack, from 0, and how many slices the stack has.
    plane : Plane or None
        Where the slice lies.
    """

    sop_uid: str = ""
    frame: int | None = None
    series_uid: str = ""
    file: str = ""
    index: int | None = None
    count: int | None = None
    plane: Plane | None = None


@dataclass(frozen=True)
class Part:
    """A connected part of a finding in the pixels of a slice.

    Attributes
    ----------
    box : Box
        Edges in pixels.
    inside : (h, w) array of bool, or None
        Which pixels of the box belong to the finding, where the file states an outline; the box then has whole numbers
        for edges.
    """

    box: Box
    inside: Mask | None = None

    def mask(self, shape: tuple[int, int]) -> Mask:
        """Return its pixels in a slice of this shape: all that the box touches where there is no outline.

        >>> Part((1.0, 0.0, 2.0, 2.0), np.array([[True, False]])).mask((2, 3)).astype(int).tolist()
        [[0, 0, 0], [1, 0, 0]]
        """
        result = np.zeros(shape, bool)
        top, left = (int(np.floor(edge)) for edge in self.box[:2])
        bottom, right = (int(np.ceil(edge)) for edge in self.box[2:])
        result[top:bottom, left:right] = True if self.inside is None else self.inside
        return result


class Region(Protocol):
    """What is marked in one slice."""

    def on(self, plane: Plane) -> list[Part]:
        """Return the connected parts in the pixels of a slice. Raises GeometryMismatch when it does not fit."""
        ...


@dataclass(frozen=True)
class Mark:
    """What a file marks as a finding in one slice.

    Attributes
    ----------
    slice : SliceName
        Which slice.
    region : Region
        What in it.
    """

    slice: SliceName
    region: Region


@dataclass(frozen=True)
class Finding:
    """One lesion.

    Attributes
    ----------
    label : str
        What it is, in the words of the file.
    marks : tuple of Mark
        Where it is seen.
    path : Path
        The file that states it.
    """

    label: str
    marks: tuple[Mark, ...]
    path: Path


class LeftOut(NamedTuple):
    """What was left out of a file or folder of findings, and why; ``str`` gives both as one line."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason} (left out)"


@dataclass(frozen=True)
class Findings:
    """What a file or folder of findings holds.

    Attributes
    ----------
    path : Path
        The file or folder.
    findings : list of Finding
        All findings.
    left_out : list of LeftOut
        What is in the files and no finding.
    """

    path: Path
    findings: list[Finding]
    left_out: list[LeftOut]


@dataclass(frozen=True)
class PlacedFinding:
    """One lesion in the slices of a series.

    Attributes
    ----------
    label : str
        What it is, in the words of the file.
    parts : list of (int, Part)
        Index of the slice in the series, and a part of the lesion there; a slice may show several.
    """

    label: str
    parts: Sequence[tuple[int, Part]]
