"""Start of the processes of a run, by Lightning Fabric, with devices and number format."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from lightning_fabric import Fabric

from lowdose.errors import InvalidSetting

PRECISIONS = ("auto", "32-true", "bf16-mixed")


def launch_fabric(cuda: bool, devices: int, nodes: int, precision: str) -> Fabric:
    """Start the processes: ``devices`` on each of ``nodes``; precision: see ``choose_precision``."""
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # otherwise it prints the precision
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=choose_precision(precision, cuda),
    )
    if cuda:
        torch.backends.cudnn.benchmark = True  # all batches have one shape
    fabric.launch()
    return fabric


def choose_precision(wanted: str, cuda: bool) -> Any:
    """Return the precision for Fabric; 'auto' is bf16-mixed where the hardware supports bf16 natively, else 32-true."""
    if wanted not in PRECISIONS:
        raise InvalidSetting(f"--precision {wanted}: must be one of {', '.join(PRECISIONS)}")
    if wanted != "auto":
        return wanted
    native = torch.cuda.is_bf16_supported() if cuda else _cpu_has_native_bf16()
    return "bf16-mixed" if native else "32-true"


def torchrun_processes() -> tuple[int, int] | None:
    """Return (processes per node, nodes) if torchrun has started this process, else None."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return None
    per_node = int(os.environ["LOCAL_WORLD_SIZE"])
    return per_node, int(os.environ["WORLD_SIZE"]) // per_node


def _cpu_has_native_bf16() -> bool:
    """Query a private function of PyTorch, since there is no public one; without it, float32 is merely slower."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())
