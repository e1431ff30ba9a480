"""Published splits into training, validation and test cases, and leaks between two of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from lowdose.errors import InvalidSetting


@dataclass(frozen=True)
class Split:
    """Published split of a collection into training, validation and test cases, by case names such as L067.

    Attributes
    ----------
    name : str
        Name of the split, as given to commands.
    paper : str
        Paper that uses the split.
    collection : str
        Collection that is split.
    source : str
        Where the lists are published.
    note : str
        Further remarks.
    train : frozenset of str or None
        Training cases; None = not published: every case that is not held out.
    validation, test : frozenset of str
        Validation and test cases; empty = not published.
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
        """Return 'train', 'validation' or 'test' for the patient with these case names; None = not in the split.

        A patient with cases on several sides counts for the most protected one: test before validation before train.
        """
        known = set(cases)
        if known & self.test:
            return "test"
        if known & self.validation:
            return "validation"
        return "train" if known & (self.train if self.train is not None else known) else None


@dataclass(frozen=True)
class Leak:
    """Cases that one split trains or validates on and another one tests on.

    Attributes
    ----------
    user : str
        Name of the split that uses the cases.
    used : str
        'train' or 'validation'.
    tester : str
        Name of the split that tests on the cases.
    cases : tuple of str
        The cases.
    """

    user: str
    used: str
    tester: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        how = "trains on" if self.used == "train" else "validates on"
        return f"{self.user} {how} {', '.join(self.cases)}: test cases of {self.tester}"


def splits() -> dict[str, Split]:
    """Return the splits that come with the package, by name."""
    folder = resources.files("lowdose.data.splits")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return {
        split.name: split for file in files if (split := _parse_split(json.loads(file.read_text(encoding="utf-8"))))
    }


def find_split(name: str) -> Split:
    """Return a split by name; raises InvalidSetting, which lists the known names, for an unknown one."""
    known = splits()
    if name not in known:
        raise InvalidSetting(f"no split '{name}'; there are {', '.join(known)}")
    return known[name]


def _parse_split(content: dict[str, object]) -> Split:
    lists = {key: content.get(key) for key in ("train", "validation", "test")}
    train, validation, test = (frozenset(map(str, v)) if isinstance(v, list) else None for v in lists.values())
    name, paper, collection, source = (str(content[key]) for key in ("name", "paper", "collection", "source"))
    empty = frozenset[str]()
    note = str(content.get("note", ""))
    return Split(name, paper, collection, source, note, train, validation or empty, test or empty)


def leaks(one: Split, other: Split) -> list[Leak]:
    """Find the cases that either split trains or validates on and the other one tests on.

    A split whose training cases are not published has no leaks from training.
    """
    found = []
    for user, tester in ((one, other), (other, one)) if one != other else ((one, other),):
        for used, cases in (("train", user.train or frozenset()), ("validation", user.validation)):
            if cases & tester.test:
                found.append(Leak(user.name, used, tester.name, tuple(sorted(cases & tester.test))))
    return found
