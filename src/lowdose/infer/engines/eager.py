"""PyTorch itself on a CPU: what is always there."""

from __future__ import annotations

import torch
from torch import Tensor

from lowdose.infer.engines.base import EXACT, CompiledNetwork, CompileRequest
from lowdose.infer.engines.graph import export_graph


class Eager:
    """Channels last, transposed convolutions as convolutions. torch.compile gained a tenth on RED-CNN, after 40 s of
    compiling that the series of a day do not pay back, and it needs a compiler; so it is left out.
    """

    name = "torch"
    version = torch.__version__

    def unavailable_reason(self) -> str:
        return ""

    def supports(self, precision: str) -> bool:
        return precision == EXACT

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        graph = export_graph(work.network, work.shape)
        for parameter in graph.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

        def run(units: Tensor) -> Tensor:
            result: Tensor = graph(units.contiguous(memory_format=torch.channels_last))
            return result

        return run
