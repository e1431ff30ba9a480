"""Where tensors are computed."""

from __future__ import annotations

import torch

from lowdose.errors import InvalidSetting


def choose_device(name: str) -> torch.device:
    """auto, cpu or cuda. Raises InvalidSetting for another name, and when CUDA is asked for and absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InvalidSetting(f"--device {name}: must be auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidSetting("--device cuda: this PyTorch sees no CUDA device; use --device cpu or auto")
    return torch.device(name)
