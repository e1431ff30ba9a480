"""Published splits: who is trained on, who is held out, and who is on the wrong side when two of them are compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources

from lowdose.data.pairs import PairedSlice
from lowdose.errors import InvalidSetting

SHOWN = 12


@dataclass(frozen=True)
class Split:
    """Case names (L067) by use. train: None = not published, every case that is not held out; the others: empty then.

    paper: whose split it is. source: where the lists are published. note: what else must be known.
    """

    name: str
    paper: str
    collection: str
    source: str
    note: str
    train: frozenset[str] | None
    validation: frozenset[str]
    test: frozenset[str]

    def side(self, cases: Iterable[str]) -> str | None:
        """'train', 'validation' or 'test': what a patient known by these case names is for; None = not of the split.

        A patient that is on several sides counts as the most protected one.
        """
        known = set(cases)
        if known & self.test:
            return "test"
        if known & self.validation:
            return "validation"
        return "train" if known & (self.train if self.train is not None else known) else None


@dataclass(frozen=True)
class Leak:
    """Cases that one split uses and another tests on. used: 'train' or 'validation'."""

    user: str
    used: str
    tester: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        how = "trains on" if self.used == "train" else "validates on"
        return f"{self.user} {how} {', '.join(self.cases)}: test cases of {self.tester}"


def splits() -> dict[str, Split]:
    """The splits that come with the package, by name."""
    folder = resources.files("lowdose.data.splits")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return {split.name: split for file in files if (split := _split(json.loads(file.read_text(encoding="utf-8"))))}


def find_split(name: str) -> Split:
    """A split by name. Raises InvalidSetting naming those there are."""
    known = splits()
    if name not in known:
        raise InvalidSetting(f"no split '{name}'; there are {', '.join(known)}")
    return known[name]


def _split(content: dict[str, object]) -> Split:
    lists = {key: content.get(key) for key in ("train", "validation", "test")}
    train, validation, test = (frozenset(map(str, v)) if isinstance(v, list) else None for v in lists.values())
    name, paper, collection, source = (str(content[key]) for key in ("name", "paper", "collection", "source"))
    empty = frozenset[str]()
    note = str(content.get("note", ""))
    return Split(name, paper, collection, source, note, train, validation or empty, test or empty)


def leaks(one: Split, other: Split) -> list[Leak]:
    """What either trains or validates on and the other tests on. A split that names no training cases leaks none."""
    found = []
    for user, tester in ((one, other), (other, one)) if one != other else ((one, other),):
        for used, cases in (("train", user.train or frozenset()), ("validation", user.validation)):
            if cases & tester.test:
                found.append(Leak(user.name, used, tester.name, tuple(sorted(cases & tester.test))))
    return found


def apply_split(items: Sequence[PairedSlice], split: Split) -> tuple[list[PairedSlice], int, list[str]]:
    """(items of the split's training and validation patients, number of the latter, what to know).

    Patients are numbered anew, validation patients last, where ``pairs.split_by_patient`` takes them from. A patient
    of whom any series is named as a test case is left out whole. Raises InvalidSetting when nobody is left to train on.
    """
    cases: dict[int, set[str]] = {}
    for item in items:
        cases.setdefault(item.patient, set()).update([item.case] if item.case else [])
    sides = {patient: split.side(names) for patient, names in cases.items()}
    order = sorted((p for p, side in sides.items() if side in ("train", "validation")), key=lambda p: (sides[p], p))
    checks = sum(side == "validation" for side in sides.values())
    if len(order) == checks:
        raise InvalidSetting(
            f"--split {split.name}: none of the {len(cases)} patient(s) is one it trains on; case names such as L067 "
            "are looked for in the names of folders and in PatientID"
        )
    numbers = {patient: number + 1 for number, patient in enumerate(order)}
    kept = [replace(item, patient=numbers[item.patient]) for item in items if item.patient in numbers]
    return kept, checks, _told(split, cases, sides)


def _told(split: Split, cases: dict[int, set[str]], sides: dict[int, str | None]) -> list[str]:
    told = []
    present = set().union(*cases.values())
    for side, wanted in (("train", split.train or frozenset()), ("validation", split.validation)):
        if missing := sorted(wanted - present):
            told.append(
                f"{split.name}: {len(missing)} of {len(wanted)} {side} cases are not in the data: {abbreviate(missing)}"
            )
    if held := sorted(split.test & present):
        told.append(f"{split.name}: {len(held)} test cases are held out: {abbreviate(held)}")
    if strangers := sum(side is None for side in sides.values()):
        told.append(f"{split.name}: {strangers} patient(s) that it does not list are left out")
    return told


def abbreviate(names: Sequence[str]) -> str:
    """The first dozen, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
