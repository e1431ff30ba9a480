"""Engine that runs the network with PyTorch on the CPU; it is always available."""

from __future__ import annotations

import torch
from torch import Tensor

from lowdose.infer.engines.base import EXACT, CompiledNetwork, CompileRequest


class Eager:
    """PyTorch in channels-last layout, with transposed convolutions replaced by convolutions.

    torch.compile is not used: it gained a tenth on RED-CNN, after 40 s of compiling that the series of a day do not pay
    back, and it needs a C++ compiler.
    """

    name = "torch"
    keeps_files = False
    version = torch.__version__

    def unavailable_reason(self) -> str:
        """Return '': PyTorch is always available."""
        return ""

    def supports(self, accuracy: str) -> bool:
        """Return whether ``accuracy`` is exact, the only one offered."""
        return accuracy == EXACT

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Export the network as a graph of ATen operators in channels-last layout."""
        graph = work.export()
        for parameter in graph.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

        def run(units: Tensor) -> Tensor:
            result: Tensor = graph(units.contiguous(memory_format=torch.channels_last))
            return result

        return run
