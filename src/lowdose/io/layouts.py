"""How pairs of series lie in folders: names that say a dose, within one folder, in mirrored trees, or by Mayo case.

Known by sight: LOW and FULL side by side ('quarter_1mm', 'full_1mm'); the tree of the AAPM Low-Dose CT Grand Challenge
('1mm B30/full_1mm/L067/full_1mm/*.IMA' and the same under 'quarter_1mm'); LDCT-and-Projection-data as The Cancer
Imaging Archive delivers it ('L004/<study>/1.000000-Full dose images-12345', low dose sometimes in another study).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lowdose.errors import InvalidSetting
from lowdose.io.folder_tree import walk_folders
from lowdose.io.mayo import case_in

LOW = r"(?:quarter|low)(?:[ _-]?dose)?|ldct|ld|qd"
FULL = r"(?:full|normal|high)(?:[ _-]?dose)?|ndct|fd"
DOSE = re.compile(rf"(?:(?P<low>{LOW})|(?P<full>{FULL}))(?:[ _.-]+(?P<suffix>.+))?")
ARCHIVED = re.compile(r"\d+(?:\.\d+)?-(.+)-\d+")
"""Series number, description and the end of the UID: how The Cancer Imaging Archive names the folder of a series."""

ENDINGS = (".nii.gz", ".nii", ".npy", ".npz", ".zip")
SHOWN = 3


@dataclass(frozen=True)
class FoundPair:
    """A low-dose and a full-dose series that belong together; name: their folder, and their common suffix."""

    low: Path
    full: Path
    name: str


@dataclass
class PairSearch:
    """What was found below a root: pairs, and a sentence for every series that was seen and passed over."""

    root: Path
    pairs: list[FoundPair] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _single: dict[tuple[str, str], dict[str, list[Path]]] = field(default_factory=dict)
    _taken: set[Path] = field(default_factory=set)
    _projections: list[Path] = field(default_factory=list)

    def run(self) -> None:
        """Walks the tree. Raises InvalidSetting when a series has several candidates for its partner."""
        for folder, children, files in walk_folders(self.root):
            if not self._taken.isdisjoint([folder, *folder.parents]):
                continue
            entries = [*children, *(file for file in files if file.name.lower().endswith(ENDINGS))]
            self._within(folder, entries)
        self._by_case()
        if self._projections:
            first, more = self._projections[0], len(self._projections) - 1
            self.warnings.append(
                f"{first}: holds projections (DICOM-CT-PD), not images"
                + (f", as do {more} more folders" if more else "")
                + "; passed over"
            )

    def _within(self, folder: Path, entries: list[Path]) -> None:
        """Pairs of one folder; what has no partner there may have one in another folder of the same case."""
        found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for entry in entries:
            named = dose_of_name(entry)
            if named is not None and named[1].startswith("projection"):
                self._projections.append(entry)
            elif named is not None:
                found[named[1]][named[0]].append(entry)
        place = folder.relative_to(self.root).as_posix() if folder != self.root else self.root.resolve().name
        for suffix, doses in found.items():
            name = f"{place}/{suffix}" if suffix else place
            if len(doses) == 2:
                self._pair(_only(doses["low"]), _only(doses["full"]), name)
            elif (case := case_in(place)) is not None:
                here = self._single.setdefault((case, suffix), defaultdict(list))
                for dose, paths in doses.items():
                    here[dose] += paths

    def _pair(self, low: Path, full: Path, name: str) -> None:
        self._taken |= {low, full}
        lows, fulls = _leaves(low), _leaves(full)
        common = [key for key in lows if key in fulls]
        if not common or (len(lows) == 1 and len(fulls) == 1):
            self.pairs.append(FoundPair(low, full, name))
            return
        self.pairs += [FoundPair(_only(lows[key]), _only(fulls[key]), f"{name}/{key}".strip("/")) for key in common]
        alone = [
            str(path) for side in (lows, fulls) for key, paths in side.items() if key not in common for path in paths
        ]
        self._told(alone, "has no partner in the other tree")

    def _by_case(self) -> None:
        """Pairs whose two series lie in different folders of one Mayo case, as different studies do."""
        alone: list[str] = []
        for (case, suffix), doses in self._single.items():
            if len(doses) == 2:
                name = f"{case}/{suffix}" if suffix else case
                self.pairs.append(FoundPair(_only(doses["low"]), _only(doses["full"]), name))
            else:
                alone += [str(path) for paths in doses.values() for path in paths]
        self._told(alone, "has no partner at the other dose")

    def _told(self, alone: list[str], what: str) -> None:
        self.warnings += [f"{path}: {what}; passed over" for path in alone[:SHOWN]]
        if len(alone) > SHOWN:
            self.warnings.append(f"{len(alone) - SHOWN} more series: {what}; passed over")


def dose_of_name(entry: Path) -> tuple[str, str] | None:
    """('low' or 'full', suffix) of a file or folder named by its dose; None = it is not."""
    name = entry.name.lower()
    if archived := ARCHIVED.fullmatch(name):
        name = archived[1]
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    match = DOSE.fullmatch(name)
    if match is None:
        return None
    words = [word for word in re.split(r"[ _.-]+", match["suffix"] or "") if word not in ("", "image", "images")]
    return ("low" if match["low"] else "full"), "_".join(words)


def _leaves(entry: Path) -> dict[str, list[Path]]:
    """The folders at or below ``entry`` that hold files, by their path below it without words for a dose."""
    found: dict[str, list[Path]] = defaultdict(list)
    for folder, _, files in walk_folders(entry) if entry.is_dir() else ():
        if any(not file.name.startswith(".") for file in files):
            found["/".join(_plain(folder.relative_to(entry).parts))].append(folder)
    return found


def _plain(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        named = dose_of_name(Path(part))
        if named is None:
            yield part
        elif named[1]:
            yield named[1]


def _only(candidates: list[Path]) -> Path:
    if len(candidates) > 1:
        shown = " and ".join(str(path) for path in candidates)
        raise InvalidSetting(f"{shown}: which of them is to be paired? Rename or move away the others")
    return candidates[0]
