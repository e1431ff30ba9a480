"""What ``lesions.py`` found, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tables
from tables import Row

FULL, LOW = "full dose", "quarter dose"
ENOUGH = 0.9

Kind = tuple[str, str, float]
"""Organ, contrast and size."""


def kept_line(name: str, rows: Sequence[Row]) -> list[str]:
    values = np.array([row["kept"] for row in rows])
    return [
        name,
        f"{len(values)} ({len(tables.distinct(rows, 'patient'))})",
        tables.cell(tables.mean(rows, "kept"), 2),
        f"{np.quantile(values, 0.05):.2f}",
        f"{100 * (values >= ENOUGH).mean():.0f} %",
        f"{np.median([row['cnr'] for row in rows]):.2f}",
    ]


KEPT = ["lesions (patients)", "contrast kept", "5 % quantile", "90 % or more kept", "contrast to noise, median"]


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Every image over all sizes and contrasts of an organ; its real and its digital slices by themselves."""
    for organ in tables.distinct(rows, "organ"):
        for group in tables.distinct(rows, "group"):
            own = [row for row in rows if (row["organ"], row["group"]) == (organ, group)]
            lines = [
                kept_line(image, [row for row in own if row["image"] == image])
                for image in tables.distinct(own, "image")
            ]
            if own:
                yield f"\n### Lesions of the {organ}, {group}: all sizes and contrasts\n"
                yield tables.table(["image", *KEPT], lines)


def by_kind(rows: Sequence[Row], trained: Sequence[str]) -> Iterator[str]:
    """Every size and contrast, real and digital together: all images side by side, then each model by itself."""
    kinds = sorted({_kind(row) for row in rows}, key=lambda kind: (kind[0], kind[1], kind[2]))
    images = [image for image in tables.distinct(rows, "image") if image not in (FULL, LOW)]
    own = {(image, kind): [r for r in rows if r["image"] == image and _kind(r) == kind] for image, kind in _all(rows)}
    yield "\n### Contrast kept by size and contrast: mean (5 % quantile)\n"
    lines = ([_named(kind), *(_short(own[image, kind]) for image in images)] for kind in kinds)
    yield tables.table(["lesion", *images], lines)
    for image in trained:
        lines = []
        for kind in kinds:
            line = kept_line(_named(kind), own[image, kind])
            before = np.median([row["cnr"] for row in own[LOW, kind]])
            lines.append([*line[:-1], f"{before:.2f} → {line[-1]}"])
        yield f"\n### {image}: contrast kept by size and contrast\n"
        yield tables.table(["lesion", *KEPT], lines)


def _all(rows: Sequence[Row]) -> list[tuple[str, Kind]]:
    return list(dict.fromkeys((row["image"], _kind(row)) for row in rows))


def _named(kind: Kind) -> str:
    return f"{kind[0]}, {kind[1]}, {kind[2]:g} mm"


def _short(rows: Sequence[Row]) -> str:
    values = [row["kept"] for row in rows]
    return f"{np.mean(values):.2f} ({np.quantile(values, 0.05):.2f})"


def _kind(row: Row) -> Kind:
    return row["organ"], row["contrast"], row["diameter_mm"]


def blobs(rows: Sequence[Row]) -> Iterator[str]:
    """Responses in HU: mean over slices and the worst slice; in how many slices an image stays below its bounds."""
    for group in tables.distinct(rows, "group"):
        for disc in tables.distinct(rows, "disc_mm"):
            own = [row for row in rows if (row["group"], row["disc_mm"]) == (group, disc)]
            bounds = {(row["slice"], row["image"]): row["largest"] for row in own if row["image"] in (FULL, LOW)}
            if not own:
                continue
            yield f"\n### Liver without lesions, {group}: response to a {disc:g} mm disc (HU), {tables.counted(own)}\n"
            yield tables.table(BLOBS, (_blob_line(image, own, bounds) for image in tables.distinct(own, "image")))


BLOBS = [
    "image", "largest, mean (worst)", "SD", "rise over quarter dose, worst", "off the truth, worst",
    "below full + quarter", "below quarter",
]  # fmt: skip


def _blob_line(image: str, rows: Sequence[Row], bounds: dict[tuple[str, str], float]) -> list[str]:
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
