"""Models that the user added: a folder of weights files with an index, as the package has one of its own.

Read here, written by ``models.install``.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting

FOLDER_VARIABLE = "LOWDOSE_MODELS"
"""Environment variable that names the folder."""

INDEX = "index.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NAME_RULE = "lowercase letters, digits, _ and -, at most 64, the first a letter or a digit"

Index = dict[str, dict[str, str]]


def models_folder() -> Path:
    """Where added models lie: LOWDOSE_MODELS, else lowdose/models in XDG_DATA_HOME or in ~/.local/share.

    It need not exist. Raises InvalidSetting where none of them is known.
    """
    try:
        if stated := os.environ.get(FOLDER_VARIABLE):
            return Path(stated).expanduser()
        data = Path(os.environ.get("XDG_DATA_HOME", ""))
        # A relative XDG_DATA_HOME is to be ignored, by its own specification.
        return (data if data.is_absolute() else Path.home() / ".local/share") / "lowdose/models"
    except RuntimeError as error:
        raise InvalidSetting(
            f"no home folder is known for added models; set {FOLDER_VARIABLE} to a folder for them"
        ) from error


def is_valid_name(text: str) -> bool:
    """Whether a model could have been added under this name. No path of a weights file can be one: it has a dot."""
    return NAME.fullmatch(text) is not None


def weights_path(name: str) -> Path:
    """The weights file of an added model."""
    return models_folder() / f"{name}.safetensors"


def card_path(name: str) -> Path:
    """The card of an added model, which need not have one."""
    return models_folder() / f"{name}.md"


def user_model_hashes(kind: str | None = None) -> dict[str, str]:
    """Names of the added models, each with the SHA-256 its file must have; all, or those of one kind.

    None where no folder for them is known. Raises IncompatibleCheckpoint for a damaged index.
    """
    try:
        known = read_index()
    except InvalidSetting:
        return {}
    return {name: entry["sha256"] for name, entry in known.items() if kind in (None, entry["kind"])}


def read_index() -> Index:
    """Name -> 'kind' and 'sha256' of every added model. Raises IncompatibleCheckpoint for a damaged index."""
    file = models_folder() / INDEX
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        damage = _damage(known)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise IncompatibleCheckpoint(f"{file}: cannot be read ({error.strerror}); make it readable") from error
    except (ValueError, RecursionError) as error:  # neither text nor JSON
        known, damage = {}, str(error)
    if damage:
        raise IncompatibleCheckpoint(
            f"{file}: the index of the added models is damaged ({damage}); remove it and add the models anew: "
            "'lowdose models add' takes the files that lie beside it"
        )
    return dict(known)


def _damage(known: object) -> str:
    """What is wrong with the content of an index; '' when nothing is."""
    if not isinstance(known, dict):
        return "it is no list of names"
    for name, entry in known.items():
        if not is_valid_name(name):
            return f"{name[:80]!r} is no name"
        stated = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(stated, str) or not re.fullmatch("[0-9a-f]{64}", stated):
            return f"'{name}' has no SHA-256"
        if not isinstance(entry.get("kind"), str):
            return f"'{name}' is of no kind"
    return ""
