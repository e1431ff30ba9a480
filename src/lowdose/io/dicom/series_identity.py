"""Which images are one series: by study, series, frame of reference and patient; by folder where there is no UID."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

JOINED_IMAGES = 3
"""Fewest images that are joined when each has a SeriesInstanceUID of its own, or a frame of reference of its own."""
REGULAR_SHARE = 0.8
"""Fraction of equal steps between images that makes them one stack."""
DIGEST_LENGTH = 8


@dataclass(frozen=True, slots=True)
class SeriesPart:
    """What headers say of the series that one file, or the like files of one folder, belong to.

    Attributes
    ----------
    series, study, frame : str
        SeriesInstanceUID, StudyInstanceUID and FrameOfReferenceUID; '' where there is none.
    patient : str
        Hash of the patient's identity; '' where there is none.
    folder : str
        Folder of the files, relative to what was opened.
    images : int
        Number of images.
    grid : str
        Orientation, pixel spacing, matrix and kernel of a single image in short; '' where they are not stated.
    position : float, mm
        Position of a single image along its normal; 0 where it is not stated.
    """

    series: str
    study: str
    frame: str
    patient: str
    folder: str
    images: int = 1
    grid: str = ""
    position: float = 0.0

    @property
    def place(self) -> str:
        """Folder of a series without a UID, which is told from others by nothing else."""
        return "" if self.series else self.folder


@dataclass(frozen=True)
class SeriesGroup:
    """Parts that are one series.

    Attributes
    ----------
    name : str
        SeriesInstanceUID where no other series has it, else the UID, '@' and a hash of what tells them apart.
    parts : tuple of int
        Index of each part.
    patient : str
        Hash of the patient's identity.
    warnings : tuple of str
        What was odd about the UIDs.
    """

    name: str
    parts: tuple[int, ...]
    patient: str
    warnings: tuple[str, ...] = ()


def group_parts(parts: Sequence[SeriesPart]) -> list[SeriesGroup]:
    """Group parts into series, in the order of their first parts."""
    completed = _completed(parts)
    by_identity: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, part in enumerate(completed):
        by_identity[part.series, part.place, part.study, part.patient, part.frame].append(index)
    joined = _one_image_series(completed, by_identity)
    counts = Counter(identity[0] for identity in by_identity)
    groups = []
    for identity, members in by_identity.items():
        if identity not in joined:
            alone = identity[0] and counts[identity[0]] == 1
            name = identity[0] if alone else f"{identity[0]}@{_digest(identity)}"
            groups.append(SeriesGroup(name, tuple(members), identity[3]))
    for identities in {id(group): group for group in joined.values()}.values():
        uids = sorted(identity[0] for identity in identities)
        members = sorted(index for identity in identities for index in by_identity[identity])
        told = (
            f"Each of the {len(uids)} images has a SeriesInstanceUID of its own; they were joined, being of one study, "
            "patient, orientation and pixel spacing, in even steps.",
        )
        groups.append(SeriesGroup(f"{uids[0]}@{_digest(uids)}", tuple(members), identities[0][3], told))
    return sorted(groups, key=lambda group: group.parts)


def merged(parts: Iterable[SeriesPart]) -> list[SeriesPart]:
    """Return one part for all that differ in nothing that tells series apart."""
    alike: dict[SeriesPart, list[SeriesPart]] = defaultdict(list)
    for part in parts:
        alike[replace(part, images=0, grid="", position=0.0)].append(part)
    return [
        found[0] if len(set(found)) == 1 else replace(kind, images=_count_images(found))
        for kind, found in alike.items()
    ]


def _count_images(parts: Iterable[SeriesPart]) -> int:
    """Return the number of images without their copies: single images at one place on one grid count once."""
    places, others = set[tuple[str, float]](), 0
    for part in parts:
        if part.images == 1 and part.grid:
            places.add((part.grid, part.position))
        else:
            others += part.images
    return len(places) + others


def uid_of(name: str) -> str:
    """Return the SeriesInstanceUID in the name of a series; '' where it has none."""
    return name.partition("@")[0]


def _completed(parts: Sequence[SeriesPart]) -> list[SeriesPart]:
    """Fill in what some images of a series do not state and all others state alike.

    A frame of reference of its own for each image, as some anonymisers write it, tells nothing and is dropped.
    """
    by_series: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, part in enumerate(parts):
        by_series[part.series, part.place].append(index)
    result = list(parts)
    for members in by_series.values():
        stated = {name: {getattr(parts[i], name) for i in members} - {""} for name in ("study", "patient", "frame")}
        only = {name: next(iter(values)) for name, values in stated.items() if len(values) == 1}
        if JOINED_IMAGES <= len(stated["frame"]) == _count_images([parts[i] for i in members]):
            only["frame"] = ""
        for i in members:
            result[i] = replace(parts[i], **{n: v for n, v in only.items() if n == "frame" or not getattr(parts[i], n)})
    return result


Identity = tuple[str, ...]


def _one_image_series(
    parts: Sequence[SeriesPart], by_identity: dict[Identity, list[int]]
) -> dict[Identity, list[Identity]]:
    """Return, for each image that is a series by its UID but one slice of a stack by all else, the stack's images."""
    alike: dict[tuple[str, ...], list[Identity]] = defaultdict(list)
    for identity, members in by_identity.items():
        part = parts[members[0]]
        if part.series and part.grid and _count_images([parts[i] for i in members]) == 1:
            alike[part.study, part.patient, part.grid].append(identity)
    result: dict[Identity, list[Identity]] = {}
    for identities in alike.values():
        frames = {identity[4] for identity in identities}
        positions = [parts[by_identity[identity][0]].position for identity in identities]
        if len(frames) in (1, len(identities)) and _is_stack(positions):
            result |= dict.fromkeys(identities, identities)
    return result


def _is_stack(positions: Iterable[float]) -> bool:
    """Return whether positions, in mm, are those of a stack: all different, and nearly all in equal steps."""
    ordered = sorted(positions)
    steps = [after - before for before, after in pairwise(ordered)]
    if len(ordered) < JOINED_IMAGES or min(steps) < 0.01:
        return False
    usual = median(steps)
    return sum(abs(step - usual) <= 0.02 * usual for step in steps) >= REGULAR_SHARE * len(steps)


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("|".join(texts).encode()).hexdigest()[:DIGEST_LENGTH]
