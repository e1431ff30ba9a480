"""Names of version 0.1 that still work; no other module spells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from types import MappingProxyType

from lowdose.logger import log

HYPERPARAMETERS = MappingProxyType({"recast_share": "kernel_conversion_share"})
"""New name by old name, for ``lowdose train --set`` and for the settings of saved runs."""

OPTIONS = MappingProxyType(
    {
        "lowdose denoise": {"OUTPUT": "--out", "--json": "--manifest", "--precision": "--accuracy"},
        "lowdose simulate": {"OUTPUT": "--out"},
        "lowdose demo": {"OUT": "--out"},
        "lowdose data check": {"--json": "--out"},
        "lowdose data pack": {"OUT": "--out", "--pairing": "--contents", "--dose": "--contents"},
        "lowdose data download": {"OUT": "--out"},
        "lowdose train": {"--autoencoder": "--teacher", "--features": "--teacher"},
    }
)
"""New spelling by old spelling, for each command; a name in capitals is a positional argument."""

TEACHERS = ("autoencoder", "features")
"""Kinds of ``lowdose train --teacher`` that had an option, and a keyword of ``lowdose.train``, of their own."""


def earlier_teachers(
    given: str | Sequence[str] | None, earlier: Mapping[str, str | PathLike[str] | None]
) -> tuple[str, ...] | None:
    """Return the teachers that were given as 'KIND:NAME', and those of earlier keywords with a warning; None if none.

    Raises TypeError for any other keyword, as Python does.
    """
    if unknown := set(earlier) - set(TEACHERS):
        raise TypeError(f"train() got an unexpected keyword argument '{min(unknown)}'")
    teachers = [given] if isinstance(given, str) else list(given or ())
    for kind, name in earlier.items():
        if name is not None:
            warn_deprecated(f"--{kind} {name}", f"--teacher {kind}:{name}")
            teachers.append(f"{kind}:{name}")
    return tuple(teachers) or None


def warn_deprecated(old: str, new: str) -> None:
    """Log a warning of one line that names the old spelling and the new one."""
    log.warning("deprecated: %s; use %s", old, new)
