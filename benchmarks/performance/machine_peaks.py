"""Measure the peak speed of this machine: matrix products and copies of memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

SIDE = 2048
COPIED = 1 << 26
"""Number of float32 values copied, 256 MB: more than any cache holds."""
REPEATS = 7


def median_seconds(work: Callable[[], object], device: str) -> float:
    """Return the median seconds of repeated runs, not counting the first two."""
    spent = []
    for _ in range(REPEATS + 2):
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[2:])


def measure_peaks(device: str = "cpu") -> dict[str, float]:
    """Return GFLOP/s of float32 and bf16 matrix products, and GB/s of a copy (bytes read and written)."""
    found = {}
    side = SIDE if device == "cpu" else 8192
    for name, kind in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
        out = torch.empty_like(left)
        found[f"{name} GFLOP/s"] = (
            2e-9 * side**3 / median_seconds(lambda a=left, b=right, c=out: _product(a, b, c), device)
        )
    source = torch.zeros(COPIED, device=device)
    target = torch.zeros_like(source)
    found["copy GB/s"] = 2e-9 * source.nbytes / median_seconds(lambda: target.copy_(source), device)
    return found


def _product(left: Tensor, right: Tensor, out: Tensor) -> None:
    torch.mm(left, right, out=out)
