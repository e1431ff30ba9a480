"""Engine for NVIDIA GPUs: float16 if it is accurate enough, and one launch for the whole network (a CUDA graph)."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import torch
from torch import Tensor

from lowdose.infer.engines.base import EXACT, CompiledNetwork, CompileRequest
from lowdose.networks.denoiser import channels_last


class Cuda:
    """Network in channels-last layout, captured as a CUDA graph.

    Exact: float32 without TF32. Fast: float16, except that the last sums of the networks, which carry the HU, stay in
    float32. bfloat16, with its 8 bits of precision, would change the result by several HU.
    """

    name = "cuda"
    keeps_files = False

    @property
    def version(self) -> str:
        """Version of PyTorch and name of the GPU."""
        return f"torch {torch.__version__}, {torch.cuda.get_device_name()}"

    def unavailable_reason(self) -> str:
        """Explain why there is no GPU to use; '' if there is one."""
        return "" if torch.cuda.is_available() else "PyTorch sees no CUDA device; use another engine, or --device cpu"

    def supports(self, accuracy: str) -> bool:
        """Return True: both accuracies are offered."""
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Capture the network as a CUDA graph for inputs of one shape."""
        network = deepcopy(work.network).eval().requires_grad_(False).cuda()
        channels_last(network)
        static_input = torch.zeros(work.shape, device="cuda").contiguous(memory_format=torch.channels_last)

        def forward() -> Tensor:
            with torch.autocast("cuda", torch.float16, enabled=work.accuracy != EXACT, cache_enabled=False):
                result: Tensor = network(static_input)
            return result.float()

        # A context of cudnn.flags can be entered once only.
        exact_flags = partial(torch.backends.cudnn.flags, enabled=True, benchmark=True, allow_tf32=False)
        warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm_up.wait_stream(torch.cuda.current_stream())
        with exact_flags(), torch.inference_mode(), torch.cuda.stream(warm_up):
            for _ in range(3):  # cuDNN must choose its kernels and allocate their memory before the capture
                forward()
        torch.cuda.current_stream().wait_stream(warm_up)
        graph = torch.cuda.CUDAGraph()
        with exact_flags(), torch.inference_mode(), torch.cuda.graph(graph):
            result = forward()

        def run(units: Tensor) -> Tensor:
            static_input.copy_(units)
            graph.replay()
            return result.clone()

        return run
