"""What a model does to series of every sort, at a glance: input, result and difference, one PNG a model.

    python benchmarks/zoo/contact_sheet.py OUT [--model NAME ...] [--classical] FOLDER ...

FOLDER: series, or folders of them. Of each series the middle slice is shown, and the one with most metal (above
2500 HU), where there is any; slices with lung a second time in a lung window. The difference is five times enhanced.
Prints Markdown, writes OUT/MODEL.png and OUT/contact_sheet.json (a row a slice and model).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scans
import sheet
import tables
from tables import Row

from lowdose.errors import LowDoseError
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.hu_bias import tissue_masks, tissue_means
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.load import LoadedModel

METAL_HU, LEAST_METAL_PX = 2500.0, 20
LEAST_LUNG = 0.1
"""Of the body, for the slice to be shown in a lung window."""


class Chosen(NamedTuple):
    """A slice of a series; why: 'middle' or 'metal'."""

    item: scans.Found
    index: int
    why: str
    slice: Slice


def chosen(item: scans.Found) -> Iterator[Chosen]:
    """The middle slice, and the one with most metal."""
    count = len(item.series.planes)
    metal = [metal_in(item.series.read(index)) for index in range(count)]
    most = int(np.argmax(metal))
    yield Chosen(item, count // 2, "middle", item.series.read(count // 2))
    if metal[most] >= LEAST_METAL_PX and most != count // 2:
        yield Chosen(item, most, "most metal", item.series.read(most))


def metal_in(item: Slice) -> int:
    return int((item.in_air > METAL_HU).sum())


def measured(shown: Chosen, after: HU) -> Row:
    """What a row states: the series' facts, noise before and after, and the mean HU change of every tissue."""
    item, series = shown.slice, shown.item.series
    made, pixel = series.acquisition, item.mean_pixel_mm
    levels = [noise_level(hu, item.valid, pixel or 1.0) for hu in (item.hu, after)]
    inside = sheet.body(item.in_air)
    tissue = item.valid & inside
    masks = tissue_masks(item.in_air, tissue)
    means = tissue_means(item.in_air, after, item.hu, valid=tissue)
    change = {name: new - old for name, (new, old) in means.items()}
    metal = item.valid & (item.hu > METAL_HU)
    return {
        "series": shown.item.name,
        "slice": f"{shown.why}, {scans.at(item)}",
        "maker": made.manufacturer,
        "kernel": made.kernel,
        "kvp": made.kvp,
        "thickness_mm": made.thickness_mm,
        "matrix": item.hu.shape,
        "pixel_mm": pixel,
        "noise": [level.sd if level else None for level in levels],
        "change": change,
        "metal_px": int(metal.sum()),
        "metal_change": float(np.abs(after - item.hu)[metal].max()) if metal.any() else None,
        "lung": float(masks["lung"].sum() / inside.sum()) if "lung" in masks else 0.0,
    }


def worst(row: Row) -> str:
    """'bone -1.2 HU': the tissue that changed most."""
    if not row["change"]:
        return "no tissue to measure"
    tissue = max(row["change"], key=lambda name: abs(row["change"][name]))
    return f"{tissue} {row['change'][tissue]:+.2f} HU"


def noise_text(row: Row) -> str:
    return " → ".join("–" if sd is None else f"{sd:.1f}" for sd in row["noise"])


def caption(row: Row) -> str:
    stated = [row["maker"] or "maker not stated", f"kernel {row['kernel'] or 'not stated'}"]
    thick = "–" if row["thickness_mm"] is None else f"{row['thickness_mm']:g}"
    pixel = "–" if row["pixel_mm"] is None else f"{row['pixel_mm']:.2f}"
    size = f"{row['matrix'][1]} x {row['matrix'][0]}, {pixel} mm, {thick} mm thick"
    metal = [f"metal {row['metal_px']} px, changed ≤ {row['metal_change']:.0f} HU"] if row["metal_px"] else []
    noise = f"noise SD {noise_text(row)} HU"
    return "\n".join([row["series"], row["slice"], *stated, size, noise, f"most changed: {worst(row)}", *metal])


def of_model(model: LoadedModel, slices: Sequence[Chosen], out: Path) -> list[Row]:
    """Rows of one model; draws its sheet."""
    rows, strips = list[Row](), list[sheet.Strip]()
    for shown in slices:
        after = denoise_slice(model, shown.slice, 1.0)
        row = {"image": model.name} | measured(shown, after)
        rows.append(row)
        after = np.where(shown.slice.valid, after, shown.slice.in_air)
        windows = [sheet.SOFT, sheet.LUNG] if row["lung"] >= LEAST_LUNG else [sheet.SOFT]
        for window in windows:
            strips.append(sheet.Strip(caption(row), shown.slice.in_air, after, window, shown.slice.aspect))
    sheet.draw(strips, model.name, out / f"{model.name}.png")
    return rows


HEADS = [
    "series",
    "slice",
    "maker, kernel, mm",
    "noise SD (HU)",
    "most changed tissue",
    "metal px, changed at most (HU)",
]


def lines(rows: Sequence[Row]) -> Iterator[list[str]]:
    for row in rows:
        made = f"{row['maker'] or '–'}, {row['kernel'] or '–'}, {row['thickness_mm'] or '–'}"
        metal = f"{row['metal_px']}, {row['metal_change']:.1f}" if row["metal_px"] else "–"
        yield [row["series"], row["slice"], made, noise_text(row), worst(row), metal]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    scans.add_models(parser)
    parser.add_argument("--classical", action="store_true", help="sheets of the classical filters, too")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    models, slices, rows = scans.ready(asked.model, asked.classical), list[Chosen](), list[Row]()
    with ExitStack() as stack:
        for item in scans.below(stack, asked.folders):
            try:
                slices += chosen(item)
            except LowDoseError as error:
                print(f"<!-- {error} (left out) -->")
    for model in models:
        own = of_model(model, slices, asked.out)
        rows += own
        print(f"\n### {model.name}: {len(own)} slices of {len(tables.distinct(own, 'series'))} series\n")
        print(tables.table(HEADS, lines(own)))
    tables.save(asked.out, "contact_sheet", {"models": {m.name: m.sha256 for m in models}}, rows)


if __name__ == "__main__":
    main()
