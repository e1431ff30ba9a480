"""Our own convolutions; everything else is left to PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

import lowdose
from lowdose.infer.engines.base import EXACT, CompiledNetwork, CompileRequest
from lowdose.infer.engines.graph import export_graph
from lowdose.infer.engines.winograd.library import load_library
from lowdose.infer.engines.winograd.rewrite import replace_convolutions

TILES = {EXACT: {3: 4, 5: 4}, "fast": {3: 6, 5: 6}}
"""Both in float32. Larger tiles round more: on RED-CNN at most 0.002 HU with 4, 0.01 HU with 6."""


class Winograd:
    """Convolutions of 3x3 and 5x5 by minimal filtering, with bias, sums and activations fused into their last step."""

    name = "winograd"

    @property
    def version(self) -> str:
        made = load_library()
        return f"{lowdose.__version__} with {made.lowdose_lanes() if made else 0} lanes, torch {torch.__version__}"

    def unavailable_reason(self) -> str:
        if load_library() is not None:
            return ""
        return "it was not compiled when lowdose was installed; install a C++ compiler, then lowdose anew"

    def supports(self, precision: str) -> bool:
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Raises ValueError for a network without such convolutions."""
        graph = export_graph(work.network, work.shape)
        if not replace_convolutions(graph, TILES[work.precision]):
            raise ValueError("the network has no convolution of 3x3 or 5x5 with stride 1")

        def run(units: Tensor) -> Tensor:
            result: Tensor = graph(units.contiguous(memory_format=torch.channels_last))
            return result

        return run
