"""Lung nodules of LIDC-IDRI: the XML of the reading sessions, in which up to four readers outlined every nodule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from skimage.draw import polygon

from lowdose.errors import CannotDecode
from lowdose.io.findings.finding import Finding, Findings, LeftOut, Mark, SliceName
from lowdose.io.findings.regions import cropped_mask
from lowdose.io.messages import reason, shown

LABEL = "nodule"
Pixel = tuple[int, int]
Nodule = dict[str, set[Pixel]]
"""Rows and columns of a nodule as one reader outlined it, by SOPInstanceUID of the slice."""
Element = ElementTree.Element


def read_lidc(path: Path) -> Findings:
    """Read the nodules of 3 mm and more; what has one point only, smaller nodules and non-nodules, is left out.

    An outline runs along the first pixels outside of a nodule, so these do not belong to it; an outline marked as no
    inclusion is a hole. Outlines of different readers that share a pixel are one nodule. It consists of the pixels that
    at least half of its readers outlined, in each slice that at least half of them marked; one that a single reader
    marked is kept. Rows and columns count from 0. Raises CannotDecode.

    References
    ----------
    S. G. Armato et al., The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI): a
    completed reference database of lung nodules on CT scans, Medical Physics 38(2), 2011.
    """
    root = _root(path)
    nodules, points = list[Nodule](), 0
    for session in _children(root, "readingSession"):
        for element in _children(session, "unblindedReadNodule"):
            nodule = _nodule(path, element)
            points += not nodule
            nodules += [nodule] if nodule else []
        points += sum(1 for _ in _children(session, "nonNodule"))
    findings = [Finding(LABEL, _marks(group), path) for group in _same_nodules(nodules)]
    left_out = [LeftOut(path, f"{points} marks of a single point, which have no extent")] if points else []
    return Findings(path, findings, left_out)


def _root(path: Path) -> Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise CannotDecode(f"{path}: no valid XML ({reason(error)}); download it again") from error


def _children(element: Element, name: str) -> Iterator[Element]:
    """Yield the children of this name, whatever their name space."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _text(element: Element, name: str) -> str:
    return next((child.text or "" for child in _children(element, name)), "").strip()


def _nodule(path: Path, element: Element) -> Nodule:
    """Return the pixels of a nodule, none for one of a single point. Raises CannotDecode."""
    where = f"{path}: nodule '{shown(_text(element, 'noduleID'))}'"
    nodule: Nodule = defaultdict(set)
    holes: Nodule = defaultdict(set)
    for roi in _children(element, "roi"):
        uid = _text(roi, "imageSOP_UID")
        outline = [_pixel(where, edge) for edge in _children(roi, "edgeMap")]
        if len(outline) < 2:
            continue
        if not uid:
            raise CannotDecode(f"{where}: an outline has no imageSOP_UID, so its slice is unknown; download it again")
        included = _text(roi, "inclusion").upper() != "FALSE"
        (nodule if included else holes)[uid] |= _enclosed(outline)
    left = {uid: pixels - holes.get(uid, set()) for uid, pixels in nodule.items()}
    return {uid: pixels for uid, pixels in left.items() if pixels}


def _pixel(where: str, edge: Element) -> Pixel:
    texts = _text(edge, "yCoord"), _text(edge, "xCoord")
    try:
        row, column = (int(text) for text in texts)
    except ValueError:
        row = column = -1
    if min(row, column) < 0:
        raise CannotDecode(
            f"{where}: yCoord '{shown(texts[0])}', xCoord '{shown(texts[1])}' is no pixel; download it again"
        )
    return row, column


def _enclosed(outline: Sequence[Pixel]) -> set[Pixel]:
    """Return the pixels within an outline, or those of the outline where it encloses none."""
    rows, columns = polygon(*np.array(outline).T)  # type: ignore[no-untyped-call]
    inside = set(zip(rows.tolist(), columns.tolist(), strict=True)) - set(outline)
    return inside or set(outline)


def _same_nodules(nodules: Sequence[Nodule]) -> list[list[Nodule]]:
    """Group the outlines of all readers: what shares a pixel, directly or through others, is one nodule."""
    groups: list[list[Nodule]] = []
    for nodule in nodules:
        met = [number for number, group in enumerate(groups) if any(_touch(nodule, other) for other in group)]
        joined = [*(each for number in met for each in groups[number]), nodule]
        groups = [group for number, group in enumerate(groups) if number not in met]
        groups.insert(met[0] if met else len(groups), joined)
    return groups


def _touch(one: Mapping[str, set[Pixel]], other: Mapping[str, set[Pixel]]) -> bool:
    return any(pixels & other.get(uid, set()) for uid, pixels in one.items())


def _marks(nodules: Sequence[Nodule]) -> tuple[Mark, ...]:
    """Return, in each slice, the pixels that at least half of the readers outlined."""
    counts: dict[str, Counter[Pixel]] = defaultdict(Counter)
    for nodule in nodules:
        for uid, pixels in nodule.items():
            counts[uid].update(pixels)
    marks = []
    for uid, counted in counts.items():
        common = [pixel for pixel, count in counted.items() if 2 * count >= len(nodules)]
        if common:
            rows, columns = np.array(common).T
            mask = np.zeros((rows.max() + 1, columns.max() + 1), np.bool_)
            mask[rows, columns] = True
            marks.append(Mark(SliceName(sop_uid=uid), cropped_mask(mask, None)))
    return tuple(marks)
