"""Draw what a model does to series of every sort: input, result and difference, one PNG for each model.

    python -m experiments.zoo.contact_sheet OUT FOLDER ... [--model NAME ...] [--classical]

FOLDER: series, or folders of them. Of each series the middle slice is shown, and the one with most metal (above
2500 HU), where there is any; slices with lung a second time in a lung window. The difference is amplified five times.
Prints Markdown and writes OUT/MODEL.png and OUT/contact_sheet.json (a row for each slice and model).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.common import markdown
from experiments.zoo import contact_sheet_figure, scans, tables
from experiments.zoo.tables import Row
from lowdose.errors import LowDoseError
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.hu_bias import tissue_masks, tissue_means
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.load import LoadedModel

METAL_HU, MIN_METAL_PX = 2500.0, 20
MIN_LUNG_SHARE = 0.1
"""Share of the body that must be lung for a slice to be shown in a lung window."""


class ChosenSlice(NamedTuple):
    """A slice of a series; ``why`` is 'middle' or 'most metal'."""

    item: scans.PatientSeries
    index: int
    why: str
    slice: Slice


def choose_slices(item: scans.PatientSeries) -> Iterator[ChosenSlice]:
    """Yield the middle slice, and the one with most metal."""
    count = len(item.series.planes)
    metal = [count_metal(item.series.read(index)) for index in range(count)]
    most = int(np.argmax(metal))
    yield ChosenSlice(item, count // 2, "middle", item.series.read(count // 2))
    if metal[most] >= MIN_METAL_PX and most != count // 2:
        yield ChosenSlice(item, most, "most metal", item.series.read(most))


def count_metal(item: Slice) -> int:
    """Return the number of metal pixels."""
    return int((item.in_air > METAL_HU).sum())


def measure_change(shown: ChosenSlice, after: HU) -> Row:
    """Return the facts of the series, the noise before and after, and the mean HU change of every tissue."""
    item, series = shown.slice, shown.item.series
    acquisition, pixel = series.acquisition, item.mean_pixel_mm
    levels = [noise_level(hu, item.valid, pixel or 1.0) for hu in (item.hu, after)]
    inside = contact_sheet_figure.body(item.in_air)
    tissue = item.valid & inside
    masks = tissue_masks(item.in_air, tissue)
    means = tissue_means(item.in_air, after, item.hu, valid=tissue)
    change = {name: new - old for name, (new, old) in means.items()}
    metal = item.valid & (item.hu > METAL_HU)
    return {
        "series": shown.item.name,
        "slice": f"{shown.why}, {scans.position_text(item)}",
        "maker": acquisition.manufacturer,
        "kernel": acquisition.kernel,
        "kvp": acquisition.kvp,
        "thickness_mm": acquisition.thickness_mm,
        "matrix": item.hu.shape,
        "pixel_mm": pixel,
        "noise": [level.sd if level else None for level in levels],
        "change": change,
        "metal_px": int(metal.sum()),
        "metal_change": float(np.abs(after - item.hu)[metal].max()) if metal.any() else None,
        "lung": float(masks["lung"].sum() / inside.sum()) if "lung" in masks else 0.0,
    }


def most_changed_tissue(row: Row) -> str:
    """Return the tissue that changed most, 'bone -1.2 HU'."""
    if not row["change"]:
        return "no tissue to measure"
    tissue = max(row["change"], key=lambda name: abs(row["change"][name]))
    return f"{tissue} {row['change'][tissue]:+.2f} HU"


def noise_text(row: Row) -> str:
    """Return the noise before and after, HU."""
    return " → ".join("–" if sd is None else f"{sd:.1f}" for sd in row["noise"])


def caption(row: Row) -> str:
    """Return the caption of a strip."""
    stated = [row["maker"] or "maker not stated", f"kernel {row['kernel'] or 'not stated'}"]
    thick = "–" if row["thickness_mm"] is None else f"{row['thickness_mm']:g}"
    pixel = "–" if row["pixel_mm"] is None else f"{row['pixel_mm']:.2f}"
    size = f"{row['matrix'][1]} x {row['matrix'][0]}, {pixel} mm, {thick} mm thick"
    metal = [f"metal {row['metal_px']} px, changed ≤ {row['metal_change']:.0f} HU"] if row["metal_px"] else []
    noise = f"noise SD {noise_text(row)} HU"
    return "\n".join(
        [row["series"], row["slice"], *stated, size, noise, f"most changed: {most_changed_tissue(row)}", *metal]
    )


def draw_model(model: LoadedModel, slices: Sequence[ChosenSlice], out: Path) -> list[Row]:
    """Draw the sheet of one model and return its rows."""
    rows, strips = list[Row](), list[contact_sheet_figure.Strip]()
    for shown in slices:
        after = denoise_slice(model, shown.slice, 1.0)
        row = {"image": model.name} | measure_change(shown, after)
        rows.append(row)
        after = np.where(shown.slice.valid, after, shown.slice.in_air)
        windows = (
            [contact_sheet_figure.SOFT, contact_sheet_figure.LUNG]
            if row["lung"] >= MIN_LUNG_SHARE
            else [contact_sheet_figure.SOFT]
        )
        for window in windows:
            strips.append(
                contact_sheet_figure.Strip(caption(row), shown.slice.in_air, after, window, shown.slice.aspect)
            )
    contact_sheet_figure.draw(strips, model.name, out / f"{model.name}.png")
    return rows


HEADER = [
    "series",
    "slice",
    "maker, kernel, mm",
    "noise SD (HU)",
    "most changed tissue",
    "metal px, changed at most (HU)",
]


def table_rows(rows: Sequence[Row]) -> Iterator[list[str]]:
    """Yield the table."""
    for row in rows:
        made = f"{row['maker'] or '–'}, {row['kernel'] or '–'}, {row['thickness_mm'] or '–'}"
        metal = f"{row['metal_px']}, {row['metal_change']:.1f}" if row["metal_px"] else "–"
        yield [row["series"], row["slice"], made, noise_text(row), most_changed_tissue(row), metal]


def main() -> None:
    """Draw all sheets, write the rows and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    scans.add_model_option(parser)
    parser.add_argument("--classical", action="store_true", help="also draw sheets of the classical filters")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    models, slices, rows = scans.load_models(arguments.model, arguments.classical), list[ChosenSlice](), list[Row]()
    with ExitStack() as stack:
        for item in scans.find_series(stack, arguments.folders):
            try:
                slices += choose_slices(item)
            except LowDoseError as error:
                print(f"<!-- {error} (left out) -->")
    for model in models:
        own = draw_model(model, slices, arguments.out)
        rows += own
        print(f"\n### {model.name}: {len(own)} slices of {len(tables.distinct(own, 'series'))} series\n")
        print(markdown.table(HEADER, table_rows(own)))
    tables.save(arguments.out, "contact_sheet", {"models": {m.name: m.sha256 for m in models}}, rows)


if __name__ == "__main__":
    main()
