"""Lesions that were found, as JSON and as a sheet of pictures. They hold no patient data but pixels and UIDs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lowdose.hounsfield import LUNG, SOFT_TISSUE, window_for
from lowdose.infer.lesions import DetectedLesion
from lowdose.io.messages import counted
from lowdose.report.figures import INK, draw_box, draw_slice, new_figure, png

ACROSS, PANEL = 6, 2.6
"""Pictures in a row, and the width of one in inches."""
MARK = "#35e0ff"
"""Colour of boxes."""


def lesion_entry(number: int, lesion: DetectedLesion) -> dict[str, Any]:
    """Return a lesion as plain Python; see docs/lesions.md for the keys."""
    through, down, along = lesion.extent_mm
    return {
        "number": number,
        "score": round(lesion.score, 4),
        "slices": [each.slice for each in lesion.boxes],
        "boxes": [
            {
                "slice": each.slice,
                "score": round(each.score, 4),
                **{
                    name: round(edge, 2)
                    for name, edge in zip(("top", "left", "bottom", "right"), each.box, strict=True)
                },
            }
            for each in lesion.boxes
        ],
        "extent_mm": {"through_slices": _rounded(through), "rows": _rounded(down), "columns": _rounded(along)},
        "centre_mm": None if lesion.centre_mm is None else [round(value, 2) for value in lesion.centre_mm],
        "mean_hu": round(lesion.mean_hu, 2),
    }


def lesion_line(number: int, lesion: DetectedLesion) -> str:
    """Return a lesion as a line of text; slices count from 1."""
    first, last = (each.slice + 1 for each in (lesion.boxes[0], lesion.boxes[-1]))
    slices = f"slice {first}" if first == last else f"slices {first} to {last}"
    sides = " x ".join("?" if side is None else f"{side:.0f}" for side in lesion.extent_mm[::-1])
    return f"lesion {number}: score {lesion.score:.2f}, {slices}, {sides} mm, {lesion.mean_hu:.0f} HU"


def lesion_sheet(lesions: Sequence[DetectedLesion], slices: int, least_score: float) -> bytes:
    """Draw the surroundings of the best lesions, each in the slice where its score is best, as PNG bytes.

    The window is that of soft tissue, or of lung (``hounsfield.window_for``).

    slices, least_score: what was looked at, and the score from which a box counts, for the title.
    """
    shown = [(number, each) for number, each in enumerate(lesions, start=1) if each.picture is not None]
    down = max(1, -(-len(shown) // ACROSS))
    figure = new_figure(PANEL * ACROSS, PANEL * 1.12 * down + 0.5)
    figure.suptitle(_title(len(lesions), len(shown), slices, least_score), color=INK, fontsize=11)
    panels: list[Any] = list(figure.subplots(down, ACROSS, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, (number, lesion) in zip(panels, shown, strict=False):
        _draw(axes, number, lesion)
    return png(figure)


def _title(found: int, shown: int, slices: int, least_score: float) -> str:
    where = f"in {counted(slices, 'slice')} with a score of at least {least_score:g}"
    if not found:
        return f"no lesion found {where}"
    best = f", the best {shown} of them" if shown < found else ""
    return f"{found} found {where}{best}; {SOFT_TISSUE}, in lung {LUNG}; a research algorithm, not a medical device"


def _draw(axes: Any, number: int, lesion: DetectedLesion) -> None:
    picture, best = lesion.picture, lesion.best
    assert picture is not None
    title = f"{number}: {best.score:.2f}, slice {best.slice + 1}"
    draw_slice(axes, picture.hu, title, window_for(lesion.mean_hu), picture.aspect, size=9)
    draw_box(axes, best.box, picture.corner, MARK)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
