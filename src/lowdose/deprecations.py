"""Names of version 0.1 that still work; no other module spells them."""

from __future__ import annotations

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
    }
)
"""New spelling by old spelling, for each command; a name in capitals is a positional argument."""


def warn_deprecated(old: str, new: str) -> None:
    """Log a warning of one line that names the old spelling and the new one."""
    log.warning("deprecated: %s; use %s", old, new)
