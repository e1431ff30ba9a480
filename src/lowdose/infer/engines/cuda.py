"""An NVIDIA GPU: half precision where it passes, and one launch for the whole network."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from lowdose.infer.engines.base import EXACT, CompiledNetwork, CompileRequest
from lowdose.networks.denoiser import channels_last


class Cuda:
    """Channels last, as a captured graph of kernels. Exact: float32 without TF32. Fast: float16 inside, where the
    networks' own last sums, which carry the HU, stay in float32; bfloat16 has 8 bits and would move HU by several.
    """

    name = "cuda"

    @property
    def version(self) -> str:
        return f"torch {torch.__version__}, {torch.cuda.get_device_name()}"

    def unavailable_reason(self) -> str:
        return "" if torch.cuda.is_available() else "PyTorch sees no CUDA device; use another engine, or --device cpu"

    def supports(self, precision: str) -> bool:
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        network = deepcopy(work.network).eval().requires_grad_(False).cuda()
        channels_last(network)
        still = torch.zeros(work.shape, device="cuda").contiguous(memory_format=torch.channels_last)

        def forward() -> Tensor:
            with torch.autocast("cuda", torch.float16, enabled=work.precision != EXACT, cache_enabled=False):
                result: Tensor = network(still)
            return result.float()

        exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with exact, torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(3):  # kernels are chosen, and their memory taken, before the capture
                forward()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with exact, torch.inference_mode(), torch.cuda.graph(graph):
            result = forward()

        def run(units: Tensor) -> Tensor:
            still.copy_(units)
            graph.replay()
            return result.clone()

        return run
