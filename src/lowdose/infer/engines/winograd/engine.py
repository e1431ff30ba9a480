"""Our own convolutions; everything else is left to PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

import lowdose
from lowdose.infer.engines.base import EXACT, Run, Work
from lowdose.infer.engines.graph import exported
from lowdose.infer.engines.winograd.library import library
from lowdose.infer.engines.winograd.rewrite import rewrite

TILES = {EXACT: {3: 4, 5: 4}, "fast": {3: 6, 5: 6}}
"""Both in float32. Larger tiles round more: on RED-CNN at most 0.002 HU with 4, 0.01 HU with 6."""


class Winograd:
    """Convolutions of 3x3 and 5x5 by minimal filtering, with bias, sums and activations fused into their last step."""

    name = "winograd"

    @property
    def version(self) -> str:
        made = library()
        return f"{lowdose.__version__} with {made.lowdose_lanes() if made else 0} lanes, torch {torch.__version__}"

    def missing(self) -> str:
        if library() is not None:
            return ""
        return "it was not compiled when lowdose was installed; install a C++ compiler, then lowdose anew"

    def offers(self, precision: str) -> bool:
        return True

    def compile(self, work: Work) -> Run:
        """Raises ValueError for a network without such convolutions."""
        graph = exported(work.network, work.shape)
        if not rewrite(graph, TILES[work.precision]):
            raise ValueError("the network has no convolution of 3x3 or 5x5 with stride 1")

        def run(units: Tensor) -> Tensor:
            result: Tensor = graph(units.contiguous(memory_format=torch.channels_last))
            return result

        return run
