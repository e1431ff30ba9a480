"""Models that the user added: a folder of weights files with an index, like the one inside the package.

This module reads the folder; ``models.install`` writes it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting

FOLDER_VARIABLE = "LOWDOSE_MODELS"
"""Environment variable that names the folder of added models."""

INDEX = "index.json"
"""File name of the index of added models."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""Pattern of a valid model name."""
NAME_RULE = "lowercase letters, digits, _ and -, at most 64, the first a letter or a digit"
"""The same rule in words, for messages."""

Index = dict[str, dict[str, str]]
"""Kind and SHA-256 of each added model, by name."""


def models_folder() -> Path:
    """Return the folder of added models, which need not exist.

    It is $LOWDOSE_MODELS, else ``lowdose/models`` in $XDG_DATA_HOME, else in ``~/.local/share``. Raises InvalidSetting
    when there is no home folder either.
    """
    try:
        if stated := os.environ.get(FOLDER_VARIABLE):
            return Path(stated).expanduser()
        data = Path(os.environ.get("XDG_DATA_HOME", ""))
        # The XDG specification demands that a relative path is ignored.
        return (data if data.is_absolute() else Path.home() / ".local/share") / "lowdose/models"
    except RuntimeError as error:
        raise InvalidSetting(
            f"no home folder is known for added models; set {FOLDER_VARIABLE} to a folder for them"
        ) from error


def is_valid_name(text: str) -> bool:
    """Return whether a model can be added under this name.

    The path of a weights file never can, because it holds a dot.
    """
    return NAME.fullmatch(text) is not None


def weights_path(name: str) -> Path:
    """Return the path of the weights file of an added model."""
    return models_folder() / f"{name}.safetensors"


def card_path(name: str) -> Path:
    """Return the path of the model card of an added model, which need not exist."""
    return models_folder() / f"{name}.md"


def user_model_hashes(kind: str | None = None) -> dict[str, str]:
    """Return the SHA-256 that the file of each added model must have, by name; all models, or those of one kind.

    Empty when the folder of added models cannot be determined. Raises IncompatibleCheckpoint when the index is damaged.
    """
    try:
        index = read_index()
    except InvalidSetting:
        return {}
    return {name: entry["sha256"] for name, entry in index.items() if kind in (None, entry["kind"])}


def read_index() -> Index:
    """Read the index: "kind" and "sha256" of every added model, by name; empty when there is none.

    Raises IncompatibleCheckpoint when the index is damaged or cannot be read.
    """
    file = models_folder() / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        damage = _find_damage(index)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise IncompatibleCheckpoint(f"{file}: cannot be read ({error.strerror}); make it readable") from error
    except (ValueError, RecursionError) as error:  # neither text nor JSON
        index, damage = {}, str(error)
    if damage:
        raise IncompatibleCheckpoint(
            f"{file}: the index of the added models is damaged ({damage}); remove it and add the models anew: "
            "'lowdose models add' takes the files that lie beside it"
        )
    return dict(index)


def _find_damage(index: object) -> str:
    """Return what is wrong with the content of an index, or "" when nothing is."""
    if not isinstance(index, dict):
        return "it is no list of names"
    for name, entry in index.items():
        if not is_valid_name(name):
            return f"{name[:80]!r} is no name"
        stated = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(stated, str) or not re.fullmatch("[0-9a-f]{64}", stated):
            return f"'{name}' has no SHA-256"
        if not isinstance(entry.get("kind"), str):
            return f"'{name}' is of no kind"
    return ""
