"""Engine with the Winograd convolutions of this package; PyTorch runs all other operators."""

from __future__ import annotations

import torch
from torch import Tensor

from lowdose.infer.engines.base import EXACT, CompiledNetwork, CompileRequest
from lowdose.infer.engines.winograd.library import load_library
from lowdose.infer.engines.winograd.rewrite import replace_convolutions
from lowdose.version import __version__

TILES = {EXACT: {3: 4, 5: 4}, "fast": {3: 6, 5: 6}}
"""Size of the output tile by accuracy and kernel size.

Both accuracies use float32, but larger tiles round more: on RED-CNN by at most 0.002 HU with 4, 0.01 HU with 6.
"""


class Winograd:
    """Convolutions of 3x3 and 5x5 by minimal filtering, with bias, sum and activations fused into their last step."""

    name = "winograd"
    keeps_files = False

    @property
    def version(self) -> str:
        """Version of lowdose, number of floats in a vector, and version of PyTorch."""
        library = load_library()
        lanes = library.lowdose_lanes() if library else 0
        return f"{__version__} with {lanes} lanes, torch {torch.__version__}"

    def unavailable_reason(self) -> str:
        """Explain that the library was not compiled; '' if it was."""
        if load_library() is not None:
            return ""
        return (
            "it was not compiled when lowdose was installed, which makes networks two to five times slower; install a "
            "C++ compiler (g++), then lowdose anew"
        )

    def supports(self, accuracy: str) -> bool:
        """Return True: both accuracies are offered."""
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Export the network and replace its convolutions.

        Raises ValueError if it has no convolution of 3x3 or 5x5 with stride 1.
        """
        graph = work.export()
        if not replace_convolutions(graph, TILES[work.accuracy]):
            raise ValueError("the network has no convolution of 3x3 or 5x5 with stride 1")

        def run(units: Tensor) -> Tensor:
            result: Tensor = graph(units.contiguous(memory_format=torch.channels_last))
            return result

        return run
