"""What `detect` returns: the lesions of a series, and the files that tell of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api.checks import path_of
from lowdose.api.html import picture
from lowdose.infer.lesions import DetectedLesion
from lowdose.io.atomic import new_folder
from lowdose.io.messages import counted
from lowdose.report.lesions import lesion_entry, lesion_line, lesion_sheet

TABLE, SHEET, DOCUMENT = "lesions.json", "lesions.png", "lesions.dcm"
MAX_LINES = 12
"""Lesions that ``lines`` lists."""


@dataclass(frozen=True)
class DetectedLesions:
    """Lesions that a detector found in a series.

    Attributes
    ----------
    lesions : tuple of DetectedLesion
        Best first; empty where the detector sees nothing.
    slices : int
        Number of slices of the series.
    model : str or None
        Denoiser through which the detector saw the series; None where it saw the series as it is.
    least_score : float
        Score from which a box counts.
    warnings : tuple of str
        What is odd about the series, or with the denoiser on it, and what could not be written.
    """

    lesions: tuple[DetectedLesion, ...]
    slices: int
    model: str | None
    least_score: float
    warnings: tuple[str, ...]
    _made_with: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _document: bytes | None = field(default=None, repr=False)

    def save(self, out: str | PathLike[str]) -> Path:
        """Write lesions.json, lesions.png and, of a DICOM series, lesions.dcm into a new folder.

        Raises OutputRefused when the folder exists or cannot be written.
        """
        with new_folder(path_of(out, "out")) as folder:
            self.write_files(folder)
        return Path(out)

    def write_files(self, folder: Path) -> None:
        """Write the files into a folder that is there."""
        (folder / TABLE).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        (folder / SHEET).write_bytes(self._sheet())
        if self._document is not None:
            (folder / DOCUMENT).write_bytes(self._document)

    def to_dict(self) -> dict[str, Any]:
        """Return what lesions.json holds (docs/lesions.md)."""
        return {
            **self._made_with,
            "least_score": self.least_score,
            "slices": self.slices,
            "lesions": [lesion_entry(number, each) for number, each in enumerate(self.lesions, start=1)],
            "warnings": list(self.warnings),
            "use": "research use only, not a medical device",
        }

    def lines(self) -> list[str]:
        """Return what was found as text: a line for each of the best lesions."""
        if not self.lesions:
            return [f"no lesion in {counted(self.slices, 'slice')} with a score of at least {self.least_score:g}"]
        lines = [lesion_line(number, each) for number, each in enumerate(self.lesions[:MAX_LINES], start=1)]
        more = len(self.lesions) - len(lines)
        return lines + [f"and {more} more with lower scores"] * bool(more)

    def _sheet(self) -> bytes:
        return lesion_sheet(self.lesions, self.slices, self.least_score)

    def _repr_html_(self) -> str:
        """Show the lesions, for notebooks."""
        found = f"{counted(len(self.lesions), 'lesion')} in {counted(self.slices, 'slice')}"
        caption = f"{found}; a research algorithm, not a medical device"
        return f"<figure>{picture(self._sheet(), caption)}<figcaption>{caption}</figcaption></figure>"
