"""What an evaluation returns: tables, the page, and a summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api import html
from lowdose.api.checks import path_of
from lowdose.evaluation.images import ImageEvaluation
from lowdose.evaluation.lesion_table import MEASURES, LesionEvaluation
from lowdose.evaluation.organs import OrganEvaluation
from lowdose.evaluation.teacher import TeacherReport
from lowdose.evaluation.words import WordReading
from lowdose.io.atomic import new_folder
from lowdose.io.messages import counted
from lowdose.report.summary import FIDELITY

SUMMARIES = ("summary.json", "teacher.json")


@dataclass(frozen=True)
class EvaluationReport:
    """Measurements of low dose and of each model against full dose.

    Attributes
    ----------
    task : {"images", "organs", "lesions", "teacher"}
        What was measured.
    result : ImageEvaluation, OrganEvaluation, LesionEvaluation or TeacherReport
        Every number, with methods that summarise them.
    slices, series : int
        How much was measured.
    files : mapping
        Name -> content of what ``save`` writes.
    """

    task: str
    result: ImageEvaluation | OrganEvaluation | LesionEvaluation | TeacherReport = field(repr=False)
    slices: int
    series: int
    files: dict[str, str] = field(repr=False)
    _readings: Sequence[WordReading] = field(default=(), repr=False)

    def save(self, out: str | PathLike[str]) -> Path:
        """Write table.csv, summary.json, index.html and, with words, words.json into a new folder; or teacher.json.

        Raises OutputRefused when the folder exists or cannot be written.
        """
        with new_folder(path_of(out, "out")) as folder:
            self.write_files(folder)
        return Path(out)

    def write_files(self, folder: Path) -> None:
        """Write what ``save`` writes into a folder that exists."""
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Return the content of summary.json or teacher.json: definitions, checksums, means with intervals."""
        content: dict[str, Any] = json.loads(next(text for name, text in self.files.items() if name in SUMMARIES))
        return content

    @property
    def readings(self) -> Sequence[WordReading]:
        """Words of the slices shown, where they were asked for."""
        return self._readings

    def table(self) -> list[dict[str, Any]]:
        """Return one row an image with the means of its metrics, for a data frame."""
        if isinstance(self.result, ImageEvaluation):
            return _image_rows(self.result)
        if isinstance(self.result, TeacherReport):
            return _teacher_rows(self.result)
        if isinstance(self.result, LesionEvaluation):
            return _lesion_rows(self.result)
        return _organ_rows(self.result)

    def _repr_html_(self) -> str:
        """Show the table of means, for notebooks."""
        rows = self.table()
        columns = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[_cell(row.get(column)) for column in columns] for row in rows]
        header = [self._heading(column) for column in columns]
        means = f"Means of {counted(self.slices, 'slice')}, {self.series} series."
        return html.table(header, cells) + f"<p>{means} {self._note()}</p>"

    def _heading(self, column: str) -> str:
        if isinstance(self.result, ImageEvaluation) and column in FIDELITY:
            return self.result.profile.heading(column)
        return column

    def _note(self) -> str:
        if isinstance(self.result, ImageEvaluation):
            return f"Profile {self.result.profile.name}, {self.result.profile.window}."
        if isinstance(self.result, TeacherReport):
            return "B: share of the effect of noise that is systematic; D: distance of two realisations of it."
        if isinstance(self.result, LesionEvaluation):
            return "Of the region of each lesion, and of whole slices; texture as at full dose is best."
        return "Mean of Dice and of HD95 (mm) over the organs; Dice of each organ."


def _teacher_rows(result: TeacherReport) -> list[dict[str, Any]]:
    """Return one row for the latents and one for the embeddings of the tokens."""
    columns = ("systematic_share", "noise_distance_ratio", "locality")
    return [
        {"features": name, **{column: getattr(result, prefix + column) for column in columns}}
        for name, prefix in (("latents", ""), ("tokens", "token_"))
    ]


def _image_rows(result: ImageEvaluation) -> list[dict[str, Any]]:
    rows = []
    for image in result.images[:-1]:
        means = {metric: result.summary(metric, image) for metric in FIDELITY}
        rows.append({"image": image, **{metric: mean.mean for metric, mean in means.items() if mean is not None}})
    return rows


def _lesion_rows(result: LesionEvaluation) -> list[dict[str, Any]]:
    """Return one row an image with AP-50, AP-75 and the means of all measures."""
    rows = []
    for image in result.images:
        figures = {} if result.figures is None else result.figures.values[image]
        found = {name: figures[name].value for name in ("ap50", "ap75") if name in figures}
        means = {name: result.summary(image, name) for name in MEASURES}
        rows.append({"image": image, **found, **{name: mean.mean for name, mean in means.items() if mean is not None}})
    return rows


def _organ_rows(result: OrganEvaluation) -> list[dict[str, Any]]:
    rows = []
    for image in result.images:
        measured = {name: result.summary(image, None, name) for name in ("dice", "hd95_mm")}
        if measured["dice"] is not None:
            measured |= {organ: result.summary(image, organ) for organ in result.organs_compared()}
            rows.append({"image": image, **{name: mean.mean for name, mean in measured.items() if mean is not None}})
    return rows


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
