"""Frozen networks that an objective looks with, each of a kind: what ``--teacher KIND:NAME`` chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lowdose.errors import InvalidSetting
from lowdose.networks.features.registry import FEATURE_NETWORKS
from lowdose.weights.identity import shipped_weights

NAMES: Mapping[str, Callable[[], Sequence[str]]] = {
    "autoencoder": lambda: (*sorted(shipped_weights("autoencoder")), "PATH"),
    "features": lambda: (*FEATURE_NETWORKS, "NAME:WEIGHTS"),
}
"""What can be named of each kind that the package has; a recipe may have kinds of its own."""


def choose_teachers(recipe: str, default: Mapping[str, str], given: Sequence[str]) -> dict[str, str]:
    """Return the name of each teacher by kind, with those that were ``given`` as 'KIND:NAME' in place of the defaults.

    Raises InvalidSetting, listing what there is, for a kind that ``recipe`` does not look with, for a kind that is
    given twice, and for text of another form.
    """
    chosen: dict[str, str] = {}
    for text in given:
        kind, colon, name = text.partition(":")
        if not default:
            raise InvalidSetting(f"--teacher {text}: the recipe {recipe} looks with no frozen network; leave it out")
        if kind not in default or not name:
            problem = "write KIND:NAME" if kind in default or not colon else f"no kind '{kind}' in the recipe {recipe}"
            raise InvalidSetting(f"--teacher {text}: {problem}; there is {describe_teachers(default)}")
        if kind in chosen:
            raise InvalidSetting(f"--teacher {text}: {kind}:{chosen[kind]} was given too; leave one of them out")
        chosen[kind] = name
    return {**default, **chosen}


def describe_teachers(kinds: Mapping[str, str]) -> str:
    """Return kinds and their names as text, as in 'features:NAME with NAME one of anatomy, vgg16'."""
    return "; ".join(
        f"{kind}:NAME with NAME one of {', '.join(NAMES[kind]())}"
        if kind in NAMES
        else f"{kind}:NAME, for example {kind}:{default}"
        for kind, default in kinds.items()
    )
