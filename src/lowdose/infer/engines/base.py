"""What an engine is: something that runs a network for images of one shape, faster than PyTorch does or on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from lowdose.infer.engines.graph import Shape

CompiledNetwork = Callable[[Tensor], Tensor]
"""(B, slices, H, W) float32 in network units -> (B, 1, H, W) float32."""

EXACT, FAST = "exact", "fast"
PRECISIONS = (EXACT, FAST)


@dataclass(frozen=True)
class CompileRequest:
    """What is to be compiled. sample: (1, slices, h, w) network units of a CT, for engines that must see how large
    values get. folder: of this work alone, to keep compiled files in; None = keep nothing.
    """

    network: nn.Module
    shape: Shape
    precision: str
    sample: Tensor
    folder: Path | None = None


class Engine(Protocol):
    """One way to run networks. version: what its results and compiled files depend on besides the network."""

    name: str

    @property
    def version(self) -> str: ...

    def unavailable_reason(self) -> str:
        """Why it cannot be used on this machine and what to do about it; '' when it can."""
        ...

    def supports(self, precision: str) -> bool:
        """Whether it has something faster to offer for this precision than for the exact one."""
        ...

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Takes seconds at most. May raise anything: an engine that fails is passed over."""
        ...
