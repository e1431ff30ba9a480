"""Findings in COCO's format for object detection: images, annotations with a bbox, and categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lowdose.errors import CannotDecode
from lowdose.io.findings.finding import Finding, Findings, Mark, SliceName
from lowdose.io.findings.reading import read_json
from lowdose.io.findings.regions import PictureBox
from lowdose.io.messages import shown


def is_coco(path: Path) -> bool:
    """Return whether a JSON file holds images and annotations as COCO does. Raises CannotDecode when it is no JSON."""
    content = read_json(path)
    return isinstance(content, dict) and {"images", "annotations"} <= set(content)


def read_coco(path: Path) -> Findings:
    """Read the annotations of a COCO file: one finding each, in the slice whose file ``file_name`` names.

    A bbox is [x, y, width, height] in pixels from the top left edge of the image, as COCO has it, so that the first
    pixel reaches from 0 to 1. Raises CannotDecode, naming the annotation, for a bbox that is none and for an image or
    a category that the file does not list.
    """
    content = read_json(path)
    assert isinstance(content, dict)
    images = _by_id(path, content, "images")
    categories = _by_id(path, content, "categories") if content.get("categories") else {}
    annotations = _entries(path, content, "annotations")
    return Findings(path, [_finding(path, entry, images, categories) for entry in annotations], [])


def _finding(
    path: Path, entry: Mapping[str, Any], images: Mapping[object, Mapping[str, Any]],
    categories: Mapping[object, Mapping[str, Any]],
) -> Finding:  # fmt: skip
    where = f"{path}: annotation {shown(entry.get('id'))}"
    image, number = images.get(entry.get("image_id")), entry.get("category_id")
    if image is None:
        raise CannotDecode(f"{where}: image_id {shown(entry.get('image_id'))} is not among the images; export it again")
    if categories and number not in categories:
        raise CannotDecode(f"{where}: category_id {shown(number)} is not among the categories; export it again")
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise CannotDecode(f"{where}: its image has no file_name, so its slice is unknown; export it with names")
    x, y, width, height = _numbers(where, entry.get("bbox"))
    size = image.get("height"), image.get("width")
    shape = (size[0], size[1]) if isinstance(size[0], int) and isinstance(size[1], int) else None
    label = str(categories[number].get("name", number)) if categories else str(number)
    region = PictureBox((y, x, y + height, x + width), shape)
    return Finding(label, (Mark(SliceName(file=name), region),), path)


def _numbers(where: str, bbox: object) -> tuple[float, float, float, float]:
    values = [float(value) for value in bbox if _is_number(value)] if isinstance(bbox, list) else []
    if len(values) != 4 or not isinstance(bbox, list) or len(bbox) != 4:
        raise CannotDecode(f"{where}: bbox is {shown(bbox)}; it must be [x, y, width, height] in pixels")
    if values[2] <= 0 or values[3] <= 0:
        raise CannotDecode(f"{where}: bbox {shown(bbox)} has no area; width and height must be above 0")
    return values[0], values[1], values[2], values[3]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _by_id(path: Path, content: Mapping[str, Any], key: str) -> dict[object, Mapping[str, Any]]:
    return {entry.get("id"): entry for entry in _entries(path, content, key)}


def _entries(path: Path, content: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    entries = content[key]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CannotDecode(f"{path}: '{key}' is no list of objects, as COCO has it; export it again")
    return entries
