"""Every model usable by name: shipped, added by the user, classical; each with what its file says and its card."""

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

SHIPPED, ADDED, FILE = "shipped", "added", "file"


@dataclass(frozen=True)
class CatalogueEntry:
    """One model. origin: shipped, added, classical or file. info: None for a classical filter, and for a model that
    cannot be used, of which ``problem`` says why. card: Markdown; of a classical filter what it does, '' for none.
    """

    name: str
    origin: str
    info: ModelInfo | None
    card: str
    problem: str = ""


def list_entries() -> tuple[list[CatalogueEntry], list[str]]:
    """All models by name, each read whole and checked against its SHA-256; and what is wrong with the added ones.

    A damaged model, or a damaged index of the added ones, does not hide the others.
    """
    found = [_entry(name, SHIPPED, files.read_shipped, files.shipped_card) for name in sorted(files.shipped_weights())]
    found += [_classical(name) for name in CLASSICAL]
    taken, problems = {entry.name for entry in found}, []
    try:
        own = sorted(user_models.user_model_hashes())
    except IncompatibleCheckpoint as error:
        own, problems = [], [str(error)]
    for name in own:
        entry = _entry(name, ADDED, files.read_added, _added_card)
        found.append(entry)
        if entry.problem:
            problems.append(entry.problem)
        if name in taken:
            problems.append(
                f"the added model '{name}' is hidden by one of the same name that comes with lowdose: "
                f"add it anew with another --name, then 'lowdose models remove {name}'"
            )
    return found, problems


def find_entry(name: str) -> CatalogueEntry:
    """One model by name, or a weights file of ours by path. A denoiser is loaded, so that it is known to be sound.

    Raises IncompatibleCheckpoint when there is none, or it is damaged.
    """
    entry = _find(name)
    if entry.info and entry.info.kind == "denoiser":
        checkpoint.load_denoiser(name)
    return entry


def _find(name: str) -> CatalogueEntry:
    if name in CLASSICAL:
        return _classical(name)
    if name in files.shipped_weights():
        return CatalogueEntry(
            name, SHIPPED, model_info.read_model_info(files.read_shipped(name), name), files.shipped_card(name)
        )
    if user_models.is_valid_name(name) and name in user_models.user_model_hashes():
        return CatalogueEntry(name, ADDED, model_info.read_model_info(files.read_added(name), name), _added_card(name))
    path = Path(name)
    if not path.exists():
        known = [*sorted(files.shipped_weights()), *CLASSICAL, *sorted(user_models.user_model_hashes())]
        raise IncompatibleCheckpoint(f"no model '{name}': neither a file nor one of {', '.join(known)}")
    return CatalogueEntry(
        name, FILE, model_info.read_model_info(files.read_weights(path), name), _text(model_info.find_card(path))
    )


def _entry(name: str, origin: str, read: Callable[[str], WeightsFile], card: Callable[[str], str]) -> CatalogueEntry:
    try:
        return CatalogueEntry(name, origin, model_info.read_model_info(read(name), name), card(name))
    except LowDoseError as error:
        return CatalogueEntry(name, origin, None, "", str(error))


def _classical(name: str) -> CatalogueEntry:
    chosen = CLASSICAL[name]
    what = (inspect.getdoc(chosen.filter) or "").split(";")[0].rstrip(".")
    tuned = f"Strength {chosen.strength:g}, chosen once for PSNR on patient L096."
    return CatalogueEntry(name, "classical", None, f"{what}.\n{tuned}")


def _added_card(name: str) -> str:
    card = user_models.card_path(name)
    return _text(card if card.is_file() else None)


def _text(card: Path | None) -> str:
    return card.read_text(encoding="utf-8", errors="replace") if card else ""
