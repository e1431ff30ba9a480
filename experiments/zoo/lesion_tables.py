"""Markdown tables of the rows that ``lesions`` measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.common import markdown
from experiments.zoo import tables
from experiments.zoo.tables import Row

FULL, LOW = "full dose", "quarter dose"
WELL_KEPT = 0.9

Kind = tuple[str, str, float]
"""Organ, contrast and diameter in mm."""


def contrast_row(name: str, rows: Sequence[Row]) -> list[str]:
    """Return the cells on one group of lesions: count, contrast kept, its quantile, contrast to noise."""
    values = np.array([row["kept"] for row in rows])
    return [
        name,
        f"{len(values)} ({len(tables.distinct(rows, 'patient'))})",
        markdown.summary_cell(tables.column_mean(rows, "kept"), 2),
        f"{np.quantile(values, 0.05):.2f}",
        f"{100 * (values >= WELL_KEPT).mean():.0f} %",
        f"{np.median([row['cnr'] for row in rows]):.2f}",
    ]


KEPT_HEADER = ["lesions (patients)", "contrast kept", "5 % quantile", "90 % or more kept", "contrast to noise, median"]


def contrast_summary(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a table for each organ, real and digital slices apart: every image over all sizes and contrasts."""
    for organ in tables.distinct(rows, "organ"):
        for group in tables.distinct(rows, "group"):
            own = [row for row in rows if (row["organ"], row["group"]) == (organ, group)]
            lines = [
                contrast_row(image, [row for row in own if row["image"] == image])
                for image in tables.distinct(own, "image")
            ]
            if own:
                yield f"\n### Lesions of the {organ}, {group}: all sizes and contrasts\n"
                yield markdown.table(["image", *KEPT_HEADER], lines)


def contrast_by_kind(rows: Sequence[Row], trained: Sequence[str]) -> Iterator[str]:
    """Yield tables by size and contrast, real and digital slices together: all images, then each model alone."""
    kinds = sorted({_kind_of(row) for row in rows}, key=lambda kind: (kind[0], kind[1], kind[2]))
    images = [image for image in tables.distinct(rows, "image") if image not in (FULL, LOW)]
    own = {
        (image, kind): [r for r in rows if r["image"] == image and _kind_of(r) == kind]
        for image, kind in _images_and_kinds(rows)
    }
    yield "\n### Contrast kept by size and contrast: mean (5 % quantile)\n"
    lines = ([_kind_text(kind), *(_mean_and_quantile(own[image, kind]) for image in images)] for kind in kinds)
    yield markdown.table(["lesion", *images], lines)
    for image in trained:
        lines = []
        for kind in kinds:
            line = contrast_row(_kind_text(kind), own[image, kind])
            before = np.median([row["cnr"] for row in own[LOW, kind]])
            lines.append([*line[:-1], f"{before:.2f} → {line[-1]}"])
        yield f"\n### {image}: contrast kept by size and contrast\n"
        yield markdown.table(["lesion", *KEPT_HEADER], lines)


def _images_and_kinds(rows: Sequence[Row]) -> list[tuple[str, Kind]]:
    return list(dict.fromkeys((row["image"], _kind_of(row)) for row in rows))


def _kind_text(kind: Kind) -> str:
    return f"{kind[0]}, {kind[1]}, {kind[2]:g} mm"


def _mean_and_quantile(rows: Sequence[Row]) -> str:
    values = [row["kept"] for row in rows]
    return f"{np.mean(values):.2f} ({np.quantile(values, 0.05):.2f})"


def _kind_of(row: Row) -> Kind:
    return row["organ"], row["contrast"], row["diameter_mm"]


def false_blobs(rows: Sequence[Row]) -> Iterator[str]:
    """Yield tables of disc responses, HU: mean over slices and worst slice.

    Their last columns count the slices in which an image stays below the responses of quarter and full dose.
    """
    for group in tables.distinct(rows, "group"):
        for disc in tables.distinct(rows, "disc_mm"):
            own = [row for row in rows if (row["group"], row["disc_mm"]) == (group, disc)]
            bounds = {(row["slice"], row["image"]): row["largest"] for row in own if row["image"] in (FULL, LOW)}
            if not own:
                continue
            count = tables.count_text(own)
            yield f"\n### Liver without lesions, {group}: response to a {disc:g} mm disc (HU), {count}\n"
            yield markdown.table(
                BLOB_HEADER, (_blob_row(image, own, bounds) for image in tables.distinct(own, "image"))
            )


BLOB_HEADER = [
    "image", "largest, mean (worst)", "SD", "rise over quarter dose, worst", "off the truth, worst",
    "below full + quarter", "below quarter",
]  # fmt: skip


def _blob_row(image: str, rows: Sequence[Row], bounds: dict[tuple[str, str], float]) -> list[str]:
    """Return the row of one image; ``bounds`` holds the largest response by slice and image."""
    own = [row for row in rows if row["image"] == image]
    column = {key: np.array([row[key] for row in own]) for key in ("largest", "sd", "rise", "error")}
    low = np.array([bounds[row["slice"], LOW] for row in own])
    full = np.array([bounds[row["slice"], FULL] for row in own])
    return [
        image,
        f"{column['largest'].mean():.1f} ({column['largest'].max():.1f})",
        f"{column['sd'].mean():.1f}",
        f"{column['rise'].max():+.1f}" if image != LOW else "–",
        f"{column['error'].max():.1f}" if column["error"].max() else "–",
        f"{(column['largest'] <= full + low).sum()} of {len(own)}",
        f"{(column['largest'] <= low).sum()} of {len(own)}",
    ]
