"""Choice of the device on which tensors are computed."""

from __future__ import annotations

import torch

from lowdose.errors import InvalidSetting


def choose_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"; "auto" prefers CUDA.

    Raises InvalidSetting for any other name, and when CUDA is asked for but not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InvalidSetting(f"--device {name}: must be auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidSetting("--device cuda: this PyTorch sees no CUDA device; use --device cpu or auto")
    return torch.device(name)
