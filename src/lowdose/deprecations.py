"""Names that version 0.1 used and that still work: the one place where they are written."""

from __future__ import annotations

import logging
from types import MappingProxyType

HYPERPARAMETERS = MappingProxyType({"recast_share": "kernel_conversion_share"})
"""Old name -> new name in ``lowdose train --set`` and in the settings of saved runs."""

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
"""Command -> old spelling -> new spelling; a name in capitals is a positional argument."""

log = logging.getLogger("lowdose")


def warn_deprecated(old: str, new: str) -> None:
    """Log one warning line that names the old spelling and the new one."""
    log.warning("deprecated: %s; use %s", old, new)
