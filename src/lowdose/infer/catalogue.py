"""Every model usable by name: shipped, added by the user, classical; each with what its file says and its card."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lowdose import added, checkpoint, weights
from lowdose.errors import IncompatibleCheckpoint, LowDoseError
from lowdose.infer import facts
from lowdose.infer.classical import CLASSICAL
from lowdose.infer.facts import Facts
from lowdose.weights import Weights

SHIPPED, ADDED, FILE = "shipped", "added", "file"


@dataclass(frozen=True)
class Entry:
    """One model. origin: shipped, added, classical or file. facts: None for a classical filter, and for a model that
    cannot be used, of which ``problem`` says why. card: Markdown; of a classical filter what it does, '' for none.
    """

    name: str
    origin: str
    facts: Facts | None
    card: str
    problem: str = ""


def entries() -> tuple[list[Entry], list[str]]:
    """All models by name, each read whole and checked against its SHA-256; and what is wrong with the added ones.

    A damaged model, or a damaged index of the added ones, does not hide the others.
    """
    found = [_entry(name, SHIPPED, weights.read_shipped, weights.shipped_card) for name in sorted(weights.shipped())]
    found += [_classical(name) for name in CLASSICAL]
    taken, problems = {entry.name for entry in found}, []
    try:
        own = sorted(added.names())
    except IncompatibleCheckpoint as error:
        own, problems = [], [str(error)]
    for name in own:
        entry = _entry(name, ADDED, weights.read_added, _added_card)
        found.append(entry)
        if entry.problem:
            problems.append(entry.problem)
        if name in taken:
            problems.append(
                f"the added model '{name}' is hidden by one of the same name that comes with lowdose: "
                f"add it anew with another --name, then 'lowdose models remove {name}'"
            )
    return found, problems


def find(name: str) -> Entry:
    """One model by name, or a weights file of ours by path. A denoiser is loaded, so that it is known to be sound.

    Raises IncompatibleCheckpoint when there is none, or it is damaged.
    """
    entry = _find(name)
    if entry.facts and entry.facts.kind == "denoiser":
        checkpoint.load(name)
    return entry


def _find(name: str) -> Entry:
    if name in CLASSICAL:
        return _classical(name)
    if name in weights.shipped():
        return Entry(name, SHIPPED, facts.of(weights.read_shipped(name), name), weights.shipped_card(name))
    if added.is_name(name) and name in added.names():
        return Entry(name, ADDED, facts.of(weights.read_added(name), name), _added_card(name))
    path = Path(name)
    if not path.exists():
        known = [*sorted(weights.shipped()), *CLASSICAL, *sorted(added.names())]
        raise IncompatibleCheckpoint(f"no model '{name}': neither a file nor one of {', '.join(known)}")
    return Entry(name, FILE, facts.of(weights.read(path), name), _text(facts.card_beside(path)))


def _entry(name: str, origin: str, read: Callable[[str], Weights], card: Callable[[str], str]) -> Entry:
    try:
        return Entry(name, origin, facts.of(read(name), name), card(name))
    except LowDoseError as error:
        return Entry(name, origin, None, "", str(error))


def _classical(name: str) -> Entry:
    chosen = CLASSICAL[name]
    what = (inspect.getdoc(chosen.filter) or "").split(";")[0].rstrip(".")
    tuned = f"Strength {chosen.strength:g}, chosen once for PSNR on patient L096."
    return Entry(name, "classical", None, f"{what}.\n{tuned}")


def _added_card(name: str) -> str:
    card = added.card(name)
    return _text(card if card.is_file() else None)


def _text(card: Path | None) -> str:
    return card.read_text(encoding="utf-8", errors="replace") if card else ""
