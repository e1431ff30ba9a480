"""Catalogue of the models that can be used by name: shipped, added by the user, and classical filters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lowdose.errors import IncompatibleCheckpoint, LowDoseError
from lowdose.models import checkpoint, model_info
from lowdose.models.classical import CLASSICAL
from lowdose.models.model_info import ModelInfo
from lowdose.weights import files, user_models
from lowdose.weights.files import WeightsFile
from lowdose.weights.identity import shipped_weights

SHIPPED, ADDED, FILE = "shipped", "added", "file"


@dataclass(frozen=True)
class CatalogueEntry:
    """A model with its metadata and its model card.

    Attributes
    ----------
    name : str
        Name or path by which the model is used.
    origin : str
        ``"shipped"``, ``"added"``, ``"classical"`` or ``"file"``.
    info : ModelInfo or None
        Metadata from the weights file; None for a classical filter and for a model that cannot be used.
    card : str
        Model card as Markdown, '' if there is none; for a classical filter a description of it.
    problem : str
        Why the model cannot be used; '' if it can.
    """

    name: str
    origin: str
    info: ModelInfo | None
    card: str
    problem: str = ""


def list_entries() -> tuple[list[CatalogueEntry], list[str]]:
    """Return all models and a list of problems with the added ones.

    Every file is read whole and checked against its SHA-256. A damaged model, or a damaged index of the added models,
    does not hide the other models.
    """
    entries = [_entry(name, SHIPPED, files.read_shipped, files.shipped_card) for name in sorted(shipped_weights())]
    entries += [_classical(name) for name in CLASSICAL]
    taken, problems = {entry.name for entry in entries}, []
    try:
        added = sorted(user_models.user_model_hashes())
    except IncompatibleCheckpoint as error:
        added, problems = [], [str(error)]
    for name in added:
        entry = _entry(name, ADDED, files.read_added, _added_card)
        entries.append(entry)
        if entry.problem:
            problems.append(entry.problem)
        if name in taken:
            problems.append(
                f"the added model '{name}' is hidden by one of the same name that comes with lowdose: "
                f"add it anew with another --name, then 'lowdose models remove {name}'"
            )
    return entries, problems


def find_entry(name: str) -> CatalogueEntry:
    """Return one model by name, or a weights file of lowdose by path; a denoiser is loaded to verify that it is sound.

    Raises IncompatibleCheckpoint if there is no such model or it is damaged.
    """
    entry = _find(name)
    if entry.info and entry.info.kind == "denoiser":
        checkpoint.load_denoiser(name)
    return entry


def _find(name: str) -> CatalogueEntry:
    """Look for a model among the classical filters, shipped models, added models and files, in this order."""
    if name in CLASSICAL:
        return _classical(name)
    if name in shipped_weights():
        return CatalogueEntry(
            name, SHIPPED, model_info.read_model_info(files.read_shipped(name), name), files.shipped_card(name)
        )
    if user_models.is_valid_name(name) and name in user_models.user_model_hashes():
        return CatalogueEntry(name, ADDED, model_info.read_model_info(files.read_added(name), name), _added_card(name))
    path = Path(name)
    if not path.exists():
        known = [*sorted(shipped_weights()), *CLASSICAL, *sorted(user_models.user_model_hashes())]
        raise IncompatibleCheckpoint(f"no model '{name}': neither a file nor one of {', '.join(known)}")
    return CatalogueEntry(
        name, FILE, model_info.read_model_info(files.read_weights(path), name), _text(model_info.find_card(path))
    )


def _entry(name: str, origin: str, read: Callable[[str], WeightsFile], card: Callable[[str], str]) -> CatalogueEntry:
    """Read a model and its card; if that fails, the entry states the problem."""
    try:
        return CatalogueEntry(name, origin, model_info.read_model_info(read(name), name), card(name))
    except LowDoseError as error:
        return CatalogueEntry(name, origin, None, "", str(error))


def _classical(name: str) -> CatalogueEntry:
    """Describe a classical filter by the docstring of its function, up to the first semicolon."""
    chosen = CLASSICAL[name]
    description = (inspect.getdoc(chosen.filter) or "").split(";")[0].rstrip(".")
    strength = f"Strength {chosen.strength:g}, chosen once for PSNR on patient L096."
    return CatalogueEntry(name, "classical", None, f"{description}.\n{strength}")


def _added_card(name: str) -> str:
    card = user_models.card_path(name)
    return _text(card if card.is_file() else None)


def _text(card: Path | None) -> str:
    return card.read_text(encoding="utf-8", errors="replace") if card else ""
