"""Full precision within autocast, for layers whose output holds the HU themselves."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Return a context that switches autocast off on the device of ``x``.

    Where autocast is off already, as at inference, the context does nothing, so that inference engines trace a plain
    graph.
    """
    device_type = x.device.type
    on = torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)
    return torch.autocast(device_type, enabled=False) if on else nullcontext()
