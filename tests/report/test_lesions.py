"""Lesions as lines, entries and a sheet of pictures."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from lowdose.infer.lesions import DetectedLesion, LesionBox, LesionPicture
from lowdose.report.lesions import ACROSS, lesion_entry, lesion_line, lesion_sheet

PICTURE = LesionPicture(np.zeros((40, 40), np.float32), (100, 200), 1.0)
BOXES = (LesionBox(3, (110.0, 215.0, 120.0, 230.0), 0.61), LesionBox(4, (111.0, 215.0, 120.0, 230.0), 0.87654))
LESION = DetectedLesion(BOXES, 41.234, (4.0, None, 10.5), (1.0, 2.5, -3.333), PICTURE)


def size_of(sheet: bytes) -> tuple[int, int]:
    size: tuple[int, int] = Image.open(io.BytesIO(sheet)).size
    return size


def test_an_entry_is_plain_and_rounded() -> None:
    entry = lesion_entry(2, LESION)
    assert entry["boxes"][1] == {
        "slice": 4, "score": 0.8765, "top": 111.0, "left": 215.0, "bottom": 120.0, "right": 230.0,
    }  # fmt: skip
    assert (entry["number"], entry["score"], entry["slices"], entry["mean_hu"]) == (2, 0.8765, [3, 4], 41.23)
    assert entry["extent_mm"] == {"through_slices": 4.0, "rows": None, "columns": 10.5}
    assert entry["centre_mm"] == [1.0, 2.5, -3.33]


def test_a_line_says_what_is_known() -> None:
    assert lesion_line(2, LESION) == "lesion 2: score 0.88, slices 4 to 5, 10 x ? x 4 mm, 41 HU"
    bare = DetectedLesion(BOXES[:1], 41.234, (None, None, None), None)
    assert lesion_line(1, bare) == "lesion 1: score 0.61, slice 4, ? x ? x ? mm, 41 HU"


def test_a_sheet_grows_by_rows_and_has_the_box_in_its_place() -> None:
    one, full, more = (lesion_sheet([LESION] * count, 9, 0.5) for count in (1, ACROSS, ACROSS + 1))
    assert size_of(one) == size_of(full)
    assert size_of(more)[1] > size_of(full)[1]
    image = np.asarray(Image.open(io.BytesIO(one)).convert("RGB")).astype(int)
    grey = (np.ptp(image, axis=2) == 0) & (abs(image[..., 0] - 102) <= 2)  # 0 HU in the window
    marked = (image[..., 2] - image[..., 0] > 100) & (image[..., 1] > 150)
    rows, columns = np.nonzero(grey | marked)
    top, left, side = rows.min(), columns.min(), np.ptp(columns) + 1
    down, across = np.nonzero(marked)
    for measured, expected in (
        (down.min() - top, 11), (down.max() - top, 20), (across.min() - left, 15), (across.max() - left, 30),
    ):  # fmt: skip
        assert abs(measured / side * 40 - expected) < 0.7


def test_lesions_of_the_lung_are_shown_in_its_window() -> None:
    dark = PICTURE._replace(hu=np.full((40, 40), -600.0, np.float32))
    for mean_hu, lowest, highest in ((-650.0, 126, 129), (40.0, 0, 1)):  # of 255: -600 HU is the middle, or black
        sheet = lesion_sheet([replace(LESION, mean_hu=mean_hu, picture=dark)], 9, 0.5)
        grey = np.asarray(Image.open(io.BytesIO(sheet)).convert("L"))
        assert np.count_nonzero((grey >= lowest) & (grey <= highest)) > 10_000
