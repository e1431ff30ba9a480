"""Search of folders for pairs of low-dose and full-dose series.

Recognised are LOW and FULL side by side in one folder ("quarter_1mm", "full_1mm"); the mirrored trees of the AAPM
Low-Dose CT Grand Challenge ("1mm B30/full_1mm/L067/full_1mm/*.IMA" and the same under "quarter_1mm"); and
LDCT-and-Projection-data as The Cancer Imaging Archive delivers it ("L004/<study>/1.000000-Full dose images-12345", the
low dose sometimes in another study of the same Mayo case).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lowdose.errors import InvalidSetting
from lowdose.io.folder_tree import walk_folders
from lowdose.io.input_kind import BY_ENDING, is_series_file
from lowdose.io.mayo import case_in

LOW = r"(?:quarter|low)(?:[ _-]?dose)?|ldct|ld|qd"
FULL = r"(?:full|normal|high)(?:[ _-]?dose)?|ndct|fd"
DOSE = re.compile(rf"(?:(?P<low>{LOW})|(?P<full>{FULL}))(?:[ _.-]+(?P<suffix>.+))?")
ARCHIVED = re.compile(r"\d+(?:\.\d+)?-(.+)-\d+")
"""Folder name of a series in The Cancer Imaging Archive: series number, description and end of the UID."""

SHOWN = 3
"""Number of series that a warning names; the rest are counted."""


@dataclass(frozen=True)
class FoundPair:
    """Low-dose and full-dose series that belong together.

    Attributes
    ----------
    low, full : Path
        Folder or file of each series.
    name : str
        Folder that holds both, and their common suffix.
    """

    low: Path
    full: Path
    name: str


@dataclass
class PairSearch:
    """Search for pairs of series below a folder.

    Attributes
    ----------
    root : Path
        Folder in which the search starts.
    pairs : list of FoundPair
        Pairs found.
    warnings : list of str
        One sentence for every series that was seen but has no partner.
    """

    root: Path
    pairs: list[FoundPair] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _unpaired: dict[tuple[str, str], dict[str, list[Path]]] = field(default_factory=dict)
    _paired_paths: set[Path] = field(default_factory=set)
    _projections: list[Path] = field(default_factory=list)

    def run(self) -> None:
        """Walk the tree; raise InvalidSetting when a series has several candidates for its partner."""
        for folder, children, files in walk_folders(self.root):
            if not self._paired_paths.isdisjoint([folder, *folder.parents]):
                continue
            entries = [*children, *filter(is_series_file, files)]
            self._pair_within_folder(folder, entries)
        self._pair_by_case()
        if self._projections:
            first, more = self._projections[0], len(self._projections) - 1
            self.warnings.append(
                f"{first}: holds projections (DICOM-CT-PD), not images"
                + (f", as do {more} more folders" if more else "")
                + "; passed over"
            )

    def _pair_within_folder(self, folder: Path, entries: list[Path]) -> None:
        """Pair the series of one folder.

        A series without a partner here may have one in another folder of the same Mayo case.
        """
        by_suffix: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for entry in entries:
            dose_and_suffix = dose_of_name(entry)
            if dose_and_suffix is not None and dose_and_suffix[1].startswith("projection"):
                self._projections.append(entry)
            elif dose_and_suffix is not None:
                by_suffix[dose_and_suffix[1]][dose_and_suffix[0]].append(entry)
        place = folder.relative_to(self.root).as_posix() if folder != self.root else self.root.resolve().name
        for suffix, doses in by_suffix.items():
            name = f"{place}/{suffix}" if suffix else place
            if len(doses) == 2:
                self._add_pairs(_require_single(doses["low"]), _require_single(doses["full"]), name)
            elif (case := case_in(place)) is not None:
                here = self._unpaired.setdefault((case, suffix), defaultdict(list))
                for dose, paths in doses.items():
                    here[dose] += paths

    def _add_pairs(self, low: Path, full: Path, name: str) -> None:
        self._paired_paths |= {low, full}
        lows, fulls = _series_folders(low), _series_folders(full)
        common = [key for key in lows if key in fulls]
        if not common or (len(lows) == 1 and len(fulls) == 1):
            self.pairs.append(FoundPair(low, full, name))
            return
        self.pairs += [
            FoundPair(_require_single(lows[key]), _require_single(fulls[key]), f"{name}/{key}".strip("/"))
            for key in common
        ]
        unpaired = [
            str(path) for side in (lows, fulls) for key, paths in side.items() if key not in common for path in paths
        ]
        self._warn_unpaired(unpaired, "has no partner in the other tree")

    def _pair_by_case(self) -> None:
        """Pair series that lie in different folders of one Mayo case, as those of different studies do."""
        unpaired: list[str] = []
        for (case, suffix), doses in self._unpaired.items():
            if len(doses) == 2:
                name = f"{case}/{suffix}" if suffix else case
                self.pairs.append(FoundPair(_require_single(doses["low"]), _require_single(doses["full"]), name))
            else:
                unpaired += [str(path) for paths in doses.values() for path in paths]
        self._warn_unpaired(unpaired, "has no partner at the other dose")

    def _warn_unpaired(self, unpaired: list[str], reason: str) -> None:
        self.warnings += [f"{path}: {reason}; passed over" for path in unpaired[:SHOWN]]
        if len(unpaired) > SHOWN:
            self.warnings.append(f"{len(unpaired) - SHOWN} more series: {reason}; passed over")


def dose_of_name(entry: Path) -> tuple[str, str] | None:
    """Return ("low" or "full", suffix) of a file or folder that is named by its dose.

    None where the name does not tell a dose.
    """
    name = entry.name.lower()
    if archived := ARCHIVED.fullmatch(name):
        name = archived[1]
    for ending in BY_ENDING:
        name = name.removesuffix(ending)
    match = DOSE.fullmatch(name)
    if match is None:
        return None
    words = [word for word in re.split(r"[ _.-]+", match["suffix"] or "") if word not in ("", "image", "images")]
    return ("low" if match["low"] else "full"), "_".join(words)


def _series_folders(entry: Path) -> dict[str, list[Path]]:
    """Return the folders at or below ``entry`` that hold files.

    Their keys are their paths below ``entry``, without words for a dose.
    """
    folders: dict[str, list[Path]] = defaultdict(list)
    for folder, _, files in walk_folders(entry) if entry.is_dir() else ():
        if any(not file.name.startswith(".") for file in files):
            folders["/".join(_without_dose_words(folder.relative_to(entry).parts))].append(folder)
    return folders


def _without_dose_words(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        dose_and_suffix = dose_of_name(Path(part))
        if dose_and_suffix is None:
            yield part
        elif dose_and_suffix[1]:
            yield dose_and_suffix[1]


def _require_single(candidates: list[Path]) -> Path:
    if len(candidates) > 1:
        shown = " and ".join(str(path) for path in candidates)
        raise InvalidSetting(f"{shown}: which of them is to be paired? Rename or move away the others")
    return candidates[0]
